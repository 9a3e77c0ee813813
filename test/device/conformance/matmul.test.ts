/** matmul: all transposes and both formats against f64 sums with a derived bound; a result's bits are its own. */
import { describe, expect, it } from "vitest";
import type { Device, MatmulOptions, Tensor } from "../../../src/ops/index.ts";
import { linear, matmul } from "../../../src/ops/index.ts";
import { Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, gamma, TINY } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { type Weight, weightOf } from "../../support/weights.ts";

interface Shape {
  /** Matrices of a and of b: equal, or one of them 1. */
  readonly batches: readonly [number, number];
  readonly n: number;
  readonly k: number;
  readonly m: number;
}

const batchOf = ({ batches: [a, b] }: Shape): number => (a === 1 ? b : a);

interface Parts {
  /** Rows by k, and k by columns, whatever the transposes: [batch][n][k] and [batch][k][m]. */
  readonly a: Weight;
  readonly b: Weight;
  readonly c?: Float32Array | undefined;
}

type Format = "f32" | "bf16";
const transposes = [false, true].flatMap((transposeA) =>
  [false, true].map((transposeB) => ({ transposeA, transposeB })),
);

/** Each of `count` matrices [rows, columns] transposed. */
function transposed(x: Float32Array, count: number, rows: number, columns: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let i = 0; i < count; i++)
    for (let r = 0; r < rows; r++)
      for (let j = 0; j < columns; j++) y[(i * columns + j) * rows + r] = x[(i * rows + r) * columns + j]!;
  return y;
}

/** A tensor of the device with the given matrices, transposed in memory or not. */
function operand(
  job: Job,
  format: Format,
  values: Float32Array,
  [count, rows, columns]: readonly [number, number, number],
  transpose: boolean | undefined,
): Tensor {
  const lying = transpose ? transposed(values, count, rows, columns) : values;
  const shape = transpose ? [count, columns, rows] : [count, rows, columns];
  return format === "f32"
    ? job.f32(lying, ...shape)
    : job.weight(format, shape, weightOf(format, lying).bytes);
}

async function run(
  device: Device,
  shape: Shape,
  formats: readonly [Format, Format],
  { a, b, c }: Parts,
  options: MatmulOptions = {},
): Promise<Float32Array> {
  const { batches, n, k, m } = shape;
  const job = new Job(device);
  const left = operand(job, formats[0], a.values, [batches[0], n, k], options.transposeA);
  const right = operand(job, formats[1], b.values, [batches[1], k, m], options.transposeB);
  const start = c && job.f32(c, batchOf(shape), n, m);
  return (await job.run(matmul(job.stream, left, right, { ...options, c: start })))[0]!;
}

/**
 * A sum of k products in any order, and c: each product is rounded, then goes through at most k sums and the
 * rounding of the result (Higham 2002, section 4.2). Products that underflow lose at most one TINY each.
 */
function expectMatmul(shape: Shape, { a, b, c }: Parts, actual: Float32Array, what: string): void {
  const { batches, n, k, m } = shape;
  const batch = batchOf(shape);
  const wanted = new Float64Array(batch * n * m);
  const sizes = new Float64Array(wanted.length);
  for (let i = 0; i < batch; i++)
    for (let r = 0; r < n; r++)
      for (let j = 0; j < m; j++) {
        const at = (i * n + r) * m + j;
        let [sum, size] = [c ? c[at]! : 0, c ? Math.abs(c[at]!) : 0];
        for (let q = 0; q < k; q++) {
          const product =
            a.values[((i % batches[0]) * n + r) * k + q]! * b.values[((i % batches[1]) * k + q) * m + j]!;
          sum += product;
          size += Math.abs(product);
        }
        [wanted[at], sizes[at]] = [sum, size];
      }
  expectWithin(actual, wanted, (i) => gamma(k + 2) * sizes[i]! + (k + 2) * TINY, what);
}

const partsOf = (random: Random, shape: Shape, formats: readonly [Format, Format]): Parts => ({
  a: weightOf(formats[0], random.normals(shape.batches[0] * shape.n * shape.k)),
  b: weightOf(formats[1], random.normals(shape.batches[1] * shape.k * shape.m)),
  c: random.next() < 0.5 ? random.normals(batchOf(shape) * shape.n * shape.m) : undefined,
});

