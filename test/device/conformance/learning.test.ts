/** Derivatives of pointwise ops and norms, sums, and scattered rows, within the bounds of their definitions. */
import { describe, expect, it } from "vitest";
import {
  activationGrad,
  activations,
  gatedGrad,
  norms,
  scatterAdd,
  sum,
  type Tensor,
} from "../../../src/ops/index.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, gamma, TINY, U, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

/** Values where the functions bend, and a few far out. */
function bending(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.normal() * random.pick([0.1, 1, 3, 8, 30]));
}

/** Sums of |x| as `sum` sums x: to [1, d], [n, 1], [1, 1] or not at all. */
function sizesOf(
  x: Float32Array,
  [n, d]: readonly [number, number],
  [p, q]: readonly [number, number],
): Float64Array {
  const sizes = new Float64Array(p * q);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < d; j++) sizes[(p === 1 ? 0 : i) * q + (q === 1 ? 0 : j)]! += Math.abs(x[i * d + j]!);
  return sizes;
}

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it.each(activations)("the derivatives of %s are within their bounds", async (fn) => {
    const random = new Random(1);
    for (const d of widths) {
      const n = 3;
      const [x, up, dy] = [bending(random, n * d), random.normals(n * d), random.normals(n * d)];
      x.set([0, -0, 88, -88, 120, -120].slice(0, x.length));
      const { actual, wanted } = await both(on.device, ({ stream }) => {
        const tensor = (values: Float32Array): Tensor => stream.constant(values, [n, d]);
        const { dgate, dup } = gatedGrad(stream, tensor(x), tensor(up), tensor(dy), fn);
        return [activationGrad(stream, tensor(x), tensor(dy), fn), dgate, dup];
      });
      const size = (i: number): number => Math.max(1, Math.abs(x[i]!));
      expectWithin(actual[0]!, wanted[0]!, (i) => 8 * U * size(i) * Math.abs(dy[i]!) + TINY, `${fn}, ${d}`);
      // The square of relu2 is not bounded by its argument.
      const upward = (i: number): number =>
        6 * U * size(i) * Math.abs(dy[i]!) + 3 * U * Math.abs(wanted[2]![i]!) + TINY;
      const most = (i: number): number => 10 * U * size(i) * Math.abs(dy[i]! * up[i]!) + 2 * TINY;
      expectWithin(actual[1]!, wanted[1]!, most, `gate of ${fn}, ${d}`);
      expectWithin(actual[2]!, wanted[2]!, upward, `up of ${fn}, ${d}`);
    }
  });

  it.each(activations)("the derivative of %s is NaN at NaN, and nowhere else", async (fn) => {
    const x = Float32Array.of(1, Number.NaN, 2, 3, Number.NaN);
    const { actual } = await both(on.device, ({ stream }) => {
      const at = stream.constant(x, [1, 5]);
      return [activationGrad(stream, at, stream.constant(new Float32Array(5).fill(1), [1, 5]), fn)];
    });
    expect(Array.from(actual[0]!, Number.isNaN)).toEqual(Array.from(x, Number.isNaN));
  });

  it("sum is within its bound in every direction, and adds to what is there", async () => {
    const random = new Random(2);
    for (const [kind, values] of Object.entries(difficult))
      for (const [n, d] of [
        [0, 3],
        [1, 1],
        [1, 100],
        [7, 33],
        [100, 1],
        [300, 257],
        [9, 1000],
      ] as const) {
        const x = values(random, n * d);
        const to = [
          [1, d],
          [n, 1],
          [1, 1],
          [n, d],
        ] as const;
        const starts = to.map(([p, q]) => (random.next() < 0.5 ? random.normals(p * q) : undefined));
        const { actual, wanted } = await both(on.device, (job) =>
          to.map((shape, i) =>
            sum(job.stream, job.f32(x, n, d), shape, { c: starts[i] && job.f32(starts[i], ...shape) }),
          ),
        );
        to.forEach((shape, s) => {
          const sizes = sizesOf(x, [n, d], shape);
          const terms = (n * d) / Math.max(1, shape[0] * shape[1]) + 1;
          const bound = (i: number): number => gamma(terms) * (sizes[i]! + Math.abs(starts[s]?.[i] ?? 0));
          expectWithin(actual[s]!, wanted[s]!, bound, `${kind} [${n},${d}] to [${shape}]`);
        });
      }
  });

  it("sum and norm_weight_grad have the same bits with any number of threads", async () => {
    const random = new Random(3);
    const [n, d] = [5000, 24];
    const [x, dy] = [random.normals(n * d), random.normals(n * d)];
    const runs: Float32Array[][] = [];
    for (const threads of [1, 2, 3]) {
      const device = await subject.open(threads);
      const { actual } = await both(device, (job) => {
        const [at, back] = [job.f32(x, n, d), job.f32(dy, n, d)];
        const dweight = job.stream.empty("f32", [1, d]);
        job.stream.push({ kind: "norm_weight_grad", x: at, dy: back, dweight, eps: 1e-5, norm: "rms" });
        return [sum(job.stream, at, [1, 1]), sum(job.stream, at, [1, d]), dweight];
      });
      runs.push(actual);
      await device.close();
    }
    for (const run of runs) for (const [i, y] of run.entries()) expectSameBits(y, runs[0]![i]!);
  });

  it("scatter_add adds rows in order, to zeros or to what is there, and leaves out what points nowhere", async () => {
    const random = new Random(4);
    for (const d of widths)
      for (const [n, m] of [
        [0, 4],
        [1, 1],
        [40, 7],
        [5, 300],
      ] as const) {
        const [x, c] = [random.normals(n * d), random.normals(m * d)];
        const index = Array.from({ length: n }, () => random.int(0, m - 1));
        const { actual, wanted } = await both(on.device, (job) => {
          const [rows, at] = [job.f32(x, n, d), job.i32(index, n)];
          const y = job.f32(c, m, d);
          return [
            scatterAdd(job.stream, rows, at, m),
            scatterAdd(job.stream, rows, at, m, { c: job.f32(c, m, d) }),
            scatterAdd(job.stream, rows, at, m, { c: y, y }),
          ];
        });
        const sizes = new Float64Array(m * d);
        x.forEach((value, i) => {
          sizes[index[Math.floor(i / d)]! * d + (i % d)]! += Math.abs(value);
        });
        const bound = (i: number): number => gamma(n + 1) * (sizes[i]! + Math.abs(c[i]!));
        for (const i of [0, 1]) expectWithin(actual[i]!, wanted[i]!, bound, `${n} of ${d} to ${m}`);
        expectSameBits(actual[2]!, actual[1]!);
      }
    // The reference refuses what points nowhere.
    if (on.device.name === "reference") return;
    const job = new Job(on.device);
    const rows = job.f32(Float32Array.of(1, 2, 3), 3, 1);
    const [y] = await job.run(scatterAdd(job.stream, rows, job.i32([-1, 1, 2], 3), 2));
    expect(y).toEqual(Float32Array.of(0, 2));
  });

  it.each(norms)("the derivatives of the %s norm are within their bounds", async (norm) => {
    const random = new Random(5);
    for (const [kind, values] of Object.entries(difficult))
      for (const d of widths)
        for (const [n, g] of [
          [0, 1],
          [1, 1],
          [7, 1],
          [12, 4],
          [200, 1],
        ] as const) {
          if (n === 200 && d > 100) continue;
          const eps = 1e-5;
          const [x, w, dy] = [values(random, n * d), random.normals(g * d), random.normals(n * d)];
          const [c, start] = [random.normals(n * d), random.normals(g * d)];
          const { actual, wanted } = await both(on.device, (job) => {
            const [at, back, weight] = [job.f32(x, n, d), job.f32(dy, n, d), job.f32(w, g, d)];
            const [dx, dweight] = [job.stream.empty("f32", [n, d]), job.f32(start, g, d)];
            const more = n > 1 ? job.f32(c, n, d) : undefined;
            job.stream.push({ kind: "norm_weight_grad", x: at, dy: back, c: dweight, dweight, eps, norm });
            job.stream.push({ kind: "norm_grad", x: at, weight, dy: back, c: more, dx, eps, norm });
            return [dx, dweight];
          });
          const dxBound = new Float64Array(n * d);
          const dwBound = Float64Array.from(start, (v) => gamma(n / g + d + 8) * Math.abs(v) + 2 * n * TINY);
          for (let i = 0; i < n; i++) {
            const row = x.subarray(i * d, (i + 1) * d);
            const mean = norm === "layer" ? row.reduce((t, v) => t + v, 0) / d : 0;
            const rho = 1 / Math.sqrt(row.reduce((t, v) => t + (v - mean) ** 2, 0) / d + eps);
            const spread = norm === "layer" ? (row.reduce((t, v) => t + Math.abs(v), 0) / d) * rho : 0;
            const hat = Array.from(row, (v) => Math.abs((v - mean) * rho) + spread);
            const back = hat.map((_, j) => Math.abs(w[(i % g) * d + j]! * dy[i * d + j]!));
            const level = back.reduce((t, v) => t + v, 0) / d;
            const along = back.reduce((t, v, j) => t + v * hat[j]!, 0) / d;
            for (let j = 0; j < d; j++) {
              const term = rho * (back[j]! + level + hat[j]! * along);
              // Elements below the least normal number keep fewer digits.
              dxBound[i * d + j] =
                gamma(2 * d + 12) * term + U * Math.abs(c[i * d + j]!) + 8 * rho * TINY * d;
              dwBound[(i % g) * d + j]! +=
                gamma(n / g + d + 8) * Math.abs(dy[i * d + j]!) * hat[j]! +
                2 * TINY * (1 + Math.abs(dy[i * d + j]!)) * rho;
            }
          }
          // The rounding of the wanted result.
          expectWithin(
            actual[0]!,
            wanted[0]!,
            (i) => dxBound[i]! + U * Math.abs(wanted[0]![i]!),
            `${kind} [${n},${d}] dx`,
          );
          expectWithin(
            actual[1]!,
            wanted[1]!,
            (i) => dwBound[i]! + U * Math.abs(wanted[1]![i]!),
            `${kind} [${n},${d}] dweight`,
          );
        }
  });
});
