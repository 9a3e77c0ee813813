/**
 * Fovea as a child process that answers the same messages as llama.mjs.
 * Uses the built library as a user would.
 */
import { open } from "../dist/index.js";
import { serve } from "./child.mjs";

/** @type {Map<string, import("../src/tasks/types.ts").LanguageModel>} */
const opened = new Map();

serve({
  async open({ path, threads, device = "auto" }) {
    const model = await open(path, { threads, device });
    opened.set(path, model);
    return model.describe();
  },

  /** Milliseconds to the first token after `ids`, and from there to the one that is `count` tokens later. */
  async time({ path, ids, count }) {
    const start = performance.now();
    let first = 0;
    const generation = opened
      .get(path)
      .generate(ids, { temperature: 0, maxTokens: count + 1, ignoreEnd: true });
    for await (const _ of generation.events()) if (first === 0) first = performance.now();
    return { prefill: first - start, decode: performance.now() - first };
  },

  async close({ path }) {
    await opened.get(path)?.close();
    opened.delete(path);
  },
});
