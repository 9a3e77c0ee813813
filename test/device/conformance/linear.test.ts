/** linear and expert_linear: every format, as rows and as panels, against f64 sums with derived bounds. */
import { describe, expect, it } from "vitest";
import { readF32 } from "../../../src/checkpoint/checkpoint.ts";
import { locate } from "../../../src/checkpoint/locate.ts";
import { openCheckpoint } from "../../../src/checkpoint/open.ts";
import { type FormatName, formats, shapedBytes } from "../../../src/format/index.ts";
import { expertLinear, linear, MOST_ROW } from "../../../src/ops/index.ts";
import { Job, layoutsOf, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, gamma, TINY, U } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { haveShared, shared } from "../../support/shared.ts";
import { randomWeight, type Weight, weightFrom, weightOf } from "../../support/weights.ts";

const formatNames = Object.keys(formats) as FormatName[];
/** Formats whose kernels may round activations, by groups of this many, or by rows where weights have a scale for each. */
const GROUP = 32;
const isRowwise = (format: FormatName): boolean => formats[format].rowBytes > 0;

/** Where the half-precision scales of a block lie, or the f32 scale of a row. */
const scaleBytes: Partial<Record<FormatName, readonly [from: number, to: number]>> = {
  q8_0: [0, 2],
  q4_0: [0, 2],
  q5_0: [0, 2],
  q4_1: [0, 4],
  q5_1: [0, 4],
  q4_K: [0, 4],
  q5_K: [0, 4],
  q6_K: [208, 210],
  i8_row: [0, 4],
};

interface Wanted {
  readonly y: number;
  readonly bound: number;
}

/** Largest sizes of the codes of integer formats. */
const codes: Partial<Record<FormatName, number>> = {
  ...{ q8_0: 128, q4_0: 8, q4_1: 15, q5_0: 16, q5_1: 31, q4_K: 15, q5_K: 31, q6_K: 32, i8_row: 128 },
};

/**
 * One result and its bound, as docs/kernels.md has it. A sum of k products in any order, fused or not, is off by
 * γ_k · Σ|x||w| (Higham 2002, section 4.2); where a format adds scaled codes and offsets apart, |w| is the sum of
 * both sizes; eight more roundings for scales, the bias and the rounding of the result. For block formats each
 * activation may be rounded to a 127th of its group's (or row's) largest: off by at most half a step, max|x| / 254, with
 * scales rounded once. Near zero a sum loses at most one TINY at each step, and so does the product of two scales,
 * which counts 127 · code times, and the scale of a group, which counts 127 · |w| times.
 */
function dot(format: FormatName, x: Float32Array, weight: Weight, row: number, bias: number): Wanted {
  const k = x.length;
  let [y, sizes, rounding, weights] = [bias, Math.abs(bias), 0, 0];
  const group = isRowwise(format) ? k : GROUP;
  for (let start = 0; start < k; start += group) {
    let [max, total] = [0, 0];
    for (let j = start; j < Math.min(k, start + group); j++) {
      const at = row * k + j;
      y += x[j]! * weight.values[at]!;
      sizes += Math.abs(x[j]!) * weight.sizes[at]!;
      max = Math.max(max, Math.abs(x[j]!));
      total += Math.abs(weight.values[at]!);
      weights += weight.sizes[at]!;
    }
    rounding += (max / 254) * total;
  }
  const integer = !formats[format].float;
  const small = k + 8 + (integer ? 127 * (k * codes[format]! + weights) : weights);
  const bound = gamma(k + 8) * sizes + (integer ? rounding * (1 + 8 * U) : 0) + small * TINY;
  return { y, bound };
}

/** Matrices of the story model; for super-blocks, rows of the embedding laid end to end. */
function trained(): { name: string; values: Float32Array; k: number }[] {
  const checkpoint = openCheckpoint(locate(shared("models/stories260K/hf")));
  const matrix = (name: string, k?: number): { name: string; values: Float32Array; k: number } => {
    const values = readF32(checkpoint, `model.${name}.weight`);
    return { name, values, k: k ?? checkpoint.tensors.get(`model.${name}.weight`)!.shape[1]! };
  };
  const list = [
    matrix("layers.0.self_attn.q_proj"),
    matrix("layers.2.mlp.gate_proj"),
    matrix("layers.4.mlp.down_proj"),
    matrix("embed_tokens", 256),
  ];
  checkpoint.close();
  return list;
}

interface Shape {
  readonly n: number;
  readonly m: number;
  readonly k: number;
}

