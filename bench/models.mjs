/**
 * GGUF files of known shapes with random weights, made once and shared by both engines.
 * Speed does not depend on the values, but they are scaled so that activations stay ordinary numbers.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeGguf } from "../dist/checkpoint/gguf-writer.js";
import { formatBytes, formats } from "../dist/format/index.js";
import { outputFormat } from "../dist/tasks/quantize-rules.js";

/** Of config.json as published. */
export const shapes = {
  "tinyllama-1.1b": {
    architecture: "llama",
    ...{ hidden: 2048, intermediate: 5632, layers: 22, heads: 32, kvHeads: 4, vocabulary: 32000 },
    ...{ context: 2048, theta: 1e4, eps: 1e-5, tied: false, bias: false },
  },
  "qwen2.5-0.5b": {
    architecture: "qwen2",
    ...{ hidden: 896, intermediate: 4864, layers: 24, heads: 14, kvHeads: 2, vocabulary: 151936 },
    ...{ context: 32768, theta: 1e6, eps: 1e-6, tied: true, bias: true },
  },
  tiny: {
    architecture: "llama",
    ...{ hidden: 256, intermediate: 768, layers: 2, heads: 4, kvHeads: 2, vocabulary: 4096 },
    ...{ context: 2048, theta: 1e4, eps: 1e-5, tied: false, bias: false },
  },
};

/** Elements of the random chunk that fills a matrix over and over; a whole number of rows' blocks. */
const CHUNK = 1 << 18;

/** Path of the file, which is written when it is not there. */
export async function modelFile(shapeName, format) {
  const folder = join(tmpdir(), "fovea-bench");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${shapeName}-${format}.gguf`);
  if (!existsSync(path)) {
    process.stderr.write(`writing ${path} ...\n`);
    const shape = shapes[shapeName];
    await writeGguf(path, metadata(shapeName, shape), tensorsOf(shape, format), filler());
  }
  return path;
}

/** What a step reads and computes, from the shapes alone. */
export function modelCost(shapeName, format) {
  const shape = shapes[shapeName];
  const tensors = tensorsOf(shape, format);
  const elements = (t) => t.shape.reduce((n, d) => n * d, 1);
  const head = shape.tied ? "token_embd.weight" : "output.weight";
  const sum = (list, f) => list.reduce((n, t) => n + f(t), 0);
  const blocks = tensors.filter((t) => t.name.startsWith("blk."));
  return {
    parameters: sum(tensors, elements),
    /** Bytes of weights that one generated token reads: all but the rows of the embedding that it does not use. */
    decodeBytes: sum(
      tensors.filter((t) => t.name === head || t.name !== "token_embd.weight"),
      (t) => formatBytes(t.format, elements(t)),
    ),
    /** Operations of the matrix products for one token of a prompt; the head runs for the last one only. */
    prefillOperations:
      2 *
      sum(
        blocks.filter((t) => t.shape.length === 2),
        elements,
      ),
  };
}

export const fileBytes = (path) => statSync(path).size;

function tensorsOf(c, format) {
  const kv = (c.hidden / c.heads) * c.kvHeads;
  const matrix = (name, m, k, as = format) => ({ name: `${name}.weight`, shape: [m, k], format: as });
  const vector = (name, d) => ({ name, shape: [d], format: "f32" });
  const block = (n) => [
    vector(`blk.${n}.attn_norm.weight`, c.hidden),
    matrix(`blk.${n}.attn_q`, c.hidden, c.hidden),
    matrix(`blk.${n}.attn_k`, kv, c.hidden),
    matrix(`blk.${n}.attn_v`, kv, c.hidden),
    ...(c.bias
      ? [
          vector(`blk.${n}.attn_q.bias`, c.hidden),
          vector(`blk.${n}.attn_k.bias`, kv),
          vector(`blk.${n}.attn_v.bias`, kv),
        ]
      : []),
    matrix(`blk.${n}.attn_output`, c.hidden, c.hidden),
    vector(`blk.${n}.ffn_norm.weight`, c.hidden),
    matrix(`blk.${n}.ffn_gate`, c.intermediate, c.hidden),
    matrix(`blk.${n}.ffn_up`, c.intermediate, c.hidden),
    matrix(`blk.${n}.ffn_down`, c.hidden, c.intermediate),
  ];
  const head = outputFormat(format, c.hidden);
  return [
    matrix("token_embd", c.vocabulary, c.hidden, c.tied ? head : format),
    ...Array.from({ length: c.layers }, (_, n) => block(n)).flat(),
    vector("output_norm.weight", c.hidden),
    ...(c.tied ? [] : [matrix("output", c.vocabulary, c.hidden, head)]),
  ];
}

function metadata(name, c) {
  const a = c.architecture;
  const string = (value) => ({ type: "string", value });
  const u32 = (value) => ({ type: "u32", value });
  const f32 = (value) => ({ type: "f32", value });
  const tokens = Array.from({ length: c.vocabulary }, (_, i) => `<${i}>`);
  return new Map([
    ["general.architecture", string(a)],
    ["general.name", string(`${name} with random weights`)],
    [`${a}.block_count`, u32(c.layers)],
    [`${a}.context_length`, u32(c.context)],
    [`${a}.embedding_length`, u32(c.hidden)],
    [`${a}.feed_forward_length`, u32(c.intermediate)],
    [`${a}.attention.head_count`, u32(c.heads)],
    [`${a}.attention.head_count_kv`, u32(c.kvHeads)],
    [`${a}.attention.layer_norm_rms_epsilon`, f32(c.eps)],
    [`${a}.rope.freq_base`, f32(c.theta)],
    ["tokenizer.ggml.model", string("gpt2")],
    ["tokenizer.ggml.pre", string("gpt-2")],
    ["tokenizer.ggml.tokens", { type: "string", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "i32", value: tokens.map(() => 1) }],
    ["tokenizer.ggml.merges", { type: "string", value: [] }],
    ["tokenizer.ggml.eos_token_id", u32(0)],
    ["tokenizer.ggml.bos_token_id", u32(0)],
  ]);
}

/** Bytes for each tensor: vectors near 1 (norms) or 0 (biases), matrices of deviation 1/sqrt(k). */
function filler() {
  const chunks = new Map();
  return ({ name, shape, format }) => {
    const elements = shape.reduce((n, d) => n * d, 1);
    if (shape.length === 1) {
      const base = name.endsWith(".weight") ? 1 : 0;
      const values = Float32Array.from({ length: elements }, () => base + 0.1 * gaussian());
      return new Uint8Array(values.buffer);
    }
    const k = shape[1];
    const key = `${format} ${k}`;
    if (!chunks.has(key)) chunks.set(key, randomChunk(format, 1 / Math.sqrt(k)));
    const chunk = chunks.get(key);
    const bytes = new Uint8Array(formatBytes(format, elements));
    for (let at = 0; at < bytes.length; at += chunk.length)
      bytes.set(chunk.subarray(0, Math.min(chunk.length, bytes.length - at)), at);
    return bytes;
  };
}

function randomChunk(format, deviation) {
  const values = Float32Array.from({ length: CHUNK }, () => deviation * gaussian());
  const bytes = new Uint8Array(formatBytes(format, CHUNK));
  formats[format].pack(values, bytes);
  return bytes;
}

let state = 1;
/** Uniform in (0, 1], always the same sequence (Mulberry32). */
function uniform() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (((t ^ (t >>> 14)) >>> 0) + 1) / 2 ** 32;
}

/** Box and Muller. */
const gaussian = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
