/** linear on a stream of bf16: float weights as rows and as panels, against f64 sums of the rounded numbers. */
import { describe, expect, it } from "vitest";
import { linear } from "../../../src/ops/index.ts";
import { Job, layoutsOf, subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits, expectWithin, gamma } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { randomWeight, weightOf } from "../../support/weights.ts";

const rounded = (values: Float32Array): Float32Array => weightOf("bf16", values).values;
const precision = "bf16";

describe.each(subjects)("$name", (subject) => {
  const one = useDevice(subject, 1);
  const two = useDevice(subject, 2);

  it.each(["f32", "f16", "bf16"] as const)(
    "%s is within its bound, whatever goes together",
    async (format) => {
      const random = new Random(21);
      for (const [n, k, m] of [
        [1, 1, 1],
        [2, 31, 16],
        [16, 64, 35],
        [17, 300, 40],
        [33, 33, 70],
        [70, 530, 33],
        [530, 40, 20],
        [0, 8, 5],
      ] as const) {
        const weight = randomWeight(random, format, [m, k]);
        const bias = random.normals(m);
        const x = random.normals(n * k, 2);
        const run = async (layout: string, device = two.device, rows = x): Promise<Float32Array> => {
          const job = new Job(device, { precision });
          const w = job.weight(format, [m, k], weight.bytes, layout);
          const [y] = await job.run(
            linear(job.stream, job.f32(rows, rows.length / k, k), w, job.f32(bias, m)),
          );
          return y!;
        };
        const [a, b] = [rounded(x), rounded(weight.values)];
        const what = `${format} [${n}, ${k}] x ${m}`;
        const wanted: number[] = [];
        const bounds: number[] = [];
        for (let i = 0; i < n; i++)
          for (let j = 0; j < m; j++) {
            let [sum, sizes] = [bias[j]!, Math.abs(bias[j]!)];
            for (let q = 0; q < k; q++) {
              const product = a[i * k + q]! * b[j * k + q]!;
              sum += product;
              sizes += Math.abs(product);
            }
            wanted.push(sum);
            bounds.push(gamma(k + 4) * sizes + 2 ** -120);
          }
        for (const layout of layoutsOf(two.device, format, [m, k])) {
          const y = await run(layout);
          expectWithin(y, wanted, (i) => bounds[i]!, `${what} in ${layout}`);
          expectSameBits(await run(layout, one.device), y, `${what} in ${layout} on one thread`);
          if (n > 1)
            expectSameBits(
              await run(layout, two.device, x.subarray((n - 1) * k)),
              y.subarray((n - 1) * m),
              `the last row of ${what} in ${layout} alone`,
            );
        }
      }
    },
  );

  it("quantized weights are multiplied as on any stream", async () => {
    const random = new Random(22);
    const weight = randomWeight(random, "q8_0", [40, 64]);
    const x = random.normals(3 * 64);
    const [plain, other] = await Promise.all(
      [{}, { precision } as const].map(async (options) => {
        const job = new Job(two.device, options);
        const w = job.weight("q8_0", [40, 64], weight.bytes);
        return (await job.run(linear(job.stream, job.f32(x, 3, 64), w)))[0]!;
      }),
    );
    expect(other).toEqual(plain);
  });
});