function expectLinear(
  format: FormatName,
  { n, m, k }: Shape,
  { x, weight, bias }: { x: Float32Array; weight: Weight; bias: Float32Array | undefined },
  actual: Float32Array,
  what: string,
): void {
  const wanted = Array.from({ length: n * m }, (_, i) => {
    const [row, j] = [Math.floor(i / m), i % m];
    return dot(format, x.subarray(row * k, (row + 1) * k), weight, j, bias ? bias[j]! : 0);
  });
  expectWithin(
    actual,
    wanted.map(({ y }) => y),
    (i) => wanted[i]!.bound,
    what,
  );
}

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  async function run(
    format: FormatName,
    { n, m, k }: Shape,
    { x, weight, bias }: { x: Float32Array; weight: Weight; bias: Float32Array | undefined },
    layout: string,
  ): Promise<Float32Array> {
    const job = new Job(on.device);
    const y = linear(
      job.stream,
      job.f32(x, n, k),
      job.weight(format, [m, k], weight.bytes, layout),
      bias && job.f32(bias, m),
    );
    return (await job.run(y))[0]!;
  }

  describe.each(formatNames)("linear, %s", (format) => {
    const { block } = formats[format];

    it("is within its bound for 1 to 40 rows and odd numbers of outputs, as rows and panels", async () => {
      const random = new Random(1);
      for (const n of [0, 1, 2, 5, 16, 17, 40])
        for (const m of [1, 3, 16, 37, 70]) {
          const k =
            block * (block > 1 ? random.int(1, block > 32 ? 2 : 9) : random.pick([1, 5, 31, 64, 257]));
          const shape = { n, m, k };
          const parts = {
            x: random.normals(n * k),
            weight: randomWeight(random, format, [m, k]),
            bias: random.next() < 0.5 ? random.normals(m) : undefined,
          };
          for (const layout of layoutsOf(on.device, format, [m, k])) {
            const what = `[${n},${k}]·[${m},${k}] in ${layout}, ${parts.bias ? "" : "no "}bias`;
            expectLinear(format, shape, parts, await run(format, shape, parts, layout), what);
          }
        }
    });

    it("is within its bound for difficult activations", async () => {
      const random = new Random(2);
      const shape = { n: 3, m: 19, k: block === 1 ? 300 : Math.max(block, 64) * 2 };
      const { n, m, k } = shape;
      const weight = randomWeight(random, format, [m, k]);
      for (const [kind, values] of Object.entries(difficult)) {
        const parts = { x: values(random, n * k), weight, bias: undefined };
        for (const layout of layoutsOf(on.device, format, [m, k]))
          expectLinear(format, shape, parts, await run(format, shape, parts, layout), `${kind} in ${layout}`);
      }
    });

    it("is within its bound for difficult weights", async () => {
      const random = new Random(3);
      const shape = { n: 3, m: 5, k: block === 1 ? 300 : Math.max(block, 64) * 2 };
      const { n, m, k } = shape;
      const kinds = Object.entries(difficult).filter(([kind]) => kind !== "many magnitudes");
      for (const [kind, values] of kinds) {
        // Half precision ends at 65504: block scales and f16 must reach the values.
        const w = values(random, m * k).map((v) => Math.max(-60_000, Math.min(60_000, v)));
        const parts = { x: random.normals(n * k), weight: weightOf(format, w, m), bias: random.normals(m) };
        for (const layout of layoutsOf(on.device, format, [m, k]))
          expectLinear(format, shape, parts, await run(format, shape, parts, layout), `${kind} in ${layout}`);
      }
    });

    it("is within its bound at the ends of the range", async () => {
      const random = new Random(9);
      const shape = { n: 3, m: 19, k: block === 1 ? 100 : Math.max(block, 64) };
      const { n, m, k } = shape;
      // The largest values whose sums stay finite, of activations, then of weights; with minimums, activations
      // of a group are summed up by themselves.
      const ends = (count: number, size: number): Float32Array =>
        Float32Array.from({ length: count }, () => random.pick([-1, 1]) * size * (0.5 + random.next() / 2));
      const largest = ["q4_1", "q5_1", "q4_K", "q5_K"].includes(format) ? 3.4e38 / GROUP : 3.4e38;
      const top = ["f32", "bf16", "i8_row"].includes(format) ? 3.3e38 : 60_000;
      for (const [what, x, w] of [
        ["activations", ends(n * k, largest), random.normals(m * k, 0.2 / k)],
        ["weights", ends(n * k, Math.min(1000, largest / top / k)), ends(m * k, top)],
      ] as const) {
        const parts = { x, weight: weightOf(format, w, m), bias: undefined };
        for (const layout of layoutsOf(on.device, format, [m, k]))
          expectLinear(format, shape, parts, await run(format, shape, parts, layout), `${what} in ${layout}`);
      }
    });

    it("gives each row its own bits among 1 to 70 rows", async () => {
      const random = new Random(10);
      const [most, m, k] = [70, 19, block === 1 ? 67 : Math.max(block, 96)];
      const x = random.normals(most * k);
      const weight = randomWeight(random, format, [m, k]);
      for (const layout of layoutsOf(on.device, format, [m, k])) {
        const job = new Job(on.device);
        const [rows, w] = [job.f32(x, most, k), job.weight(format, [m, k], weight.bytes, layout)];
        const counts = Array.from({ length: most }, (_, i) => i + 1);
        const alone = counts.map((n) => linear(job.stream, rows.rows(n - 1, n), w));
        const together = counts.map((n) => linear(job.stream, rows.rows(0, n), w));
        const results = await job.run(...alone, ...together);
        const wanted = Float32Array.from(results.slice(0, most).flatMap((row) => [...row]));
        const parts = { x, weight, bias: undefined };
        expectLinear(format, { n: most, m, k }, parts, wanted, layout);
        for (const n of counts)
          expectSameBits(results[most + n - 1]!, wanted.subarray(0, n * m), `${n} rows in ${layout}`);
      }
    });

    it.skipIf(!haveShared)("is within its bound for the weights of a trained model", async () => {
      const n = 5;
      for (const { name, values, k } of trained()) {
        if (k % block !== 0) continue;
        const m = values.length / k;
        // What a layer would see: other rows of the same matrix, of about the size of a normalized vector.
        const x = values.slice(7 * k, (7 + n) * k).map((v) => 10 * v);
        const parts = { x, weight: weightOf(format, values, m), bias: undefined };
        for (const layout of layoutsOf(on.device, format, [m, k]))
          expectLinear(format, { n, m, k }, parts, await run(format, { n, m, k }, parts, layout), name);
      }
    });

    it.skipIf(formats[format].float)(
      "reaches the ends of the quants and scales: any bytes are weights",
      async () => {
        const random = new Random(4);
        const shape = { n: 2, m: 9, k: block === 1 ? 64 : Math.max(block, 64) };
        const { n, m, k } = shape;
        for (let round = 0; round < 8; round++) {
          const packed = randomWeight(random, format, [m, k]);
          // Every byte that is no scale is drawn anew.
          const [from = 0, to = Infinity] = scaleBytes[format] ?? [];
          const extreme = round % 2 === 1;
          const bytes = packed.bytes.map((byte, i) => {
            const at = i % (isRowwise(format) ? packed.bytes.length / m : formats[format].blockBytes);
            if (at >= from && at < to) return byte;
            return extreme ? random.pick([0, 255, 127, 128]) : random.int(0, 255);
          });
          const parts = { x: random.normals(n * k), weight: weightFrom(format, bytes, m), bias: undefined };
          for (const layout of layoutsOf(on.device, format, [m, k]))
            expectLinear(
              format,
              shape,
              parts,
              await run(format, shape, parts, layout),
              `round ${round} in ${layout}`,
            );
        }
      },
    );

    it("gives no finite number where there is none, and spoils no other row", async () => {
      const random = new Random(5);
      const shape = { n: 20, m: 21, k: block === 1 ? 100 : Math.max(block, 64) * 2 };
      const { n, m, k } = shape;
      const weight = randomWeight(random, format, [m, k]);
      const x = random.normals(n * k);
      for (const layout of layoutsOf(on.device, format, [m, k])) {
        const clean = await run(format, shape, { x, weight, bias: undefined }, layout);
        for (const bad of [Number.NaN, Infinity, -Infinity]) {
          const spoiled = x.slice();
          spoiled[7 * k + 41] = bad;
          const y = await run(format, shape, { x: spoiled, weight, bias: undefined }, layout);
          expectSameBits(y.subarray(0, 7 * m), clean.subarray(0, 7 * m), `${bad}, rows before`);
          expectSameBits(y.subarray(8 * m), clean.subarray(8 * m), `${bad}, rows after`);
          const row = [...y.subarray(7 * m, 8 * m)];
          expect(row.filter(Number.isFinite), `${bad} as ${layout}`).toEqual([]);
        }
      }
    });

    it("has no limit of its own on large and narrow matrices", async () => {
      const random = new Random(6);
      for (const { n, m, k } of [
        { n: 1, m: 1030, k: Math.max(block, 32) },
        { n: 2, m: 2, k: 32 * Math.max(block, 128) },
      ]) {
        const parts = {
          x: random.normals(n * k),
          weight: randomWeight(random, format, [m, k]),
          bias: undefined,
        };
        for (const layout of layoutsOf(on.device, format, [m, k]))
          expectLinear(
            format,
            { n, m, k },
            parts,
            await run(format, { n, m, k }, parts, layout),
            `[${m},${k}] in ${layout}`,
          );
      }
    });

    it("expert_linear is within its bound, with a row for each token or for each pick", async () => {
      const random = new Random(7);
      const [e, m, k] = [4, 18, Math.max(block, 32) * (block > 32 ? 1 : 2)];
      const weight = randomWeight(random, format, [e, m, k]);
      for (const n of [0, 1, 3, 24])
        for (const picks of [1, 2])
          for (const each of [false, true]) {
            const rows = each ? n * picks : n;
            const x = random.normals(rows * k);
            const bias = random.next() < 0.5 ? random.normals(e * m) : undefined;
            const experts = Array.from({ length: n }, () => random.order(e).slice(0, picks)).flat();
            for (const layout of layoutsOf(on.device, format, [e, m, k])) {
              const job = new Job(on.device);
              const y = expertLinear(
                job.stream,
                job.f32(x, rows, k),
                job.weight(format, [e, m, k], weight.bytes, layout),
                job.i32(experts, n, picks),
                bias && job.f32(bias, e, m),
              );
              const [actual] = await job.run(y);
              const wanted = Array.from({ length: n * picks * m }, (_, i) => {
                const [pick, j] = [Math.floor(i / m), i % m];
                const row = each ? pick : Math.floor(pick / picks);
                const at = experts[pick]! * m + j;
                return dot(format, x.subarray(row * k, (row + 1) * k), weight, at, bias ? bias[at]! : 0);
              });
              const what = `${n} × ${picks}, ${rows} rows, in ${layout}`;
              expectWithin(
                actual!,
                wanted.map((w) => w.y),
                (i) => wanted[i]!.bound,
                what,
              );
            }
          }
    });

    it("an expert's product has the bits of linear with that expert", async () => {
      const random = new Random(8);
      const [e, m, k] = [3, 18, Math.max(block, 64)];
      const weight = randomWeight(random, format, [e, m, k]);
      const size = weight.bytes.length / e;
      const x = random.normals(6 * k);
      const experts = [0, 2, 1, 1, 2, 0];
      for (const layout of layoutsOf(on.device, format, [e, m, k])) {
        const job = new Job(on.device);
        const picked = expertLinear(
          job.stream,
          job.f32(x, 6, k),
          job.weight(format, [e, m, k], weight.bytes, layout),
          job.i32(experts, 6, 1),
        );
        const alone = Array.from({ length: e }, (_, i) =>
          linear(
            job.stream,
            job.f32(x, 6, k),
            job.weight(format, [m, k], weight.bytes.subarray(i * size, (i + 1) * size), layout),
          ),
        );
        const [y, ...matrices] = await job.run(picked, ...alone);
        const wanted = experts.flatMap((expert, i) => [...matrices[expert]!.subarray(i * m, (i + 1) * m)]);
        expectSameBits(y!, Float32Array.from(wanted), layout);
      }
    });
  });

  it("sums the longest rows of i8_row, of the largest codes, exactly", async () => {
    const [m, k] = [3, MOST_ROW];
    const bytes = new Uint8Array(shapedBytes("i8_row", [m, k])).fill(128);
    for (let j = 0; j < m; j++) new DataView(bytes.buffer).setFloat32(j * (4 + k), 1, true);
    const weight: Weight = { bytes, values: new Float32Array(0), sizes: new Float32Array(0) };
    for (const n of [1, 5, 17])
      for (const layout of layoutsOf(on.device, "i8_row", [m, k])) {
        const x = new Float32Array(n * k).fill(127);
        const y = await run("i8_row", { n, m, k }, { x, weight, bias: undefined }, layout);
        expect([...new Set(y)]).toEqual([-128 * 127 * k]);
      }
  });

  it("no inputs give the bias", async () => {
    const parts = {
      x: new Float32Array(0),
      weight: weightOf("f32", new Float32Array(0)),
      bias: Float32Array.of(1, 2, 3),
    };
    expect([...(await run("f32", { n: 2, m: 3, k: 0 }, parts, "rows"))]).toEqual([1, 2, 3, 1, 2, 3]);
  });
});
