/**
 * Devices may run neighbouring ops in one go: a norm, the products of its result, and a gate, an activation or a sum
 * behind them. The bits are those of the same ops in steps of their own.
 */
import { describe, expect, it } from "vitest";
import type { FormatName } from "../../../src/format/index.ts";
import {
  activation,
  add,
  gated,
  linear,
  type Plan,
  placeOf,
  rmsNorm,
  type Tensor,
} from "../../../src/ops/index.ts";
import { Job, layoutsOf, subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { randomWeight } from "../../support/weights.ts";

/** Rows of one, a few and several tiles; more than are prepared at once. */
const counts = [1, 3, 13, 40, 530];
const K = 512;
/** Rows of three matrices: whole panels, a broken one, and fewer than a panel. */
const sizes = [48, 70, 5];

describe.each(subjects)("$name", (subject) => {
  const use = useDevice(subject);

  for (const format of ["f32", "f16", "q4_0", "q8_0", "q4_K", "q6_K", "i8_row"] as FormatName[])
    it.each(counts)(`norm, ${format} products and gate over %i rows`, async (n) => {
      const random = new Random(n);
      const x = random.normals(n * K);
      const scale = random.normals(K);
      const bias = random.normals(sizes[0]!);
      const shapes = sizes.map((m) => [m, K] as const);
      const bytes = shapes.map((shape) => randomWeight(random, format, shape).bytes);
      for (const layout of layoutsOf(use.device, format, shapes[0]!)) {
        const job = new Job(use.device);
        const weights = (on: Job): Tensor[] =>
          shapes.map((shape, i) => on.weight(format, shape, bytes[i]!, layout));
        const [a, b, c] = weights(job) as [Tensor, Tensor, Tensor];
        const normed = rmsNorm(job.stream, job.f32(x, n, K), job.f32(scale, 1, K), 1e-5);
        const three = [
          linear(job.stream, normed, a, job.f32(bias, sizes[0]!)),
          linear(job.stream, normed, b),
          linear(job.stream, normed, c),
        ];
        const again = rmsNorm(job.stream, job.f32(x, n, K), job.f32(scale, 1, K), 1e-5);
        const both = [linear(job.stream, again, b), linear(job.stream, again, b)] as const;
        const joined = gated(job.stream, ...both, "silu");
        const together = await job.run(normed, ...three, joined);

        const apart = async (build: (job: Job) => Tensor): Promise<Float32Array> => {
          const own = new Job(use.device);
          return (await own.run(build(own)))[0]!;
        };
        const rows = await apart((on) => rmsNorm(on.stream, on.f32(x, n, K), on.f32(scale, 1, K), 1e-5));
        const product = (i: number): Promise<Float32Array> =>
          apart((on) =>
            linear(
              on.stream,
              on.f32(rows, n, K),
              weights(on)[i]!,
              i === 0 ? on.f32(bias, sizes[0]!) : undefined,
            ),
          );
        const products = [await product(0), await product(1), await product(2)];
        const gate = await apart((on) =>
          gated(on.stream, on.f32(products[1]!, n, sizes[1]!), on.f32(products[1]!, n, sizes[1]!), "silu"),
        );
        const wanted = [rows, ...products, gate];
        for (const [i, values] of together.entries())
          expect(Buffer.compare(Buffer.from(values.buffer), Buffer.from(wanted[i]!.buffer))).toBe(0);
      }
    });

  for (const format of ["f32", "bf16", "q4_0", "i8_row"] as FormatName[])
    it.each(counts)(`${format} products with a sum or an activation behind them over %i rows`, async (n) => {
      const m = K;
      const random = new Random(n);
      const x = random.normals(n * K);
      const bias = random.normals(m);
      const other = random.normals(n * m);
      const { bytes } = randomWeight(random, format, [m, K]);
      const apart = async (build: (job: Job) => Tensor): Promise<Float32Array> => {
        const own = new Job(use.device);
        return (await own.run(build(own)))[0]!;
      };
      for (const layout of layoutsOf(use.device, format, [m, K])) {
        const product = (on: Job, rows: Tensor): Tensor =>
          linear(on.stream, rows, on.weight(format, [m, K], bytes, layout), on.f32(bias, m));
        const y = await apart((on) => product(on, on.f32(x, n, K)));
        const sum = (a: Float32Array, b: Float32Array): Promise<Float32Array> =>
          apart((on) => add(on.stream, on.f32(a, n, m), on.f32(b, n, m)));
        const wanted = [
          await sum(y, other),
          await sum(x, y),
          await sum(y, y),
          await apart((on) => activation(on.stream, on.f32(y, n, m), "gelu")),
          await apart((on) => add(on.stream, on.f32(y, n, m), on.f32(bias, 1, m))),
        ];

        const job = new Job(use.device);
        const s = job.stream;
        const given = job.f32(x, n, K);
        const both = product(job, given);
        const outputs = [
          add(s, product(job, given), job.f32(other, n, m)),
          // What is added is what is multiplied.
          add(s, given, product(job, given)),
          add(s, both, both),
          activation(s, product(job, given), "gelu"),
          add(s, product(job, given), job.f32(bias, 1, m)),
          // Nobody needs the rows behind this: the sum may take their place, but not while they are multiplied.
          add(s, given, product(job, given)),
        ];
        for (const [i, values] of (await job.run(...outputs)).entries())
          expectSameBits(values, wanted[i] ?? wanted[1]!, `${layout}, output ${i}`);
      }
    });

  it("no output takes the place of a norm's weight that later rows still need", async () => {
    // More rows than are prepared at once, and an output so narrow that it fits the place of the weight.
    const [n, k] = [530, 1024];
    const random = new Random(3);
    const x = random.normals(n * k);
    const bytes = new Uint8Array(x.buffer.slice(0));
    const scale = random.normals(k);
    const w = randomWeight(random, "q8_0", [1, k]).bytes;
    for (const layout of layoutsOf(use.device, "q8_0", [1, k])) {
      const plans: Plan[] = [];
      const run = (plan: Plan) => {
        plans.push(plan);
        return use.device.run(plan);
      };
      const watched = new Proxy(use.device, {
        get(device, name) {
          const value: unknown = name === "run" ? run : Reflect.get(device, name);
          return typeof value === "function" ? value.bind(device) : value;
        },
      });
      const job = new Job(watched);
      const weight = job.f32(scale, 1, k);
      const normed = rmsNorm(job.stream, job.weight("f32", [n, k], bytes), weight, 1e-5);
      const y = linear(job.stream, normed, job.weight("q8_0", [1, k], w, layout));
      const [together] = await job.run(y);
      expect(placeOf(plans[0]!, y)).toBe(placeOf(plans[0]!, weight));

      const apart = new Job(use.device);
      const rows = rmsNorm(apart.stream, apart.f32(x, n, k), apart.f32(scale, 1, k), 1e-5);
      const [normedRows] = await apart.run(rows);
      const alone = new Job(use.device);
      const [wanted] = await alone.run(
        linear(alone.stream, alone.f32(normedRows!, n, k), alone.weight("q8_0", [1, k], w, layout)),
      );
      expectSameBits(together!, wanted!);
    }
  });
});
