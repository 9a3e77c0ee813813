/**
 * llama.cpp (through node-llama-cpp) as a child process that answers messages: the peer of benchmarks and checks.
 * Knows node-llama-cpp; must not know what its answers are compared with.
 */
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { serve } from "./child.mjs";

/** @type {Map<string, { context: import("node-llama-cpp").LlamaContext, sequence: import("node-llama-cpp").LlamaContextSequence, dispose(): Promise<void> }>} */
const opened = new Map();
/** @type {import("node-llama-cpp").Llama | undefined} */
let llama;
/** @type {string[]} */
let log = [];

const greedy = { temperature: 0, yieldEogToken: true };

serve({
  /** What runs: versions, the instruction sets in use. */
  async describe() {
    llama ??= await start();
    return { release: llama.llamaCppRelease.release, systemInfo: llama.systemInfo };
  },

  /**
   * Opens a GGUF file as llama.cpp does by default: mapped, batches of 512, flash attention where it thinks fit,
   * keys and values in f16 (or `cacheType`).
   */
  async open({ path, threads, context: contextSize, cacheType }) {
    llama ??= await start();
    log = [];
    try {
      const model = await llama.loadModel({ modelPath: path, useMmap: true, ignoreMemorySafetyChecks: true });
      const context = await model.createContext({
        contextSize,
        batchSize: 512,
        threads: { ideal: threads, min: threads },
        flashAttention: cacheType === "F32" ? false : "auto",
        ...(cacheType
          ? { experimentalKvCacheKeyType: cacheType, experimentalKvCacheValueType: cacheType }
          : {}),
        ignoreMemorySafetyChecks: true,
      });
      const dispose = async () => {
        await context.dispose();
        await model.dispose();
      };
      opened.set(path, { context, sequence: context.getSequence(), dispose });
      return { flashAttention: context.flashAttention, threads: context.currentThreads };
    } catch (error) {
      throw new Error(`llama.cpp refuses ${path}: ${error}\n${log.join("\n")}`);
    }
  },

  /** The `count` most probable tokens, one after another. */
  async generate({ path, ids, count }) {
    const { sequence } = opened.get(path);
    await sequence.clearHistory();
    const tokens = [];
    for await (const token of sequence.evaluate(ids, greedy)) if (tokens.push(token) === count) break;
    return tokens;
  },

  /** For each position the logits of the next token, one row after another. */
  async logits({ path, ids }) {
    const { sequence } = opened.get(path);
    await sequence.clearHistory();
    const outputs = await sequence.controlledEvaluate(
      ids.map((id) => [id, { generateNext: { logits: true } }]),
    );
    return outputs.map((output) => {
      const row = [];
      for (const [token, logit] of output.next.logits) row[token] = logit;
      return row;
    });
  },

  /**
   * Milliseconds for `ids` up to the logits of their last, and for `count` more tokens one by one. Timed as
   * llama.cpp's own benchmark does, on given tokens: its binding's sampling would cost it up to a tenth.
   */
  async time({ path, ids, count }) {
    const { context, sequence } = opened.get(path);
    await sequence.clearHistory();
    context._ctx.removeTokenCellsFromSequence(0, 0, -1); // those that this method left
    const decode = async (from, tokens) => {
      context._ctx.initBatch(tokens.length);
      context._ctx.addToBatch(0, from, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
      await context._ctx.decodeBatch();
    };
    const start = performance.now();
    for (let i = 0; i < ids.length; i += 512) await decode(i, ids.slice(i, i + 512));
    const first = performance.now();
    for (let i = 0; i < count; i++) await decode(ids.length + i, [ids[i % ids.length]]);
    return { prefill: first - start, decode: performance.now() - first };
  },

  async tokenize({ path, text }) {
    return opened.get(path).context.model.tokenize(text);
  },

  async close({ path }) {
    await opened.get(path)?.dispose();
    opened.delete(path);
  },
});

function start() {
  return getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: 0, // as many as a context asks for
    logLevel: LlamaLogLevel.warn,
    logger: (_, message) => log.push(message.trimEnd()),
  });
}
