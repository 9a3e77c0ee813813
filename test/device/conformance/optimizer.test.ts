/** Ops of an optimizer's step: sum_squares, clip, adamw, average, and cast. */
import { describe, expect, it } from "vitest";
import { adamw, average, cast, clip, sumSquares, type Tensor } from "../../../src/ops/index.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { difficult, expectSameBits, expectWithin, gamma, TINY, U, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { weightOf } from "../../support/weights.ts";

const sizes = [0, ...widths, 8191, 8192, 8193, 50_001];

interface State {
  readonly w: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly g: Float32Array;
}

const settings = { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1 };

function pushAdamw(job: Job, { w, m, v, g }: State, rates: readonly number[], factor: number): Tensor[] {
  const n = w.length;
  const [weight, mean, square] = [job.f32(w, n), job.f32(m, n), job.f32(v, n)];
  const copy = job.buffer("bf16", [n]);
  adamw(job.stream, {
    ...settings,
    gradient: job.f32(g, n),
    rates: job.f32(Float32Array.from(rates), 3),
    factor: job.f32(Float32Array.of(factor), 1),
    ...{ weight, mean, square, copy },
  });
  const widened = cast(job.stream, copy, "f32");
  return [weight, mean, square, widened];
}

const roundedToBf16 = (x: Float32Array): Float32Array => weightOf("bf16", x).values;

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("sum_squares is within its bound, and goes on from a sum", async () => {
    const random = new Random(1);
    for (const [kind, values] of Object.entries(difficult))
      for (const n of sizes) {
        const [x, z] = [values(random, n), random.normals(n)];
        const { actual, wanted } = await both(on.device, (job) => {
          const [first, second] = [job.f32(x, n), job.f32(z, n)];
          return [sumSquares(job.stream, [first, second]), sumSquares(job.stream, [second])];
        });
        for (const i of [0, 1])
          expectWithin(
            actual[i]!,
            wanted[i]!,
            () => gamma(1024) * wanted[i]![0]! + 2 * n * TINY,
            `${kind} ${n}`,
          );
      }
    const { actual } = await both(on.device, (job) => [sumSquares(job.stream, [])]);
    expect(actual[0]).toEqual(Float32Array.of(0));
  });

  it("sum_squares has the same bits with any number of threads", async () => {
    const x = new Random(2).normals(100_003);
    const sums = [];
    for (const threads of [1, 2, 3]) {
      const device = await subject.open(threads);
      const job = new Job(device);
      sums.push((await job.run(sumSquares(job.stream, [job.f32(x, x.length)])))[0]!);
      await device.close();
    }
    for (const sum of sums) expectSameBits(sum, sums[0]!);
  });

  it("clip gives the factor of its equation", async () => {
    for (const squares of [0, 1e-30, 0.25, 4, 1e30, Infinity, Number.NaN])
      for (const [limit, scale] of [
        [1, 1],
        [1, 0.125],
        [0.3, 8],
        [Infinity, 0.5],
      ] as const) {
        const { actual } = await both(on.device, (job) => [
          clip(job.stream, job.f32(Float32Array.of(squares), 1), limit, scale),
        ]);
        const norm = scale * Math.sqrt(Math.fround(squares));
        const wanted = norm <= limit ? scale : (scale * limit) / norm;
        expectWithin(actual[0]!, [wanted], () => 2 * U * wanted, `${squares}, ${limit}, ${scale}`);
      }
  });

  it("adamw is within its bound for every size and value", async () => {
    const random = new Random(3);
    for (const [kind, values] of Object.entries(difficult))
      for (const n of sizes) {
        const state: State = {
          g: values(random, n),
          w: random.normals(n),
          m: random.normals(n, 0.1),
          v: random.normals(n, 0.1).map((x) => x * x),
        };
        const [lr, first, second] = [0.01, 1.7, 1.2].map(Math.fround) as [number, number, number];
        const { actual, wanted } = await both(on.device, (job) =>
          pushAdamw(job, state, [lr, first, second], 0.5),
        );
        const g = state.g.map((x) => 0.5 * x);
        // Six roundings of values that |old| + |new| bound, that of 1 − β among them; products may underflow.
        const means = (i: number): number => 6 * U * (Math.abs(state.m[i]!) + Math.abs(g[i]!)) + 2 * TINY;
        const squares = (i: number): number => 8 * U * (state.v[i]! + g[i]! ** 2) + 3 * TINY;
        const [w, m, v, copy] = [wanted[0]!, wanted[1]!, wanted[2]!, wanted[3]!];
        expectWithin(actual[1]!, m, means, `${kind} ${n} mean`);
        expectWithin(actual[2]!, v, squares, `${kind} ${n} square`);
        const weights = (i: number): number => {
          const size = Math.sqrt(v[i]! * second) + settings.eps;
          const step = (m[i]! * first) / size;
          const shift = (means(i) * first) / size + (Math.abs(step) * second * squares(i)) / size ** 2;
          return lr * (shift + 8 * U * (Math.abs(step) + Math.abs(state.w[i]!))) + 2 * U * Math.abs(w[i]!);
        };
        expectWithin(actual[0]!, w, weights, `${kind} ${n} weight`);
        expectSameBits(actual[3]!, roundedToBf16(actual[0]!), `${kind} ${n} copy`);
        expect(copy.length).toBe(n);
      }
  });

  it("the first step of adamw moves each weight by the rate, against the gradient's sign, and decays it", async () => {
    const random = new Random(4);
    const n = 333;
    const state: State = {
      ...{ w: random.normals(n), g: random.normals(n) },
      ...{ m: new Float32Array(n), v: new Float32Array(n) },
    };
    const job = new Job(on.device);
    const [lr, one] = [0.01, 1];
    const rates = [lr, one / (1 - settings.beta1), one / (1 - settings.beta2)];
    const [weight] = await job.run(...pushAdamw(job, state, rates, 1));
    const wanted = state.w.map((w, i) => w - lr * (Math.sign(state.g[i]!) + settings.decay * w));
    expectWithin(weight!, wanted, (i) => 1e-6 * Math.abs(wanted[i]!) + 1e-7);
  });

  it("a recorded step takes the rates as they are then", async () => {
    const random = new Random(5);
    const n = 100;
    const rates = new Float32Array(3);
    const job = new Job(on.device);
    const [weight, mean, square] = [0, 1, 2].map(() => job.buffer("f32", [n]));
    adamw(job.stream, {
      ...settings,
      gradient: job.f32(random.normals(n), n),
      rates: job.stream.constant(rates, [3]),
      factor: job.f32(Float32Array.of(1), 1),
      ...{ weight: weight!, mean: mean!, square: square! },
    });
    const step = job.stream.record([weight!]);
    const run = async (...now: number[]): Promise<Float32Array> => {
      rates.set(now);
      return new Float32Array((await step.run())[0]!.slice().buffer);
    };
    expect(await run(0, 10, 20)).toEqual(new Float32Array(n));
    const moved = await run(0.5, 10, 20);
    expect(moved.every((w) => Math.abs(w) > 0.1)).toBe(true);
    expectSameBits(await run(0, 10, 20), moved);
    await job.run();
  });

  it("average moves by its rate", async () => {
    const random = new Random(6);
    for (const n of sizes) {
      const [x, old] = [random.normals(n), random.normals(n)];
      for (const rate of [0, 0.001, 1]) {
        const { actual, wanted } = await both(on.device, (job) => {
          const y = job.f32(old, n);
          average(job.stream, job.f32(x, n), job.f32(Float32Array.of(rate), 1), y);
          return [y];
        });
        expectWithin(actual[0]!, wanted[0]!, (i) => 4 * U * (Math.abs(x[i]!) + Math.abs(old[i]!)), `${n}`);
      }
    }
  });

  it("cast rounds to nearest even, keeps infinities and NaN, and is exact the other way", async () => {
    const random = new Random(7);
    for (const values of Object.values(difficult))
      for (const n of sizes) {
        const x = values(random, n);
        // Halves of the last place, up and down, and the largest numbers.
        const bits = new Uint32Array(x.buffer);
        for (let i = 0; i < n; i += 3)
          bits[i] = (bits[i]! & 0xffff0000) | random.pick([0x7fff, 0x8000, 0x8001]);
        const { actual } = await both(on.device, (job) => [
          cast(job.stream, cast(job.stream, job.f32(x, n), "bf16"), "f32"),
        ]);
        expectSameBits(actual[0]!, roundedToBf16(x), `${n}`);
      }
    const special = Float32Array.of(Number.NaN, Infinity, -Infinity, -0, 3.4028234e38, -3.4028234e38, 1);
    new Uint32Array(special.buffer)[6] = 0x7f800001; // a NaN whose payload lies in the bits that go
    const { actual } = await both(on.device, (job) => [
      cast(job.stream, cast(job.stream, job.f32(special, 7), "bf16"), "f32"),
    ]);
    const { NaN: nan } = Number;
    expectSameBits(actual[0]!, Float32Array.of(nan, Infinity, -Infinity, -0, Infinity, -Infinity, nan));
  });
});
