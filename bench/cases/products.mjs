/** Products of f32 matrices and nothing else. */
import { productFile } from "../bert.mjs";
import { fovea, jax, onnx } from "./engines.mjs";

/** x [n, k] · w [k, m], or for a gradient xᵀ · y with x [k, n] and y [k, m]. */
const shapes = [
  { what: "square", n: 1024, k: 1024, m: 1024 },
  { what: "encoder, one text", n: 128, k: 768, m: 3072 },
  { what: "encoder, eight texts", n: 1024, k: 3072, m: 768 },
  { what: "training, 2048 tokens", n: 2048, k: 768, m: 768 },
  { what: "training, gradient of a weight", n: 768, k: 2048, m: 768, gradient: true },
];

export const products = {
  name: "products",
  title: "Products of f32 matrices",
  about:
    "One product, of which JavaScript reads the first row at most: the rest stays with the engine. Fovea runs a " +
    "recorded plan with a weight packed beforehand, ONNX Runtime has it as a constant of its graph; for the gradient both matrices are inputs, " +
    "the first one transposed. jax-js has one thread.",

  async *plans({ threadCounts, rounds = 7, device, quick }) {
    for (const { what, ...shape } of quick ? shapes.slice(0, 2) : shapes)
      for (const threads of threadCounts) {
        const { n, k, m, gradient } = shape;
        const label = `${what}: ${n} × ${k} × ${m}`;
        const operations = 2 * n * k * m;
        const time = { repeat: Math.max(1, Math.round(4e10 / operations)) };
        const input = gradient
          ? { x: { kind: "f32", shape: [k, n] }, y: { kind: "f32", shape: [k, m], seed: 1 } }
          : { x: { kind: "f32", shape: [n, k] } };
        yield {
          ...{ label, threads, rounds, brief: true },
          tolerance: gradient ? 1e-2 : 1e-3, // sums of 500, of 0.4
          engines: [
            fovea({ threads, device, ...shape }, time, { script: "fovea-product.mjs" }),
            onnx({ path: productFile(shape), threads, input }, time),
            jax(shape, time),
          ],
          measures: [
            {
              ...{ name: "product", unit: "GFLOP/s", amount: operations / 1e9 },
              ...{ of: (times) => times.run, work: { operations }, limit: "f32" },
            },
          ],
        };
      }
  },
};
