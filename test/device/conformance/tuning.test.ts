/** No choice for products changes a bit: every candidate, on every instruction set, over rows of all classes. */
import { describe, expect, it } from "vitest";
import type { FormatName } from "../../../src/format/index.ts";
import { expertLinear, gated, linear, rmsNorm, type Tensor } from "../../../src/ops/index.ts";
import { candidates } from "../../../src/tasks/tune-decide.ts";
import { Job, layoutsOf, subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { randomWeight } from "../../support/weights.ts";

const counts = [1, 4, 7, 16, 70, 600];
const K = 768;
const M = 150;
const formats: readonly FormatName[] = ["f32", "bf16", "q8_0", "q4_1", "q6_K"];

describe.each(subjects.filter(({ name }) => name.startsWith("native")))("$name", (subject) => {
  for (const threads of [1, 2]) {
    const use = useDevice(subject, threads);

    it.each(formats)(`%s on ${threads} threads`, async (format) => {
      const { device } = use;
      const tuner = device.tuner!;
      const random = new Random(5);
      const matrix = randomWeight(random, format, [M, K]).bytes;
      const stack = randomWeight(random, format, [3, 40, K]).bytes;
      expect(layoutsOf(device, format, [M, K])).toContain("panels");
      const job = (n: number): Promise<Float32Array[]> => {
        const own = new Random(n);
        const on = new Job(device);
        const x = on.f32(own.normals(n * K), n, K);
        const w = (): Tensor => on.weight(format, [M, K], matrix, "panels");
        // Packed before, or they would stand between the neighbours.
        const [left, right] = [w(), w()];
        const normed = rmsNorm(on.stream, x, on.f32(own.normals(K), 1, K), 1e-5);
        const joined = gated(
          on.stream,
          linear(on.stream, normed, left),
          linear(on.stream, normed, right),
          "silu",
        );
        const picks = on.i32(
          Array.from({ length: 2 * n }, (_, i) => (i * 7) % 3),
          ...[n, 2],
        );
        const experts = expertLinear(on.stream, x, on.weight(format, [3, 40, K], stack, "panels"), picks);
        return on.run(linear(on.stream, x, w(), on.f32(own.normals(M), M)), joined, experts);
      };
      tuner.choose([]);
      for (const n of counts) {
        tuner.note(100);
        const wanted = await job(n);
        const products = [
          ...new Map(tuner.noted().map(({ product }) => [JSON.stringify(product), product])).values(),
        ];
        tuner.note(0);
        // Many rows of floats go through the dense product, where there is nothing to choose.
        const dense = (format === "f32" || format === "bf16") && n >= 16;
        expect(products.map(({ m }) => m)).toEqual(expect.arrayContaining(dense ? [40] : [M, 2 * M, 40]));
        const all = candidates(n);
        const mixed = { ahead: 1024, panels: 3, step: 512, tiles: 2 };
        // Each thing by itself, and several together; of many rows a few candidates say it all.
        for (const choice of n > 100 ? [all[1]!, all.at(-1)!, mixed] : [...all, mixed]) {
          tuner.choose(products.map((product) => ({ product, choice })));
          for (const [i, values] of (await job(n)).entries())
            expectSameBits(values, wanted[i]!, `${n} rows, ${JSON.stringify(choice)}`);
        }
        tuner.choose([]);
      }
    });
  }
});
