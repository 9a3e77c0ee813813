/** rmsnorm and layernorm. */
import { describe, expect, it } from "vitest";
import { layerNorm, rmsNorm } from "../../../src/ops/index.ts";
import { both, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectWithin, gamma, TINY, U, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

/** Rows of x and of the weight: none, one, a few, several heads with a weight each. */
const shapes = [
  [0, 1],
  [1, 1],
  [3, 1],
  [8, 1],
  [6, 2],
  [12, 4],
] as const;

const sum = (values: Float32Array, fn: (v: number) => number): number =>
  values.reduce((total, v) => total + fn(v), 0);

/**
 * All terms of the sum of squares are positive, so it is off by γ_{d+1} relative, and its root by half of that;
 * then come ε's rounding, the addition, the division by d, the root, the reciprocal and two products, and the
 * rounding of the reference: fewer than 10. Each of the two products may underflow.
 */
const rmsBound = (d: number, w: number, y: number): number =>
  (gamma(d + 1) / 2 + 10 * U) * Math.abs(y) + TINY * (2 + Math.abs(w));

/**
 * The mean is off by δ = γ_d · mean|x| + u|mean|; that moves each difference by δ, and adds δ² to the variance
 * (the sum of (x − m̂)² is that of (x − m)² and d(m − m̂)²), whose own sum is off by γ_{d+3} relative. The mean
 * and each product may underflow.
 */
function layerBound(row: Float32Array, eps: number): (w: number, b: number, y: number) => number {
  const d = row.length;
  const mean = sum(row, (v) => v) / d;
  const deviation = Math.sqrt(sum(row, (v) => (v - mean) ** 2) / d + eps);
  const delta = (gamma(d) * sum(row, Math.abs)) / d + U * Math.abs(mean) + 2 * TINY;
  const root = gamma(d + 3) / 2 + delta ** 2 / deviation ** 2 + 10 * U;
  return (w, b, y) =>
    (Math.abs(w) / deviation) * delta * (1 + root) +
    Math.abs(y - b) * root +
    2 * U * (Math.abs(b) + Math.abs(y)) +
    TINY * (2 + Math.abs(w));
}

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("rmsnorm is within its bound for every shape and value", async () => {
    const random = new Random(1);
    for (const [kind, values] of Object.entries(difficult))
      for (const d of [...widths, 4096])
        for (const [n, g] of shapes) {
          const [x, w] = [values(random, n * d), random.normals(g * d)];
          const eps = random.pick([1e-5, 1e-6, 1]);
          const { actual, wanted } = await both(on.device, (job) => [
            rmsNorm(job.stream, job.f32(x, n, d), job.f32(w, g, d), eps),
          ]);
          const bound = (i: number): number => rmsBound(d, w[i % (g * d)]!, wanted[0]![i]!);
          expectWithin(actual[0]!, wanted[0]!, bound, `rmsnorm of ${kind}, [${n},${d}], g ${g}, eps ${eps}`);
        }
  });

  it("layernorm is within its bound for every shape and value, with and without bias", async () => {
    const random = new Random(2);
    for (const [kind, values] of Object.entries(difficult))
      for (const d of [...widths, 4096])
        for (const [n, g] of shapes) {
          const [x, w, b] = [values(random, n * d), random.normals(g * d), random.normals(g * d)];
          const biased = random.next() < 0.5;
          const eps = random.pick([1e-5, 1e-6, 1]);
          const { actual, wanted } = await both(on.device, (job) => [
            layerNorm(
              job.stream,
              job.f32(x, n, d),
              job.f32(w, g, d),
              biased ? job.f32(b, g, d) : undefined,
              eps,
            ),
          ]);
          const bounds = Array.from({ length: n }, (_, i) => layerBound(x.subarray(i * d, (i + 1) * d), eps));
          const bound = (i: number): number => {
            const at = i % (g * d);
            return bounds[Math.floor(i / d)]!(w[at]!, biased ? b[at]! : 0, wanted[0]![i]!);
          };
          expectWithin(
            actual[0]!,
            wanted[0]!,
            bound,
            `layernorm of ${kind}, [${n},${d}], g ${g}, eps ${eps}`,
          );
        }
  });

  it("a row of a constant and a small signal keeps the signal", async () => {
    // The one-pass formula mean(x²) − mean(x)² would lose it all.
    const d = 512;
    const x = Float32Array.from({ length: d }, (_, i) => 1000 + (i % 2 ? 0.125 : -0.125));
    const ones = new Float32Array(d).fill(1);
    const { actual } = await both(on.device, (job) => [
      layerNorm(job.stream, job.f32(x, 1, d), job.f32(ones, 1, d), undefined, 0),
    ]);
    for (const [i, y] of actual[0]!.entries()) expect(y).toBeCloseTo(i % 2 ? 1 : -1, 4);
  });

  it.each([
    ["rmsnorm", Number.NaN],
    ["rmsnorm", Infinity],
    ["layernorm", Number.NaN],
    ["layernorm", Infinity],
  ] as const)("%s of a row with %s spoils that row alone", async (kind, bad) => {
    const random = new Random(3);
    const d = 77;
    const x = random.normals(3 * d);
    x[d + 40] = bad;
    const { actual, wanted } = await both(on.device, (job) => {
      const [rows, w] = [job.f32(x, 3, d), job.f32(new Float32Array(d).fill(1), 1, d)];
      return [
        kind === "rmsnorm"
          ? rmsNorm(job.stream, rows, w, 1e-5)
          : layerNorm(job.stream, rows, w, undefined, 1e-5),
      ];
    });
    const y = actual[0]!;
    // The root mean square of an infinity is infinite: what is finite becomes 0, the infinity NaN.
    expectWithin(y.subarray(d, 2 * d), wanted[0]!.subarray(d, 2 * d), () => 0);
    expect(y.subarray(0, d).every(Number.isFinite) && y.subarray(2 * d).every(Number.isFinite)).toBe(true);
  });
});
