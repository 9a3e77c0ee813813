/**
 * A result's bits depend on its own row and shape alone: not on the rows beside it, the number of threads, the
 * chunks of a prompt, the pages it lies in, or the sequences in its batch.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type FormatName, formats } from "../../../src/format/index.ts";
import {
  activation,
  add,
  combine,
  type Device,
  expertLinear,
  gated,
  layerNorm,
  linear,
  rmsNorm,
  rope,
  route,
  softcap,
  type Tensor,
} from "../../../src/ops/index.ts";
import { attendBatch, part, randomSequence } from "../../support/attention.ts";
import { Job, layoutsOf, subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { randomWeight } from "../../support/weights.ts";

/** Rows of a batch that holds the row in question. */
const crowds = [1, 2, 7, 64, 513];

/** Works on n rows of d, each result row from its own row: what is common comes from the same seed each time. */
interface RowWork {
  readonly name: string;
  readonly d: number;
  build(job: Job, x: Tensor, layout: string): Tensor;
  readonly format?: FormatName;
  readonly weightShape?: readonly number[];
}

const formatNames = Object.keys(formats) as FormatName[];

const works: readonly RowWork[] = [
  { name: "rmsnorm", d: 333, build: (job, x) => rmsNorm(job.stream, x, common(job, 1, 333), 1e-5) },
  {
    name: "layernorm",
    d: 333,
    build: (job, x) => layerNorm(job.stream, x, common(job, 1, 333), common(job, 1, 333), 1e-5),
  },
  { name: "activation", d: 77, build: (job, x) => activation(job.stream, x, "gelu") },
  { name: "gated", d: 77, build: (job, x) => gated(job.stream, x, x, "silu") },
  { name: "softcap", d: 77, build: (job, x) => softcap(job.stream, x, 3) },
  { name: "add of one row", d: 77, build: (job, x) => add(job.stream, x, common(job, 1, 77)) },
  {
    name: "rope",
    d: 4 * 20,
    build(job, x) {
      const n = x.dim(0);
      const angles = job.f32(new Float32Array(n * 8).fill(0.6), n, 8);
      return rope(job.stream, x.reshape(n, 4, 20), angles, angles, "half").reshape(n, 80);
    },
  },
  {
    name: "route and combine",
    d: 60,
    build(job, x) {
      const { weights } = route(job.stream, x, 4, true);
      return combine(job.stream, x.reshape(x.dim(0) * 4, 15), weights);
    },
  },
  ...formatNames.flatMap((format): RowWork[] => {
    const k = 2 * Math.max(formats[format].block, 64);
    const matrix = randomWeight(new Random(11), format, [67, k]);
    const stack = randomWeight(new Random(12), format, [4, 35, k]);
    return [
      {
        name: `linear, ${format}`,
        d: k,
        format,
        weightShape: [67, k],
        build: (job, x, layout) =>
          linear(job.stream, x, job.weight(format, [67, k], matrix.bytes, layout), common(job, 67)),
      },
      {
        name: `expert_linear, ${format}`,
        d: k,
        format,
        weightShape: [4, 35, k],
        build(job, x, layout) {
          // The experts depend on the row's content, so that they are the same in every crowd.
          const { experts } = route(job.stream, linear(job.stream, x, common(job, 4, k)), 2, true);
          const w = job.weight(format, [4, 35, k], stack.bytes, layout);
          return expertLinear(job.stream, x, w, experts).reshape(x.dim(0), 2 * 35);
        },
      },
    ];
  }),
];

const common = (job: Job, ...shape: number[]): Tensor =>
  job.f32(new Random(10).normals(shape.reduce((a, b) => a * b, 1)), ...shape);

