/** Attention within a batch and its derivative against f64, and the bits of a sequence alone and in a batch. */
import { describe, it } from "vitest";
import type { Tensor, WithinOptions } from "../../../src/ops/index.ts";
import { both, type Job, subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits, expectWithin, U } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

interface Shape {
  readonly lengths: readonly number[];
  readonly heads: number;
  readonly kvHeads: number;
  readonly d: number;
  readonly dv: number;
}

interface Values {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly dy: Float32Array;
}

const rowsOf = ({ lengths }: Shape): number => lengths.reduce((a, b) => a + b, 0);

function valuesOf(random: Random, shape: Shape): Values {
  const n = rowsOf(shape);
  const { heads, kvHeads, d, dv } = shape;
  return {
    q: random.normals(n * heads * d),
    k: random.normals(n * kvHeads * d),
    v: random.normals(n * kvHeads * dv),
    dy: random.normals(n * heads * dv),
  };
}

/** y, lse, dq, dk, dv. */
function push(job: Job, shape: Shape, values: Values, options: Omit<WithinOptions, "longest">): Tensor[] {
  const { lengths, heads, kvHeads, d, dv } = shape;
  const n = rowsOf(shape);
  const marks = [0];
  for (const length of lengths) marks.push(marks.at(-1)! + length);
  const { stream } = job;
  const [q, k, v] = [
    job.f32(values.q, n, heads, d),
    job.f32(values.k, n, kvHeads, d),
    job.f32(values.v, n, kvHeads, dv),
  ];
  const offsets = job.i32(marks, marks.length);
  const [y, lse] = [stream.empty("f32", [n, heads, dv]), stream.empty("f32", [n, heads])];
  const fields = { q, k, v, offsets, y, lse, ...options, longest: Math.max(0, ...lengths) };
  stream.push({ kind: "attend_within", ...fields });
  const [dq, dk, dvalues] = [q, k, v].map(({ shape: of }) => stream.empty("f32", of)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  stream.push({
    kind: "attend_within_grad",
    ...fields,
    dy: job.f32(values.dy, n, heads, dv),
    dq,
    dk,
    dv: dvalues,
  });
  return [y, lse, dq, dk, dvalues];
}

const shapes: readonly Shape[] = [
  { lengths: [], heads: 1, kvHeads: 1, d: 4, dv: 4 },
  { lengths: [1], heads: 1, kvHeads: 1, d: 1, dv: 1 },
  { lengths: [5, 0, 1], heads: 4, kvHeads: 2, d: 6, dv: 5 },
  { lengths: [70, 64, 63], heads: 2, kvHeads: 1, d: 17, dv: 33 },
  { lengths: [200], heads: 3, kvHeads: 3, d: 64, dv: 64 },
];

const settings: readonly Omit<WithinOptions, "longest">[] = [
  { scale: 0.3, window: 0, softcap: 0, causal: 1 },
  { scale: 0.3, window: 0, softcap: 0, causal: 0 },
  { scale: 0.5, window: 3, softcap: 0, causal: 1 },
  { scale: 0.5, window: 70, softcap: 5, causal: 1 },
  { scale: 0.5, window: 66, softcap: 0, causal: 0 },
];

const largest = (x: ArrayLike<number>): number => Array.from(x).reduce((m, v) => Math.max(m, Math.abs(v)), 0);

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it.each(settings)(
    "scale $scale, window $window, softcap $softcap, causal $causal: within bounds",
    async (options) => {
      const random = new Random(1);
      for (const shape of shapes) {
        const values = valuesOf(random, shape);
        const { actual, wanted } = await both(on.device, (job) => push(job, shape, values, options));
        const n = Math.max(0, ...shape.lengths);
        const { heads, kvHeads, d, dv } = shape;
        const what = JSON.stringify(shape);
        // A score is off by e, weights by as much relatively, and sums over n keys add their roundings.
        const score = options.scale * d * largest(values.q) * largest(values.k);
        const e = U * (2 * (d + 3) * score + 8 * (score + options.softcap));
        const relative = Math.expm1(2 * e) + 2 * U * (n + 16);
        const most = largest(values.v);
        expectWithin(actual[0]!, wanted[0]!, () => most * relative, `${what} y`);
        expectWithin(
          actual[1]!,
          wanted[1]!,
          (i) => e + U * (n + 16 + 4 * Math.abs(wanted[1]![i]!)),
          `${what} lse`,
        );
        // |t| ≤ 2 scale p dv max|dy| max|v|, and Σ_j p = 1; a key is seen by up to n queries of each head of its group.
        const slope = 2 * options.scale * dv * largest(values.dy) * most;
        const off = 4 * relative + 4 * U * (dv + 8);
        const seen = (n * heads) / kvHeads;
        const bounds = [
          slope * largest(values.k),
          seen * slope * largest(values.q),
          seen * largest(values.dy),
        ];
        for (const [i, bound] of bounds.entries())
          expectWithin(actual[i + 2]!, wanted[i + 2]!, () => off * bound, `${what} ${["dq", "dk", "dv"][i]}`);
      }
    },
  );

  it("with operands rounded to bf16 it is off by their rounding", async () => {
    const random = new Random(3);
    for (const shape of shapes.slice(2))
      for (const causal of [0, 1]) {
        const values = valuesOf(random, shape);
        const options = { scale: 1 / shape.d, window: 0, softcap: 0, causal, precision: "bf16" } as const;
        const { actual, wanted } = await both(on.device, (job) => push(job, shape, values, options));
        for (const [i, x] of wanted.entries()) {
          const most = largest(x);
          expectWithin(actual[i]!, x, () => 0.03 * most, `${JSON.stringify(shape)} result ${i}`);
        }
      }
  });

  it("a sequence has the same bits alone, in a batch, and with any number of threads", async () => {
    const random = new Random(2);
    const shape: Shape = { lengths: [33, 130, 70], heads: 4, kvHeads: 2, d: 20, dv: 12 };
    const values = valuesOf(random, shape);
    const options = { scale: 0.4, window: 0, softcap: 0, causal: 1 };
    const { actual: all } = await both(on.device, (job) => push(job, shape, values, options));
    const n = rowsOf(shape);
    for (const threads of [1, 3]) {
      const device = await subject.open(threads);
      const part = (x: Float32Array): Float32Array => x.subarray((33 * x.length) / n, (163 * x.length) / n);
      const alone = Object.fromEntries(
        Object.entries(values).map(([name, x]) => [name, part(x)]),
      ) as unknown as Values;
      const { actual } = await both(device, (job) => push(job, { ...shape, lengths: [130] }, alone, options));
      for (const [i, x] of actual.entries())
        expectSameBits(x, part(all[i]!), `result ${i}, ${threads} threads`);
      await device.close();
    }
  });
});
