/** A training step of a small Llama: forward, backward and AdamW. */
import { parameters } from "../training.mjs";
import { fovea, newNode } from "./engines.mjs";

export const training = {
  name: "training",
  title: "A training step",
  about:
    "Forward, backward and AdamW of a Llama of 8.9 million parameters; operations counted as 6 for each parameter " +
    "and token, so without attention. In bf16 mode Fovea rounds what its products multiply to bf16 and keeps all " +
    "else in f32; the others compute in f32. jax-js has one thread. The share is that of multiply-adds of f32.",

  async *plans({ threadCounts, rounds = 5, device, quick }) {
    const [windows, context] = [4, 256];
    const tokens = windows * context;
    const script = { script: "fovea-training.mjs" };
    for (const threads of threadCounts) {
      const open = { threads, device, windows, context };
      yield {
        ...{
          label: `${windows} windows of ${context} tokens`,
          threads,
          rounds: quick ? 3 : rounds,
          brief: true,
        },
        tolerance: 5e-3,
        engines: [
          fovea({ ...open, precision: "bf16" }, { repeat: 4 }, { ...script, name: "Fovea, bf16 mode" }),
          fovea({ ...open, precision: "f32" }, { repeat: 2 }, script),
          {
            ...{ name: "jax-js", script: "jax-training.mjs", open, time: { repeat: 1 } },
            process: { execPath: newNode },
          },
        ],
        measures: [
          {
            ...{ name: "step", unit: "GFLOP/s", amount: (6 * parameters * tokens) / 1e9 },
            ...{ of: (times) => times.run, work: { operations: 6 * parameters * tokens }, limit: "f32" },
          },
        ],
      };
    }
  },
};
