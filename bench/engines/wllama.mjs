/**
 * llama.cpp as WebAssembly (wllama) as a child process. It is made for pages; here it runs in Node, with
 * browser-worker.mjs in place of a page's workers, and needs a Node with JSPI (flag) and 64-bit memory.
 */
import { openAsBlob } from "node:fs";
import { serve } from "../child.mjs";
import "./browser-worker.mjs";

const { Wllama } = await import("@wllama/wllama");
const wasm = new URL("../node_modules/@wllama/wllama/esm/wasm/wllama.wasm", import.meta.url);
/** @type {import("@wllama/wllama").Wllama} */
let wllama;

serve({
  async open({ path, threads, context }) {
    const nothing = {}; // no cache of downloads
    wllama = new Wllama(
      { default: wasm.href },
      { suppressNativeLog: true, logger: quiet, cacheManager: nothing, modelManager: nothing },
    );
    await wllama.loadModel([await openAsBlob(path)], {
      n_ctx: context,
      n_threads: threads,
      n_gpu_layers: 0,
      n_parallel: 1,
      warmup: false,
    });
    return { release: Wllama.getLibllamaVersion(), threads: wllama.getNumThreads() };
  },

  /**
   * Milliseconds by its own clock. Its prompt is a text of as many newlines, because it takes no token ids; the
   * vocabulary of the benchmark's models has no longer token of them.
   */
  async time({ prompt, count }) {
    const { timings } = await wllama.createCompletion({
      prompt: "\n".repeat(prompt),
      max_tokens: count + 1,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
    });
    if (timings.prompt_n !== prompt || timings.predicted_n !== count + 1)
      throw new Error(`wllama took ${timings.prompt_n} tokens and made ${timings.predicted_n}`);
    return { prefill: timings.prompt_ms, decode: timings.predicted_ms };
  },
});

const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
