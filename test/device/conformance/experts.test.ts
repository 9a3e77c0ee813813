/** route and combine. */
import { describe, expect, it } from "vitest";
import { combine, route } from "../../../src/ops/index.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectWithin, gamma, TINY, U, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  async function routed(
    logits: Float32Array,
    [n, e, picks]: readonly [number, number, number],
    normalize: boolean,
  ): Promise<{ experts: Int32Array; weights: Float32Array }> {
    const job = new Job(on.device);
    const { experts, weights } = route(job.stream, job.f32(logits, n, e), picks, normalize);
    const [a, b] = await job.bytes(experts, weights);
    return { experts: new Int32Array(a!.slice().buffer), weights: new Float32Array(b!.slice().buffer) };
  }

  /** The experts in order: falling logit, then rising index. */
  const ranked = (row: Float32Array): number[] =>
    Array.from(row, (_, j) => j).sort((a, b) => row[b]! - row[a]! || a - b);

  it.each([false, true])("route picks the largest in order, normalize %s", async (normalize) => {
    const random = new Random(1);
    for (const [kind, values] of Object.entries(difficult))
      for (const shape of [
        [0, 4, 2],
        [1, 1, 1],
        [3, 8, 2],
        [5, 60, 4],
        [2, 64, 8],
        [40, 7, 7],
        [1, 257, 3],
      ] as const) {
        const [n, e, picks] = shape;
        const logits = values(random, n * e);
        const { experts, weights } = await routed(logits, shape, normalize);
        for (let i = 0; i < n; i++) {
          const what = `${kind} [${shape}], row ${i}`;
          const row = logits.subarray(i * e, (i + 1) * e);
          const order = ranked(row).slice(0, picks);
          expect([...experts.subarray(i * picks, (i + 1) * picks)], what).toEqual(order);
          const max = row[order[0]!]!;
          const exps = Array.from(row, (x) => Math.exp(x - max));
          const all = exps.reduce((sum, x) => sum + x, 0);
          const chosen = normalize ? order.reduce((sum, j) => sum + exps[j]! / all, 0) : 1;
          const wanted = order.map((j) => exps[j]! / all / chosen);
          // e^(x − max): u·|x − max| for the difference and 4u for the exponential; so also each term of the
          // sums, of which those with |x − max| > 104 are nothing; γ_e and γ_p for the sums, two divisions.
          const sums = gamma(e) + gamma(picks) + 8 * U;
          const most = exps.reduce((m, x, j) => Math.max(m, x * (max - row[j]!)), 0);
          const bound = (k: number): number =>
            wanted[k]! * (U * (max - row[order[k]!]!) + 2 * U * e * most + 12 * U + sums) + 2 ** -126;
          expectWithin(weights.subarray(i * picks, (i + 1) * picks), wanted, bound, what);
        }
      }
  });

  it("route breaks ties by the lower index, and gives different experts whatever the logits", async () => {
    expect([...(await routed(Float32Array.of(1, 3, 3, 1, 3), [1, 5, 4], false)).experts]).toEqual([
      1, 2, 4, 0,
    ]);
    const { experts, weights } = await routed(
      Float32Array.of(Number.NaN, 1, Number.NaN, 2, ...new Array<number>(4).fill(Number.NaN)),
      [2, 4, 3],
      true,
    );
    expect([...experts]).toEqual([3, 1, 0, 0, 1, 2]);
    expect(weights.every(Number.isNaN)).toBe(true);
    const infinite = await routed(Float32Array.of(-Infinity, 1, -Infinity), [1, 3, 2], true);
    expect([...infinite.experts]).toEqual([1, 0]);
    expect([...infinite.weights]).toEqual([1, 0]);
  });

  it("route tells logits apart that are far below the largest", async () => {
    const { experts } = await routed(Float32Array.of(-300, 500, -200, -250), [1, 4, 4], false);
    expect([...experts]).toEqual([1, 2, 3, 0]);
  });

  it("combine is within its bound for every shape and value", async () => {
    const random = new Random(2);
    for (const [kind, values] of Object.entries(difficult))
      for (const d of [...widths, 2000])
        for (const [n, p] of [
          [0, 2],
          [1, 1],
          [3, 2],
          [2, 8],
        ] as const) {
          const [x, w] = [values(random, n * p * d), random.normals(n * p)];
          const { actual, wanted } = await both(on.device, (job) => [
            combine(job.stream, job.f32(x, n * p, d), job.f32(w, n, p)),
          ]);
          // A sum of p products: γ_p of their sizes; the reference's rounding; underflow.
          const bound = (i: number): number => {
            const [row, c] = [Math.floor(i / d), i % d];
            let sizes = 0;
            for (let j = 0; j < p; j++) sizes += Math.abs(w[row * p + j]! * x[(row * p + j) * d + c]!);
            return gamma(p) * sizes + U * Math.abs(wanted[0]![i]!) + (p + 1) * TINY;
          };
          expectWithin(actual[0]!, wanted[0]!, bound, `${kind} [${n},${p}] × ${d}`);
        }
  });
});
