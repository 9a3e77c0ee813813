/** Products of f32 matrices and nothing else. */
import { productFile } from "../bert.mjs";
import { fovea, jax, onnx } from "./engines.mjs";

/** y [n, m] = x [n, k] · w [k, m] */
const shapes = [
  { what: "square", n: 1024, k: 1024, m: 1024 },
  { what: "encoder, one text", n: 128, k: 768, m: 3072 },
  { what: "encoder, eight texts", n: 1024, k: 3072, m: 768 },
  { what: "training, a batch of 2048 tokens", n: 2048, k: 768, m: 768 },
];

export const products = {
  name: "products",
  title: "Products of f32 matrices",
  about:
    "One product with a constant matrix, of which JavaScript reads the first row at most: the rest stays with the " +
    "engine. Fovea packs the matrix beforehand, ONNX Runtime has it as a constant of its graph; jax-js has one thread.",

  async *plans({ threadCounts, rounds = 7, device, quick }) {
    for (const { what, n, k, m } of quick ? shapes.slice(0, 2) : shapes)
      for (const threads of threadCounts) {
        const operations = 2 * n * k * m;
        const time = { repeat: Math.max(1, Math.round(4e10 / operations)) };
        const input = { x: { kind: "f32", shape: [n, k] } };
        yield {
          label: `${what}: ${n} × ${k} × ${m}`,
          ...{ threads, rounds, brief: true, tolerance: 1e-3 },
          engines: [
            fovea({ threads, device, n, k, m }, time, { script: "fovea-product.mjs" }),
            onnx({ path: productFile(n, k, m), threads, input }, time),
            jax({ n, k, m }, time),
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
