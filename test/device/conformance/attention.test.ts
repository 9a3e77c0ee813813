/** rope, cache_write and attend. */
import { describe, expect, it } from "vitest";
import { DenseCache } from "../../../src/cache/index.ts";
import { halfValue } from "../../../src/format/half.ts";
import { type CacheFormat, type RopeStyle, rope } from "../../../src/ops/index.ts";
import {
  asCached,
  attendBatch,
  attention,
  type Heads,
  type Options,
  randomSequence,
  type Sequence,
} from "../../support/attention.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, gamma, TINY, U } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

const groups: readonly Heads[] = [
  { heads: 1, kvHeads: 1, d: 8, dv: 8 },
  { heads: 4, kvHeads: 4, d: 16, dv: 16 },
  { heads: 4, kvHeads: 1, d: 64, dv: 64 },
  { heads: 6, kvHeads: 2, d: 20, dv: 12 },
  { heads: 7, kvHeads: 7, d: 5, dv: 3 },
  { heads: 2, kvHeads: 1, d: 128, dv: 128 },
  { heads: 8, kvHeads: 2, d: 80, dv: 80 },
];
const plain = { window: 0, softcap: 0 };

/** The same sequence with keys and values as a cache keeps them. */
const cached = (s: Sequence, keys: CacheFormat, values = keys): Sequence => ({
  ...s,
  k: asCached(s.k, keys),
  v: asCached(s.v, values),
});

/** Where the tests of `cache_write` find component c of position `at` in a page of a head. */
const keyPlace = (at: number, c: number, d: number): number => (Math.floor(at / 16) * d + c) * 16 + (at % 16);
const valuePlace = (at: number, c: number, d: number): number => at * d + c;

