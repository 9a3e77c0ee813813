/**
 * Fovea as a child process: the built library as a user has it, one model at a time.
 */
import { open } from "../../dist/index.js";
import { serve } from "../child.mjs";
import { tokens } from "../tokens.mjs";

/** @type {import("../../src/tasks/types.ts").LanguageModel} */
let model;
let openMs = 0;
let times = 0;

serve({
  /** `keep`: whether packed weights are kept beside the file, as they are by default; it disturbs what follows. */
  async open({ path, threads, device = "auto", precision = "f32", keep = false }) {
    const start = performance.now();
    model = await open(path, { threads, device, precision, packedCache: keep });
    openMs = performance.now() - start;
    return model.describe();
  },

  /**
   * Milliseconds to the first token after a prompt of so many, and from there to the one that is `count` tokens
   * later; sampling and text included, as for a user. Or, for so many `clients`, until each has had all its
   * `requests`, one after another. `known`: tokens of the prompt that the cache has seen before.
   */
  async time({ prompt, count, clients, requests, known = 0, seed }) {
    if (clients) return await timeClients({ prompt, count, clients, requests, seed });
    const ids = tokens(prompt, seed, model.vocabularySize);
    // A salt of its own, so that no prompt is found in the cache.
    const options = { temperature: 0, maxTokens: count + 1, ignoreEnd: true, cacheSalt: `${times++}` };
    if (known > 0) await model.generate(ids.slice(0, known), { ...options, maxTokens: 1 }).result();
    const start = performance.now();
    let first = 0;
    const generation = model.generate(ids, options);
    for await (const _ of generation.events()) if (first === 0) first = performance.now();
    return { prefill: first - start, decode: performance.now() - first, open: openMs };
  },

  /** Ends as a program would: what is being kept is kept. */
  close: () => model.close(),
});

async function timeClients({ prompt, count, clients, requests, seed }) {
  const salt = `${times++}`;
  const start = performance.now();
  const client = async (number) => {
    for (let i = 0; i < requests; i++) {
      const ids = tokens(prompt, 1 + seed * 1000 + number * requests + i, model.vocabularySize);
      const options = { temperature: 0, maxTokens: count, ignoreEnd: true, cacheSalt: salt };
      const { tokens: drawn } = await model.generate(ids, options).result();
      if (drawn.length !== count) throw new Error(`${drawn.length} tokens in place of ${count}`);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  return { clients: performance.now() - start };
}
