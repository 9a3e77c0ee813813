/** A training step of a small Llama: forward, backward and AdamW. */
import { parameters } from "../training.mjs";
import { fovea, newNode } from "./engines.mjs";

/** The step's operations: 6 for each parameter and token. */
const operationsOf = (tokens) => 6 * parameters * tokens;

export const training = {
  name: "training",
  title: "A training step",
  about:
    "Forward, backward and AdamW of a Llama of 8.9 million parameters; operations counted as 6 for each parameter " +
    "and token, so without attention. In bf16 mode Fovea rounds what its products multiply to bf16 and keeps all " +
    "else in f32; all others compute in f32. The ratio beside Fovea's own product, f32 with a packed weight, is the " +
    "share of that rate which a whole step reaches. jax-js has one thread, and takes seconds for a step of one " +
    "window; compiling it does not count. The share on the right is that of multiply-adds of f32.",

  async *plans({ threadCounts, rounds = 5, device, quick }) {
    const context = 256;
    for (const [windows, peer] of [
      [4, ownProduct],
      [1, jax],
    ])
      for (const threads of threadCounts) {
        const open = { threads, device, windows, context };
        const script = { script: "fovea-training.mjs" };
        const operations = operationsOf(windows * context);
        yield {
          ...{
            label: `${windows * context} tokens a step`,
            threads,
            rounds: quick ? 3 : rounds,
            brief: true,
          },
          ...(peer === jax && { tolerance: 5e-3 }),
          engines: [
            fovea(
              { ...open, precision: "bf16" },
              { repeat: 16 / windows },
              { ...script, name: "Fovea, bf16 mode" },
            ),
            fovea({ ...open, precision: "f32" }, { repeat: 8 / windows }, script),
            peer(open),
          ],
          measures: [
            {
              ...{
                name: "step",
                unit: "GFLOP/s",
                amount: operations / 1e9,
                work: { operations },
                limit: "f32",
              },
              // A product's time is scaled to as many operations as a step has.
              of: (times) => (times.run * operations) / (times.operations ?? operations),
            },
          ],
        };
      }
  },
};

/** The rate of dense f32 products that a step is held against; no peer, but its ratio is the share. */
const ownProduct = ({ threads, device }) => ({
  ...fovea({ threads, device, n: 1024, k: 1024, m: 1024 }, { repeat: 20 }, { script: "fovea-product.mjs" }),
  ...{ name: "Fovea's own product", ours: false },
});

const jax = (open) => ({
  ...{ name: "jax-js", script: "jax-training.mjs", open, time: { repeat: 1 }, brief: false },
  process: { execPath: newNode },
});
