/** Prompts of very different lengths: what it costs to pad them. */
import { benchModel } from "../models.mjs";
import { fovea } from "./engines.mjs";

/** 64 lengths, log-normal about 60, the longest about 1000, with the smallest there are. */
function lengths() {
  const list = [1, 2, 1000];
  for (let i = 0; list.length < 64; i++) {
    // The normal distribution by its quantiles, in an order that is not theirs.
    const p = (((i * 37) % 61) + 0.5) / 61;
    const t = Math.sqrt(-2 * Math.log(Math.min(p, 1 - p)));
    const z =
      t -
      (2.515517 + 0.802853 * t + 0.010328 * t * t) /
        (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3);
    list.push(Math.max(1, Math.round(Math.exp(3.6 + 1.0 * (p < 0.5 ? -z : z)))));
  }
  return list;
}

export const packing = {
  name: "packing",
  title: "Prompts of mixed lengths",
  about:
    "64 prompts, their lengths log-normal (mean about 60, longest 1000), to the first token's logits: one after " +
    "another in steps of 2048 tokens without padding, as Fovea runs them; padded to the longest of all; padded in " +
    "batches of 16 of similar length. The logits are compared bit by bit. llama-10m q8_0.",

  async *plans({ threadCounts, rounds = 5, device }) {
    const { path } = await benchModel("llama-10m", "q8_0");
    const script = "fovea-prompts.mjs";
    const variant = (name, open) => ({ ...fovea(open, {}, { script }), name, ours: false });
    for (const threads of threadCounts)
      for (const [label, list] of [
        ["log-normal lengths", lengths()],
        ["equal lengths", Array(64).fill(60)],
      ]) {
        const open = { path, threads, device, lengths: list };
        yield {
          ...{ label, threads, rounds, tolerance: 0 },
          engines: [
            fovea(open, {}, { script }),
            variant("padded", { ...open, batch: 64 }),
            variant("padded, sorted batches of 16", { ...open, batch: 16, sorted: true }),
          ],
          measures: [
            { name: "prefill", unit: "ms", of: (times) => times.prefill },
            { name: "cache and activations", unit: "MiB", of: (times) => times.bytes },
          ],
        };
      }
  },
};