const formatPairs: readonly (readonly [Format, Format])[] = [
  ["f32", "f32"],
  ["bf16", "bf16"],
  ["f32", "bf16"],
  ["bf16", "f32"],
];

describe.each(subjects)("$name", (subject) => {
  const one = useDevice(subject, 1);
  const two = useDevice(subject, 2);

  describe.each(transposes)("a transposed: $transposeA, b transposed: $transposeB", (options) => {
    it.each(formatPairs)("%s by %s is within its bound, in all sizes", async (...formats) => {
      const random = new Random(1);
      const shapes = [1, 5, 14, 15, 33].flatMap((n) =>
        [1, 4, 31, 32, 70].map((m) => ({
          batches: random.pick([
            [1, 1],
            [2, 2],
            [1, 3],
            [3, 1],
          ] as const),
          n,
          k: random.pick([0, 1, 2, 15, 16, 33, 64, 256, 257, 530]),
          m,
        })),
      );
      for (const shape of [
        ...shapes,
        { batches: [1, 1], n: 0, k: 3, m: 4 } as const,
        { batches: [2, 2], n: 4, k: 3, m: 0 } as const,
        { batches: [0, 1], n: 4, k: 3, m: 5 } as const,
      ]) {
        const parts = partsOf(random, shape, formats);
        const y = await run(two.device, shape, formats, parts, options);
        expectMatmul(shape, parts, y, JSON.stringify(shape));
      }
    });

    it("is within its bound for difficult numbers", async () => {
      const random = new Random(2);
      const shape = { batches: [1, 1], n: 3, k: 300, m: 37 } as const;
      for (const [kind, values] of Object.entries(difficult))
        for (const hard of ["a", "b"] as const) {
          const usual = partsOf(random, shape, ["f32", "f32"]);
          const size = usual[hard].values.length;
          const parts = { ...usual, [hard]: weightOf("f32", values(random, size)) };
          const y = await run(two.device, shape, ["f32", "f32"], parts, options);
          expectMatmul(shape, parts, y, `${kind} ${hard}`);
        }
    });

    it("NaN and infinity reach their row or column, and nothing else", async () => {
      const random = new Random(3);
      const [n, k, m] = [17, 40, 35];
      const shape: Shape = { batches: [1, 1], n, k, m };
      const parts: Parts = { ...partsOf(random, shape, ["f32", "f32"]), c: undefined };
      const clean = await run(two.device, shape, ["f32", "f32"], parts, options);
      for (const bad of [Number.NaN, Infinity, -Infinity])
        for (const side of ["a", "b"] as const) {
          const spoiled = parts[side].values.slice();
          // Row 15 of a at k = 20, or column 33 of b.
          spoiled[side === "a" ? 15 * k + 20 : 20 * m + 33] = bad;
          const y = await run(
            two.device,
            shape,
            ["f32", "f32"],
            { ...parts, [side]: { ...parts[side], values: spoiled } },
            options,
          );
          y.forEach((value, at) => {
            const [row, column] = [Math.floor(at / m), at % m];
            if (side === "a" ? row !== 15 : column !== 33) expect(value).toBe(clean[at]);
            else {
              const other = side === "a" ? parts.b.values[20 * m + column]! : parts.a.values[row * k + 20]!;
              expect(value, `${bad} in ${side}, element ${row}, ${column}`).toBe(bad * other);
            }
          });
        }
    });

    it("an element's bits depend on its row and column alone", async () => {
      const random = new Random(4);
      const whole: Shape = { batches: [1, 1], n: 131, k: 600, m: 130 };
      const parts: Parts = { ...partsOf(random, whole, ["f32", "f32"]), c: undefined };
      const all = await run(two.device, whole, ["f32", "f32"], parts, options);
      for (const [n, m] of [
        [1, 1],
        [1, 130],
        [131, 1],
        [14, 32],
        [20, 96],
        [131, 130],
      ] as const)
        for (const device of [one.device, two.device]) {
          const [row, column] = [random.int(0, 131 - n), random.int(0, 130 - m)];
          const columnsOf = (values: Float32Array, from: number, count: number): Float32Array =>
            values.filter((_, at) => at % 130 >= from && at % 130 < from + count);
          const y = await run(
            device,
            { batches: [1, 1], n, k: 600, m },
            ["f32", "f32"],
            {
              a: weightOf("f32", parts.a.values.subarray(row * 600, (row + n) * 600)),
              b: weightOf("f32", columnsOf(parts.b.values, column, m)),
            },
            options,
          );
          const wanted = columnsOf(all.subarray(row * 130, (row + n) * 130), column, m);
          expectSameBits(y, wanted, `${n} rows from ${row}, ${m} columns from ${column}`);
        }
    });
  });

  it("a transpose, a batch and a broadcast change no bit", async () => {
    const random = new Random(5);
    const shape: Shape = { batches: [5, 1], n: 30, k: 270, m: 40 };
    const parts = partsOf(random, shape, ["bf16", "f32"]);
    const wanted = await run(two.device, shape, ["bf16", "f32"], parts);
    for (const options of transposes) {
      expectSameBits(
        await run(two.device, shape, ["bf16", "f32"], parts, options),
        wanted,
        JSON.stringify(options),
      );
      for (let i = 0; i < 5; i++) {
        const a = weightOf("f32", parts.a.values.subarray(i * 30 * 270, (i + 1) * 30 * 270));
        const c = parts.c?.subarray(i * 30 * 40, (i + 1) * 30 * 40);
        const alone = await run(
          one.device,
          { ...shape, batches: [1, 1] },
          ["f32", "f32"],
          { ...parts, a, c },
          options,
        );
        expectSameBits(alone, wanted.subarray(i * 30 * 40, (i + 1) * 30 * 40), `matrix ${i} alone`);
      }
    }
  });

  it.each([
    { batches: [1, 1], n: 800, k: 270, m: 33 },
    { batches: [1, 1], n: 20, k: 4100, m: 64 },
    { batches: [40, 40], n: 60, k: 70, m: 20 },
  ] as const)("is within its bound where it goes in rounds: $n, $k, $m", async (shape) => {
    const parts = partsOf(new Random(6), shape, ["f32", "f32"]);
    for (const options of transposes)
      expectMatmul(
        shape,
        parts,
        await run(two.device, shape, ["f32", "f32"], parts, options),
        JSON.stringify(options),
      );
  });

  it("takes matrices without a batch, and adds to what is there", async () => {
    const random = new Random(7);
    const [a, b] = [random.normals(6), random.normals(8)];
    const gradient = new Job(two.device);
    const y = gradient.buffer("f32", [3, 4]);
    const [left, right] = [gradient.f32(a, 2, 3), gradient.f32(b, 2, 4)];
    for (let i = 0; i < 2; i++) matmul(gradient.stream, left, right, { transposeA: true, c: y, y });
    const product = matmul(gradient.stream, left, right, { transposeA: true });
    expect(product.shape).toEqual([3, 4]);
    const [twice, once] = await gradient.run(y, product);
    expectSameBits(
      twice!,
      once!.map((v) => 2 * v),
    );
  });

  it("a product with a weight is the same as by linear, within twice the bound", async () => {
    const random = new Random(8);
    const [n, k, m] = [9, 500, 21];
    const [x, w] = [random.normals(n * k), weightOf("bf16", random.normals(m * k))];
    const job = new Job(two.device);
    const weight = job.weight("bf16", [m, k], w.bytes);
    const [left, right] = await job.run(
      matmul(job.stream, job.f32(x, n, k), weight, { transposeB: true }),
      linear(job.stream, job.f32(x, n, k), weight),
    );
    expectWithin(left!, right!, (i) => {
      let size = 0;
      for (let q = 0; q < k; q++)
        size += Math.abs(x[Math.floor(i / m) * k + q]! * w.values[(i % m) * k + q]!);
      return 2 * gamma(k + 2) * size;
    });
  });
});
