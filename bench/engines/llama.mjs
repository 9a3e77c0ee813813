/**
 * llama.cpp (through node-llama-cpp) as a child process that answers messages: the peer of benchmarks and checks.
 * Knows node-llama-cpp; must not know what its answers are compared with.
 */
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { serve } from "../child.mjs";
import { tokens } from "../tokens.mjs";

/**
 * The model that was opened last, and the lengths of its sequences.
 * @type {{ model: import("node-llama-cpp").LlamaModel, context: import("node-llama-cpp").LlamaContext, sequence: import("node-llama-cpp").LlamaContextSequence, lengths: number[], vocabulary: number, openMs: number }}
 */
let opened;
/** @type {import("node-llama-cpp").Llama | undefined} */
let llama;
/** @type {string[]} */
let log = [];

const BATCH = 512;
const greedy = { temperature: 0, yieldEogToken: true };

serve({
  /**
   * Opens a GGUF file as llama.cpp does by default: mapped, batches of 512, flash attention where it thinks fit,
   * keys and values in f16 (or `cacheType`). `context`: tokens of each sequence; `lengths`: of the sequences that
   * are made at once, for `parts`; `vocabulary`: its size, for `time`.
   */
  async open(options) {
    const { path, threads, context: contextSize, cacheType, flashAttention = "auto" } = options;
    const { lengths = [0], vocabulary } = options;
    const start = performance.now();
    llama ??= await startLlama();
    log = [];
    await close();
    try {
      const model = await llama.loadModel({ modelPath: path, useMmap: true, ignoreMemorySafetyChecks: true });
      const context = await model.createContext({
        contextSize,
        sequences: lengths.length,
        batchSize: BATCH,
        threads: { ideal: threads, min: threads },
        flashAttention: cacheType === "F32" ? false : flashAttention,
        ...(cacheType
          ? { experimentalKvCacheKeyType: cacheType, experimentalKvCacheValueType: cacheType }
          : {}),
        ignoreMemorySafetyChecks: true,
      });
      opened = { model, context, sequence: context.getSequence(), lengths, vocabulary, openMs: 0 };
    } catch (error) {
      throw new Error(`llama.cpp refuses ${path}: ${error}\n${log.join("\n")}`);
    }
    for (const [sequence, length] of lengths.entries()) await feed([sequence], [0], length, 0);
    opened.openMs = performance.now() - start;
    const { context } = opened;
    return {
      release: llama.llamaCppRelease.release,
      flashAttention: context.flashAttention,
      threads: context.currentThreads,
    };
  },

  /** The `count` most probable tokens, one after another. */
  async generate({ ids, count }) {
    const { sequence } = opened;
    await sequence.clearHistory();
    const tokens = [];
    for await (const token of sequence.evaluate(ids, greedy)) if (tokens.push(token) === count) break;
    return tokens;
  },

  /** For each position the logits of the next token, one row after another. */
  async logits({ ids }) {
    const { sequence } = opened;
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
   * Milliseconds for a prompt of so many tokens up to the logits of its last, and for `count` more tokens one by
   * one; or of each of `parts` (see program.mjs). Timed as llama.cpp's own benchmark does, on given tokens: its
   * binding's sampling would cost it up to a tenth. For `clients`, each with a sequence of its own and requests one
   * after another, through the binding's own batching: there is no other way that serves several.
   */
  async time({ prompt, count, parts, clients, requests, seed }) {
    if (parts) return await timeParts(parts, seed);
    if (clients) return await timeClients({ prompt, count, clients, requests, seed });
    cut();
    const start = performance.now();
    await feed([0], [0], prompt, seed);
    const first = performance.now();
    for (let i = 0; i < count; i++) await feed([0], [prompt + i], 1, seed + i);
    const decode = performance.now() - first;
    cut();
    return { prefill: first - start, decode, open: opened.openMs };
  },

  async tokenize({ text }) {
    return opened.model.tokenize(text);
  },

  close,
});

async function timeClients({ prompt, count, clients, requests, seed }) {
  const { context, vocabulary } = opened;
  opened.sequences ??= [opened.sequence];
  while (opened.sequences.length < clients) opened.sequences.push(context.getSequence());
  const start = performance.now();
  const client = async (number) => {
    const sequence = opened.sequences[number];
    for (let i = 0; i < requests; i++) {
      await sequence.clearHistory();
      let drawn = 0;
      const ids = tokens(prompt, 1 + seed * 1000 + number * requests + i, vocabulary);
      for await (const _ of sequence.evaluate(ids, greedy)) if (++drawn === count) break;
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  return { clients: performance.now() - start };
}

async function timeParts(parts, seed) {
  const times = {};
  for (const { name, sequences, tokens, steps } of parts) {
    cut();
    const start = performance.now();
    for (let i = 0; i < steps; i++)
      await feed(
        sequences,
        sequences.map((sequence) => opened.lengths[sequence] + i * tokens),
        tokens,
        seed + i,
      );
    times[name] = performance.now() - start;
  }
  cut();
  return times;
}

/** Gives each of the sequences `count` tokens at its position, all in one batch unless they are more than fit it. */
async function feed(sequences, positions, count, seed) {
  const { context, vocabulary } = opened;
  for (let done = 0; done < count; done += BATCH) {
    const part = Math.min(BATCH, count - done);
    context._ctx.initBatch(part * sequences.length);
    for (const [i, sequence] of sequences.entries())
      context._ctx.addToBatch(
        sequence,
        positions[i] + done,
        Uint32Array.from(tokens(part, seed + sequence, vocabulary)),
        Uint32Array.of(part - 1),
      );
    await context._ctx.decodeBatch();
  }
}

/** Cuts every sequence to the length that it had when it was opened. */
function cut() {
  for (const [sequence, length] of opened.lengths.entries())
    opened.context._ctx.removeTokenCellsFromSequence(sequence, length, -1);
}

async function close() {
  await opened?.context.dispose();
  await opened?.model.dispose();
  opened = undefined;
}

function startLlama() {
  return getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: 0, // as many as a context asks for
    logLevel: LlamaLogLevel.warn,
    logger: (_, message) => log.push(message.trimEnd()),
  });
}