describe.each(subjects)("$name", (subject) => {
  const one = useDevice(subject, 1);
  const two = useDevice(subject, 2);

  it.each(works)("$name: a row's bits are its own", async ({ d, build, format, weightShape }) => {
    const random = new Random(2);
    const x = random.normals(513 * d);
    const layouts = format && weightShape ? layoutsOf(two.device, format, weightShape) : ["rows"];
    const run = async (device: Device, rows: Float32Array, layout: string): Promise<Float32Array> => {
      const job = new Job(device);
      return (await job.run(build(job, job.f32(rows, rows.length / d, d), layout)))[0]!;
    };
    let before: Float32Array | undefined;
    for (const layout of layouts) {
      const largest = crowds.at(-1)!;
      const all = await run(two.device, x.subarray(0, largest * d), layout);
      const width = all.length / largest;
      for (const n of crowds)
        for (const device of [one.device, two.device]) {
          const start = random.pick([0, largest - n, random.int(0, largest - n)]);
          const crowd = await run(device, x.subarray(start * d, (start + n) * d), layout);
          const what = `${n} rows from ${start}, ${device === one.device ? 1 : 2} threads, ${layout}`;
          expectSameBits(crowd, all.subarray(start * width, (start + n) * width), what);
        }
      // Rows and panels hold the same values and add them up in the same order.
      if (before) expectSameBits(all, before, "panels as rows");
      before = all;
    }
  });

  describe.each([
    { dtype: "f32", window: 0, softcap: 0 },
    { dtype: "f16", window: 0, softcap: 0 },
    { dtype: "f16", window: 70, softcap: 20 },
    { dtype: "q8_0", window: 0, softcap: 0 },
  ] as const)("attention over $dtype, window $window, softcap $softcap", (options) => {
    const h = { heads: 4, kvHeads: 2, d: 32, dv: options.dtype === "q8_0" ? 32 : 24 };
    const width = h.heads * h.dv;
    const length = 389;
    const random = new Random(3);
    const s = randomSequence(random, h, length, length);
    const others = [
      [1, 1],
      [300, 300],
      [700, 2],
    ].map(([len, rows]) => randomSequence(random, h, len!, rows!));
    const run = async (
      device: Device,
      sequences: Parameters<typeof attendBatch>[2],
      page: number,
      seed: number,
      causal: 0 | 1 = 1,
    ): Promise<Float32Array> => {
      const job = new Job(device);
      const y = attendBatch(job, new Random(seed), sequences, h, { ...options, scale: 0.4, page, causal });
      return (await job.run(y))[0]!;
    };
    let whole: Float32Array;
    beforeAll(async () => {
      whole = await run(two.device, [s], 256, 1);
    });

    it.each([1, 7, 64, 200])("a prompt in chunks of %i", async (chunk) => {
      for (let start = 0; start < length; start += chunk) {
        // Every chunk of 1 would take long: those around tile and page borders and some others.
        if (chunk === 1 && start > 5 && ![62, 63, 64, 65, 127, 128, 254, 255, 256, 257, 388].includes(start))
          continue;
        const end = Math.min(length, start + chunk);
        const y = await run(two.device, [part(s, h, start, end)], 64, start);
        expectSameBits(y, whole.subarray(start * width, end * width), `rows ${start} to ${end}`);
      }
    });

    it.each([16, 64, 256])("in pages of %i, dealt in any order, with 1 and 2 threads", async (page) => {
      for (const device of [one.device, two.device])
        for (const seed of [1, 2]) expectSameBits(await run(device, [s], page, seed), whole);
    });

    it("among other sequences, whole and in chunks", async () => {
      const crowd = await run(two.device, [others[0]!, s, others[1]!, others[2]!], 16, 5);
      expectSameBits(crowd.subarray(width, (1 + length) * width), whole);
      for (const [start, end] of [
        [388, 389],
        [0, 1],
        [250, 270],
      ] as const) {
        const y = await run(one.device, [others[1]!, part(s, h, start, end), others[2]!], 64, 6);
        const at = 300 * width;
        expectSameBits(
          y.subarray(at, at + (end - start) * width),
          whole.subarray(start * width, end * width),
        );
      }
    });

    it("a batch that sees both sides is each of its sequences alone", async () => {
      const whole = others.filter(({ length, rows }) => length === rows);
      const both = (device: Device, sequences: typeof others, page: number): Promise<Float32Array> =>
        run(device, sequences, page, 9, 0);
      const batch = await both(two.device, [...whole, s], 16);
      let row = 0;
      for (const each of [...whole, s]) {
        const alone = await both(one.device, [each], 64);
        expectSameBits(batch.subarray(row * width, (row + each.rows) * width), alone);
        row += each.rows;
      }
    });

    it("a batch is each of its sequences alone", async () => {
      const batch = await run(two.device, others, 16, 7);
      let row = 0;
      for (const other of others) {
        const alone = await run(one.device, [other], 64, 8);
        expectSameBits(batch.subarray(row * width, (row + other.rows) * width), alone);
        row += other.rows;
      }
      expect(batch.length).toBe(row * width);
    });
  });
});
