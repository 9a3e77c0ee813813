/** Ops on single elements and pairs: activation, gated, add, mul, scale, softcap. */
import { describe, expect, it } from "vitest";
import {
  type ActivationName,
  activation,
  activations,
  add,
  gated,
  mul,
  scale,
  softcap,
} from "../../../src/ops/index.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, TINY, U, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

/** Values over the whole range of f32, dense where the functions bend. */
function everywhere(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const sign = i % 2 ? -1 : 1;
    if (i % 3 === 0) return sign * 2 ** (random.next() * 277 - 149);
    return sign * random.next() * random.pick([1, 5, 10, 20, 90, 110]);
  });
}
const special = Float32Array.of(0, -0, TINY, -TINY, 2 ** -126, 1, -1, 88, -88, 104, -104, 3.4e38, -3.4e38);
const infinite = Float32Array.of(Number.NaN, Infinity, -Infinity, 1, Number.NaN);

/** Exact in f32: one correctly rounded operation. */
const exact: readonly ActivationName[] = ["relu", "relu2"];
/** The promised error of a device, and the rounding of the reference's own result. */
const activationBound = (x: number): number => 4 * U * Math.max(1, Math.abs(x));

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  describe.each(activations)("%s", (fn) => {
    it("is within the promised error everywhere", async () => {
      const x = Float32Array.from([...special, ...everywhere(new Random(1), 20_001)]);
      const { actual, wanted } = await both(on.device, (job) => [
        activation(job.stream, job.f32(x, 1, x.length), fn),
      ]);
      const bound = (i: number): number =>
        exact.includes(fn) ? 0 : activationBound(x[i]!) + U * Math.abs(wanted[0]![i]!);
      expectWithin(actual[0]!, wanted[0]!, bound, fn);
    });

    it("keeps NaN, and infinities where the limit is one", async () => {
      const { actual, wanted } = await both(on.device, (job) => [
        activation(job.stream, job.f32(infinite, 1, 5), fn),
      ]);
      const [nan, up, down, one] = actual[0]!;
      expect(nan).toBeNaN();
      expect(up).toBe(wanted[0]![1]!);
      // Limits of 0·∞ kind may be the limit or NaN.
      if (!Number.isNaN(down)) expect(down).toBeCloseTo(fn === "tanh" ? -1 : 0, 6);
      expect(one).toBeCloseTo(wanted[0]![3]!, 6);
    });

    it("gates: for each shape, the product with the other operand", async () => {
      const random = new Random(2);
      for (const d of widths)
        for (const n of [0, 1, 3]) {
          const [gate, up] = [random.normals(n * d, 4), random.normals(n * d, 10)];
          const { actual, wanted } = await both(on.device, (job) => [
            gated(job.stream, job.f32(gate, n, d), job.f32(up, n, d), fn),
          ]);
          // The activation's error times the other operand; the roundings of an exact one and of the products.
          const bound = (i: number): number =>
            Math.abs(up[i]!) * activationBound(gate[i]!) + 3 * U * Math.abs(wanted[0]![i]!);
          expectWithin(actual[0]!, wanted[0]!, bound, `${fn} [${n},${d}]`);
        }
    });
  });

  // One IEEE operation on each element: the reference's f64 result rounded to f32 is the f32 result.
  describe.each([
    ["add", add],
    ["mul", mul],
  ] as const)("%s", (name, op) => {
    it("equals the f32 operation for every shape and value", async () => {
      const random = new Random(3);
      for (const [kind, values] of Object.entries(difficult))
        for (const d of widths)
          for (const [n, rows, columns] of [
            [0, 0, d],
            [1, 1, d],
            [3, 3, d],
            [5, 1, d],
            [5, 5, 1],
          ] as const) {
            const [a, b] = [values(random, n * d), values(random, rows * columns)];
            const { actual, wanted } = await both(on.device, (job) => [
              op(job.stream, job.f32(a, n, d), job.f32(b, rows, columns)),
            ]);
            expectSameBits(
              actual[0]!,
              wanted[0]!,
              `${name} of ${kind}, [${n},${d}] with [${rows},${columns}]`,
            );
          }
    });

    it("treats NaN, infinities and overflow as IEEE does", async () => {
      const a = Float32Array.of(Number.NaN, Infinity, Infinity, 3e38, -3e38, 1e-40, 0, -0);
      const b = Float32Array.of(1, -Infinity, 0, 3e38, 3e38, 1e-40, -Infinity, -0);
      const { actual, wanted } = await both(on.device, (job) => [
        op(job.stream, job.f32(a, 1, 8), job.f32(b, 1, 8)),
      ]);
      expectSameBits(actual[0]!, wanted[0]!);
    });
  });

  it("scale equals the f32 product", async () => {
    const random = new Random(4);
    for (const [kind, values] of Object.entries(difficult))
      for (const d of widths)
        for (const factor of [0, 1, -2, Math.fround(0.1), 2 ** -130]) {
          const x = values(random, 2 * d);
          const { actual, wanted } = await both(on.device, (job) => [
            scale(job.stream, job.f32(x, 2, d), factor),
          ]);
          expectSameBits(actual[0]!, wanted[0]!, `scale of ${kind} by ${factor}, [2,${d}]`);
        }
  });

  it("softcap is within its bound", async () => {
    const random = new Random(5);
    for (const cap of [1, 30, 50, Math.fround(0.1)])
      for (const d of widths) {
        const x = Float32Array.from(everywhere(random, 2 * d), (v) => Math.min(1e30, Math.max(-1e30, v)));
        const { actual, wanted } = await both(on.device, (job) => [
          softcap(job.stream, job.f32(x, 2, d), cap),
        ]);
        // tanh within 4u·max(1, |t|) at most and bounded by 1, its argument off by u relative, two roundings.
        const bound = (i: number): number =>
          5 * U * cap * Math.max(1, Math.abs(x[i]! / cap)) + 2 * U * Math.abs(wanted[0]![i]!);
        expectWithin(actual[0]!, wanted[0]!, bound, `softcap ${cap}, [2,${d}]`);
        for (const y of actual[0]!) expect(Math.abs(y)).toBeLessThanOrEqual(cap);
      }
  });

  it("works in place, as a step may ask", async () => {
    const x = new Random(6).normals(2 * 33);
    const job = new Job(on.device);
    const kept = job.buffer("f32", [2, 33]);
    job.stream.push({ kind: "copy", x: job.f32(x, 2, 33), y: kept });
    job.stream.push({ kind: "add", a: kept, b: kept, y: kept });
    job.stream.push({ kind: "activation", x: kept, y: kept, fn: "relu" });
    const [y] = await job.run(kept);
    expect([...y!]).toEqual([...x].map((v) => Math.max(0, 2 * v)));
  });
});
