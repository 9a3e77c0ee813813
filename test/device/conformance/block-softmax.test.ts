/** The maxima and sums of exponentials of blocks of logits. */
import { describe, expect, it } from "vitest";
import { blockSoftmax, SOFTMAX_BLOCK, type Tensor } from "../../../src/ops/index.ts";
import { both, type Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, gamma, TINY, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

const SCALES = [0, 1, 1.25, 0.003, 40, 1e38];

const push = (job: Job, x: Float32Array, n: number, scales: readonly number[]): Tensor[] => [
  blockSoftmax(
    job.stream,
    job.f32(x, n, x.length / n),
    job.f32(
      Float32Array.from({ length: n * scales.length }, (_, i) => scales[i % scales.length]!),
      n,
      scales.length,
    ),
  ),
];

/** [1 + sums, blocks] of one row, from the equations. */
const bounds = (x: Float32Array, scales: readonly number[]): number[] => {
  const list: number[] = [];
  for (const scale of [-1, ...scales])
    for (let at = 0; at < x.length; at += SOFTMAX_BLOCK) {
      const block = x.subarray(at, at + SOFTMAX_BLOCK);
      const most = Math.max(...block);
      let bound = 0;
      for (const v of block) {
        const z = Math.abs(scale * (v - most));
        bound += (gamma(16) + gamma(4) * (z < 1e4 ? z : 0)) * Math.exp(-z) + 2 ** -126;
      }
      list.push(scale < 0 ? 0 : bound);
    }
  return list;
};

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("block_softmax is within its bound, its maxima exact", async () => {
    const random = new Random(1);
    const kinds = { ...difficult, logits: (r: Random, n: number) => r.normals(n, 5) };
    for (const [kind, values] of Object.entries(kinds))
      for (const d of [...widths, 64, 128, 3000]) {
        const n = 3;
        const x = values(random, n * d);
        const { actual, wanted } = await both(on.device, (job) => push(job, x, n, SCALES));
        const all = Array.from({ length: n }, (_, i) =>
          bounds(x.subarray(i * d, (i + 1) * d), SCALES),
        ).flat();
        expectWithin(actual[0]!, wanted[0]!, (i) => all[i]! + TINY, `${kind}, ${d} columns`);
      }
  });

  it("NaN is its block's maximum, infinities as they are; a block of nothing weighs nothing", async () => {
    const [n, d] = [5, 150];
    const x = new Random(2).normals(n * d);
    const row = (i: number): Float32Array => x.subarray(i * d, (i + 1) * d);
    for (let at = 0; at < SOFTMAX_BLOCK; at += 7) {
      const copy = x.slice();
      const in_ = (i: number): Float32Array => copy.subarray(i * d, (i + 1) * d);
      in_(0)[at] = Number.NaN;
      in_(1)[SOFTMAX_BLOCK + at] = Infinity;
      in_(1)[149] = Number.NaN;
      in_(2).fill(-Infinity, 0, SOFTMAX_BLOCK);
      in_(3).fill(-Infinity);
      in_(4).fill(-Infinity, at + 1, d);
      const { actual, wanted } = await both(on.device, (job) => push(job, copy, n, [1]));
      const maxima = (i: number): number[] => Array.from(actual[0]!.subarray(i * 6, i * 6 + 3));
      expect(maxima(0)).toEqual([
        Number.NaN,
        Math.max(...row(0).subarray(64, 128)),
        Math.max(...row(0).subarray(128)),
      ]);
      expect(maxima(1)).toEqual([Math.max(...row(1).subarray(0, 64)), Infinity, Number.NaN]);
      expect(maxima(2)[0]).toBe(-Infinity);
      expect(Array.from(actual[0]!.subarray(18, 24))).toEqual([-Infinity, -Infinity, -Infinity, 0, 0, 0]);
      for (const i of [2, 4])
        expectWithin(
          actual[0]!.subarray(i * 6, i * 6 + 6),
          wanted[0]!.subarray(i * 6, i * 6 + 6),
          () => 1e-4,
        );
    }
  });

  it("a row has the same bits beside any others, and on any number of threads", async () => {
    const [n, d] = [7, 1000];
    const x = new Random(3).normals(n * d, 4);
    const all = (await both(on.device, (job) => push(job, x, n, SCALES))).actual[0]!;
    const size = all.length / n;
    for (const threads of [1, 3]) {
      const device = await subject.open(threads);
      for (let i = 0; i < n; i++) {
        const { actual } = await both(device, (job) => push(job, x.slice(i * d, (i + 1) * d), 1, SCALES));
        expectSameBits(actual[0]!, all.subarray(i * size, (i + 1) * size), `row ${i}, ${threads} threads`);
      }
      await device.close();
    }
  });
});