/** All numbers of one side of a cache, in the order of their codes or floats. */
function numbersOf(
  dtype: CacheFormat,
  bytes: Uint8Array,
  pages: number,
  page: number,
  width: number,
  place: typeof keyPlace,
): Float32Array {
  if (dtype === "f32") return new Float32Array(bytes.buffer);
  if (dtype === "f16") return Float32Array.from(new Uint16Array(bytes.buffer), (bits) => halfValue[bits]!);
  const numbers = new Float32Array(pages * page * width);
  const pageBytes = page * width * (34 / 32);
  for (let p = 0; p < pages; p++) {
    const codes = new Int8Array(bytes.buffer, p * pageBytes, page * width);
    const scales = new Uint16Array(bytes.buffer, p * pageBytes + page * width, (page * width) / 32);
    for (let at = 0; at < page; at++)
      for (let c = 0; c < width; c++) {
        const i = place(at, c, width);
        const scale = halfValue[scales[place(at, Math.floor(c / 32), width / 32)]!]!;
        numbers[p * page * width + i] = scale * codes[i]!;
      }
  }
  return numbers;
}

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it.each(["half", "interleaved"] as const)(
    "rope, %s, is within its bound and copies the rest",
    async (style) => {
      const random = new Random(1);
      for (const [kind, values] of Object.entries(difficult))
        for (const [n, heads, d, pairs] of [
          [0, 2, 8, 4],
          [1, 1, 2, 1],
          [3, 2, 64, 32],
          [5, 3, 80, 16],
          [2, 3, 10, 5],
          [7, 1, 128, 64],
          [4, 2, 7, 3],
          [3, 5, 96, 0],
        ] as const) {
          const x = values(random, n * heads * d);
          const angles = random.normals(n * pairs, 100);
          const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)];
          const { actual, wanted } = await both(on.device, (job) => [
            rope(
              job.stream,
              job.f32(x, n, heads, d),
              job.f32(cos, n, pairs),
              job.f32(sin, n, pairs),
              style as RopeStyle,
            ),
          ]);
          // A sum of two products: γ_2 of their sizes, each at most the size of the pair; the reference's rounding.
          const bound = (i: number): number => {
            const [row, c] = [Math.floor(i / d) * d, i % d];
            if (c >= 2 * pairs) return 0;
            const other = style === "half" ? (c + pairs) % (2 * pairs) : c ^ 1;
            return (
              gamma(2) * (Math.abs(x[i]!) + Math.abs(x[row + other]!)) +
              U * Math.abs(wanted[0]![i]!) +
              2 * TINY
            );
          };
          expectWithin(actual[0]!, wanted[0]!, bound, `${kind} [${n},${heads},${d}], ${pairs} pairs`);
        }
    },
  );

  it.each(["f32", "f16", "q8_0"] as const)(
    "cache_write into %s pages is exact, and touches nothing else",
    async (dtype) => {
      const random = new Random(2);
      for (const page of [16, 64])
        for (const n of [0, 1, 5, 40]) {
          const [pages, heads, d, dv] = [
            Math.ceil(48 / page),
            3,
            random.pick(dtype === "q8_0" ? [32, 96] : [1, 5, 8, 33]),
            random.pick(dtype === "q8_0" ? [32, 64] : [1, 4, 64]),
          ];
          const slots = random.order(pages * page).slice(0, n);
          // f16: ties, the denormal range, overflow to infinity, NaN.
          const hard = [
            1 + 2 ** -11,
            1 + 3 * 2 ** -11,
            6e-8,
            2.9e-8,
            -3e-6,
            65519,
            65520,
            -1e9,
            Infinity,
            Number.NaN,
            -0,
          ];
          const mix = (count: number): Float32Array =>
            Float32Array.from({ length: count }, () =>
              random.next() < 0.3 ? random.pick(hard) : random.normal(),
            );
          const [k, v] = [mix(n * heads * d), mix(n * heads * dv)];
          const job = new Job(on.device);
          const keys = job.buffer(dtype, [pages, heads, page, d]);
          const values = job.buffer(dtype, [pages, heads, page, dv]);
          job.stream.push({
            kind: "cache_write",
            k: job.f32(k, n, heads, d),
            v: job.f32(v, n, heads, dv),
            slots: job.i32(slots, n),
            keys,
            values,
          });
          const outputs = await job.bytes(keys, values);
          for (const [source, width, bytes, place] of [
            [k, d, outputs[0]!, keyPlace],
            [v, dv, outputs[1]!, valuePlace],
          ] as const) {
            const kept = asCached(source, dtype);
            const wanted = new Float32Array(pages * heads * page * width);
            slots.forEach((slot, i) => {
              for (let head = 0; head < heads; head++)
                for (let c = 0; c < width; c++) {
                  const at = (Math.floor(slot / page) * heads + head) * page * width;
                  wanted[at + place(slot % page, c, width)] = kept[(i * heads + head) * width + c]!;
                }
            });
            const count = pages * heads;
            const actual = numbersOf(dtype, bytes.slice(), count, page, width, place);
            expectSameBits(actual, wanted, `${n} rows of ${width}, page ${page}`);
          }
        }
    },
  );

  it("what q8_0 keeps is within its bound", () => {
    const random = new Random(13);
    for (const [kind, values] of Object.entries(difficult)) {
      const x = values(random, 64 * 32).map((v) => Math.max(-8e6, Math.min(8e6, v)));
      const kept = asCached(x, "q8_0");
      for (let g = 0; g < x.length; g += 32) {
        const most = x.subarray(g, g + 32).reduce((max, v) => Math.max(max, Math.abs(v)), 0);
        const bound = (most / 254) * (1 + 2 ** -10) + 2 ** -18;
        for (let i = g; i < g + 32; i++)
          expect(Math.abs(kept[i]! - x[i]!), `${kind}, ${x[i]}`).toBeLessThanOrEqual(bound);
      }
    }
  });

  describe.each(["f32", "f16"] as const)("attend over %s", (dtype) => {
    async function check(
      sequences: readonly Sequence[],
      h: Heads,
      options: Options & { page: number },
      what: string,
    ): Promise<void> {
      const job = new Job(on.device);
      const [actual] = await job.run(attendBatch(job, new Random(9), sequences, h, { ...options, dtype }));
      let row = 0;
      for (const [t, s] of sequences.entries()) {
        const { y, bound } = attention(cached(s, dtype), h, options);
        const width = h.heads * h.dv;
        const own = actual!.subarray(row * width, (row + s.rows) * width);
        expectWithin(own, y, (i) => bound[i]!, `${what}, sequence ${t} (${s.rows} of ${s.length})`);
        row += s.rows;
      }
    }

    it.each(groups)("is within its bound: $heads heads on $kvHeads, $d wide", async (h) => {
      const random = new Random(3);
      const scale = 1 / Math.sqrt(h.d);
      for (const [length, rows] of [
        [1, 1],
        [2, 2],
        [17, 17],
        [40, 3],
        [255, 1],
        [256, 1],
        [257, 2],
        [600, 5],
      ] as const) {
        const s = randomSequence(random, h, length, rows);
        await check([s], h, { ...plain, scale, page: random.pick([16, 64, 256]) }, "one");
      }
    });

    it("is within its bound for ragged batches", async () => {
      const random = new Random(4);
      const h = { heads: 4, kvHeads: 2, d: 32, dv: 32 };
      const sizes = [
        [1, 1],
        [300, 1],
        [33, 33],
        [5, 0],
        [513, 7],
        [64, 1],
      ] as const;
      for (const page of [16, 64, 256]) {
        const sequences = sizes.map(([length, rows]) => randomSequence(random, h, length, rows));
        await check(sequences, h, { ...plain, scale: 0.2, page }, `page ${page}`);
      }
    });

    it("is within its bound with windows and softcaps", async () => {
      const random = new Random(5);
      const h = { heads: 4, kvHeads: 2, d: 32, dv: 16 };
      for (const window of [1, 2, 15, 16, 17, 100, 256, 300, 10_000])
        for (const softcap of [0, 5, 50]) {
          const sequences = [randomSequence(random, h, 70, 70), randomSequence(random, h, 530, 4)];
          await check(
            sequences,
            h,
            { scale: 0.5, window, softcap, page: 16 },
            `window ${window}, cap ${softcap}`,
          );
        }
    });

    it("sees both sides when it is not causal, with windows and in ragged batches", async () => {
      const random = new Random(12);
      const h = { heads: 4, kvHeads: 2, d: 32, dv: 16 };
      const sizes = [
        [1, 1],
        [300, 300],
        [70, 70],
        [5, 0],
        [530, 9],
      ] as const;
      for (const window of [0, 1, 2, 17, 100, 256, 10_000]) {
        const sequences = sizes.map(([length, rows]) => randomSequence(random, h, length, rows));
        const options = { scale: 0.3, window, softcap: 0, causal: 0, page: 64 } as const;
        await check(sequences, h, options, `window ${window}`);
      }
    });

    it("is within its bound for sharp, flat and one-sided scores", async () => {
      const random = new Random(6);
      const h = { heads: 2, kvHeads: 1, d: 32, dv: 32 };
      for (const scale of [0, 1e-4, 3, -1]) {
        const sequences = [randomSequence(random, h, 300, 6)];
        await check(sequences, h, { ...plain, scale, page: 64 }, `scale ${scale}`);
      }
      // Scores that rise or fall from tile to tile, so that every merge rescales: up to ±80.
      for (const slope of [80, -80]) {
        const s = randomSequence(random, h, 1100, 2);
        s.q.fill(1);
        for (let j = 0; j < s.length; j++) s.k.fill((slope * j) / s.length / 32, j * h.d, (j + 1) * h.d);
        await check([s], h, { ...plain, scale: 1, page: 16 }, `slope ${slope}`);
      }
    });

    it("one key gives its value, whatever the score", async () => {
      const h = { heads: 2, kvHeads: 1, d: 4, dv: 3 };
      for (const size of [0, 1, 1000]) {
        const s = {
          length: 1,
          rows: 1,
          q: new Float32Array(8).fill(size),
          k: new Float32Array(4).fill(size),
          v: Float32Array.of(1, -2, 0.5),
        };
        const job = new Job(on.device);
        const [y] = await job.run(
          attendBatch(job, new Random(1), [s], h, { ...plain, scale: 1, page: 16, dtype }),
        );
        expect([...y!]).toEqual([1, -2, 0.5, 1, -2, 0.5]);
      }
    });

    it("a NaN that is the only key of its tile is not lost", async () => {
      const h = { heads: 1, kvHeads: 1, d: 8, dv: 8 };
      const s = randomSequence(new Random(10), h, 257, 1);
      s.k.fill(Number.NaN, 256 * h.d);
      const job = new Job(on.device);
      const y = attendBatch(job, new Random(8), [s], h, { ...plain, scale: 0.3, page: 16, dtype });
      expect((await job.run(y))[0]!.every(Number.isNaN)).toBe(true);
    });

    it("a tile whose scores overflow to −∞ weighs nothing", async () => {
      const h = { heads: 1, kvHeads: 1, d: 8, dv: 8 };
      const s = randomSequence(new Random(10), h, 257, 1);
      s.q.fill(1e38);
      s.k.fill(0).fill(-60_000, 256 * h.d);
      s.v.fill(1);
      const job = new Job(on.device);
      const y = attendBatch(job, new Random(8), [s], h, { ...plain, scale: 1, page: 16, dtype });
      expect([...(await job.run(y))[0]!]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    });

    it("NaN in a query or a value spoils its own results alone", async () => {
      const random = new Random(7);
      const h = { heads: 2, kvHeads: 2, d: 16, dv: 16 };
      const s = randomSequence(random, h, 300, 4);
      const run = async (): Promise<Float32Array> => {
        const job = new Job(on.device);
        return (
          await job.run(attendBatch(job, new Random(8), [s], h, { ...plain, scale: 0.3, page: 16, dtype }))
        )[0]!;
      };
      const clean = await run();
      s.q[(1 * h.heads + 1) * h.d + 3] = Number.NaN;
      const query = await run();
      const at = (1 * h.heads + 1) * h.dv;
      expect([...query.subarray(at, at + h.dv)].every(Number.isNaN)).toBe(true);
      expectSameBits(query.subarray(0, at), clean.subarray(0, at));
      expectSameBits(query.subarray(at + h.dv), clean.subarray(at + h.dv));
      s.q[(1 * h.heads + 1) * h.d + 3] = 0.5;
      s.v[(298 * h.kvHeads + 0) * h.dv + 2] = Number.NaN;
      const value = await run();
      // Rows stand at 296…299: those from 298 on see the value, in head 0, column 2.
      for (const [i, y] of value.entries()) {
        const [row, head, c] = [Math.floor(i / (h.heads * h.dv)), Math.floor(i / h.dv) % h.heads, i % h.dv];
        expect(Number.isNaN(y), `row ${row}, head ${head}, column ${c}`).toBe(
          row >= 2 && head === 0 && c === 2,
        );
      }
    });
  });

  it("attend over q8_0 is within its bound", async () => {
    const random = new Random(14);
    for (const h of [
      { heads: 4, kvHeads: 1, d: 64, dv: 64 },
      { heads: 14, kvHeads: 2, d: 32, dv: 96 },
      { heads: 2, kvHeads: 2, d: 128, dv: 128 },
    ])
      for (const [length, rows, causal, window] of [
        [1, 1, 1, 0],
        [17, 17, 1, 0],
        [300, 1, 1, 0],
        [257, 70, 1, 0],
        [600, 5, 1, 100],
        [270, 270, 0, 0],
      ] as const) {
        const s = randomSequence(random, h, length, rows);
        const options = { scale: 0.2, window, softcap: 0, causal, page: 64 };
        const job = new Job(on.device);
        const [actual] = await job.run(attendBatch(job, random, [s], h, { ...options, dtype: "q8_0" }));
        const { y, bound } = attention(cached(s, "q8_0"), h, options);
        expectWithin(actual!, y, (i) => bound[i]!, `${rows} of ${length}, ${h.d} wide`);
      }
  });

  it("keys and values may have different dtypes", async () => {
    const h = { heads: 2, kvHeads: 1, d: 32, dv: 64 };
    const s = randomSequence(new Random(11), h, 300, 3);
    for (const [dtype, valueDtype] of [
      ["f32", "f16"],
      ["f16", "f32"],
      ["q8_0", "f16"],
      ["f32", "q8_0"],
    ] as const) {
      const options = { ...plain, scale: 0.3, page: 64, dtype, valueDtype };
      const job = new Job(on.device);
      const [actual] = await job.run(attendBatch(job, new Random(8), [s], h, options));
      const { y, bound } = attention(cached(s, dtype, valueDtype), h, options);
      expectWithin(actual!, y, (i) => bound[i]!, `${dtype} keys, ${valueDtype} values`);
    }
  });

  it("a batch of no rows is nothing", async () => {
    const h = { heads: 2, kvHeads: 1, d: 8, dv: 8 };
    const job = new Job(on.device);
    const s = randomSequence(new Random(1), h, 5, 0);
    expect(
      await job.run(attendBatch(job, new Random(1), [s], h, { ...plain, scale: 1, page: 16, dtype: "f32" })),
    ).toEqual([new Float32Array(0)]);
  });

  it("a cache in q8_0 counts its bytes, and refuses heads that do not fill groups", () => {
    const shape = { kvHeads: 2, keyDim: 64, valueDim: 32 };
    const cache = new DenseCache(on.device, [shape, shape], { format: "q8_0", tokens: 128 });
    expect(cache.bytes()).toBe(2 * 128 * 2 * (68 + 34));
    cache.close();
    const odd = { ...shape, keyDim: 80 };
    expect(() => new DenseCache(on.device, [shape, odd], { format: "q8_0" })).toThrow(
      /cacheFormat: q8_0 rounds groups of 32, and does not fit heads of 80; take f16/,
    );
  });
});
