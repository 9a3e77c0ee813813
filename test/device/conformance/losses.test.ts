/** Cross-entropy and divergence with their derivatives, within the bounds of their definitions. */
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../../src/ops/index.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { expectWithin, gamma, U, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

const IGNORE = -100;
const largest = (x: ArrayLike<number>): number => Array.from(x).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const rounds = (v: number): number => Math.ceil(Math.log2(v));

/** Rows of logits: usual ones, nearly certain ones, very large ones, and all equal. */
const kinds: Readonly<Record<string, (random: Random, n: number) => Float32Array>> = {
  normal: (random, n) => random.normals(n, 3),
  certain: (random, n) => Float32Array.from(random.normals(n), (x, i) => (i % 97 === 0 ? 40 : x)),
  large: (random, n) => random.normals(n, 300),
  equal: (_, n) => new Float32Array(n).fill(-2.5),
};

function pushCrossEntropy(
  { stream }: Pick<Job, "stream">,
  logits: Tensor,
  targets: Tensor,
  dloss: Tensor,
  smoothing: number,
): Tensor[] {
  const n = logits.dim(0);
  const [loss, lse] = [stream.empty("f32", [n, 1]), stream.empty("f32", [n, 1])];
  const dlogits = stream.empty("f32", logits.shape);
  const settings = { smoothing, ignore: IGNORE };
  stream.push({ kind: "cross_entropy", logits, targets, loss, lse, ...settings });
  stream.push({ kind: "cross_entropy_grad", logits, targets, lse, dloss, dlogits, ...settings });
  return [loss, lse, dlogits];
}

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("cross_entropy and its derivative are within their bounds", async () => {
    const random = new Random(1);
    for (const [kind, values] of Object.entries(kinds))
      for (const v of [...widths, 3000])
        for (const smoothing of [0, 0.1]) {
          const n = 5;
          const [x, back] = [values(random, n * v), random.normals(n)];
          const targets = Array.from({ length: n }, (_, i) => (i === 2 ? IGNORE : random.int(0, v - 1)));
          const { actual, wanted } = await both(on.device, (job) =>
            pushCrossEntropy(job, job.f32(x, n, v), job.i32(targets, n), job.f32(back, n, 1), smoothing),
          );
          const what = `${kind}, ${v} classes, smoothing ${smoothing}`;
          const [loss, lse, dlogits] = [wanted[0]!, wanted[1]!, wanted[2]!];
          const tops = Array.from({ length: n }, (_, i) => largest(x.subarray(i * v, (i + 1) * v)));
          const most = (i: number): number => tops[i]!;
          const bound = (i: number): number => gamma(8 + rounds(v)) * (Math.abs(lse[i]!) + most(i) + 1);
          expectWithin(actual[0]!, loss, bound, `${what}: loss`);
          expectWithin(actual[1]!, lse, bound, `${what}: lse`);
          expect(actual[0]![2]).toBe(0);
          const slope = (at: number): number => {
            const i = Math.floor(at / v);
            const p = Math.exp(x[at]! - lse[i]!);
            // What the logarithm may be off by goes through the exponential.
            const size = 8 + Math.abs(x[at]!) + Math.abs(lse[i]!);
            return Math.abs(back[i]!) * (p * (size * U + bound(i)) + 2 * U);
          };
          expectWithin(actual[2]!, dlogits, slope, `${what}: dlogits`);
        }
  });

  it("a target that is no class makes its row NaN, and no other", async () => {
    // The reference refuses it.
    if (on.device.name === "reference") return;
    for (const target of [-1, 3, 2 ** 31 - 1]) {
      const job = new Job(on.device);
      const [logits, back] = [job.f32(new Random(2).normals(6), 2, 3), job.f32(Float32Array.of(1, 1), 2, 1)];
      const [loss, lse, dlogits] = await job.run(
        ...pushCrossEntropy(job, logits, job.i32([target, 1], 2), back, 0),
      );
      expect(Array.from(loss!, Number.isNaN)).toEqual([true, false]);
      expect(Array.from(lse!, Number.isNaN)).toEqual([false, false]);
      expect(Array.from(dlogits!, Number.isNaN)).toEqual([true, true, true, false, false, false]);
    }
  });

  it("NaN and infinity make their row NaN, and no other", async () => {
    for (const bad of [Number.NaN, Infinity]) {
      const x = new Random(3).normals(3 * 40);
      x[45] = bad;
      const { actual } = await both(on.device, (job) =>
        pushCrossEntropy(
          job,
          job.f32(x, 3, 40),
          job.i32([0, 1, 2], 3),
          job.f32(new Float32Array(3).fill(1), 3, 1),
          0,
        ),
      );
      expect(Array.from(actual[0]!, Number.isNaN), `${bad}`).toEqual([false, true, false]);
    }
  });

  it("a class that cannot be has no part", async () => {
    const x = Float32Array.of(1, -Infinity, 2);
    const { actual, wanted } = await both(on.device, (job) =>
      pushCrossEntropy(job, job.f32(x, 1, 3), job.i32([2], 1), job.f32(Float32Array.of(1), 1, 1), 0),
    );
    for (const i of [0, 1, 2]) expectWithin(actual[i]!, wanted[i]!, () => 1e-6);
    expect(actual[2]![1]).toBe(0);
  });

  it("kl_divergence and its derivative are within their bounds", async () => {
    const random = new Random(4);
    for (const [kind, values] of Object.entries(kinds))
      for (const v of [...widths, 3000])
        for (const temperature of [1, 2.5]) {
          const n = 3;
          const [x, t, back] = [values(random, n * v), random.normals(n * v, 2), random.normals(n)];
          const { actual, wanted } = await both(on.device, (job) => {
            const [logits, teacher] = [job.f32(x, n, v), job.f32(t, n, v)];
            const { stream } = job;
            const [loss, lse] = [stream.empty("f32", [n, 1]), stream.empty("f32", [n, 2])];
            const dlogits = stream.empty("f32", [n, v]);
            const dloss = job.f32(back, n, 1);
            stream.push({ kind: "kl_divergence", logits, teacher, loss, lse, temperature });
            stream.push({ kind: "kl_divergence_grad", logits, teacher, lse, dloss, dlogits, temperature });
            return [loss, lse, dlogits];
          });
          const what = `${kind}, ${v} classes, temperature ${temperature}`;
          const [loss, lse, dlogits] = [wanted[0]!, wanted[1]!, wanted[2]!];
          const tops = Array.from(
            { length: n },
            (_, i) => largest(x.subarray(i * v, (i + 1) * v)) + largest(t.subarray(i * v, (i + 1) * v)),
          );
          const most = (i: number): number => tops[i]! / temperature;
          const bound = (i: number): number => gamma(12 + rounds(v)) * (most(i) + 1);
          expectWithin(actual[0]!, loss, bound, `${what}: loss`);
          expectWithin(
            actual[1]!,
            lse,
            (i) => gamma(8 + rounds(v)) * (Math.abs(lse[i]!) + most(Math.floor(i / 2)) + 1),
            `${what}: lse`,
          );
          const slope = (at: number): number => {
            const i = Math.floor(at / v);
            const [a, b] = [lse[2 * i]!, lse[2 * i + 1]!];
            const p = Math.exp(x[at]! / temperature - a) + Math.exp(t[at]! / temperature - b);
            const size =
              10 + (2 * (Math.abs(x[at]!) + Math.abs(t[at]!))) / temperature + Math.abs(a) + Math.abs(b);
            return (Math.abs(back[i]!) / temperature) * p * (size * U + 2 * bound(i)) + 1e-45;
          };
          expectWithin(actual[2]!, dlogits, slope, `${what}: dlogits`);
        }
  });
});
