/** GPT-NeoX and Pythia: parallel residual, partial rotation, q, k and v interleaved by head (Black et al. 2022). */
import type { Fields } from "../checkpoint/config.ts";
import {
  attention,
  type Block,
  type Layer,
  layerNormLayer,
  linearLayer,
  parallel,
  plainMlp,
  preNorm,
  type Rope,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  assemble,
  dimensions,
  intermediate,
  ropeTheta,
  rotary,
  rotatedPart,
} from "./common.ts";
import { bool, demand, f32, u32 } from "./gguf-write-rules.ts";

function config(f: Fields) {
  const dims = dimensions(f);
  return {
    ...dims,
    // The original code knows no grouped heads and does not look at the field.
    kvHeads: dims.heads,
    intermediate: intermediate(f),
    eps: f.number("layer_norm_eps", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "gelu"),
    rotated: rotatedPart(f, dims.headDim, "rotary_pct", 0.25),
    theta: ropeTheta(f, "full_attention", "rotary_emb_base", 10_000),
    parallel: f.bool("use_parallel_residual", { default: true }),
  };
}
type Config = ReturnType<typeof config>;

/** Rows of the fused matrix, which is [heads, 3, headDim] in Hugging Face files, in the order [3, heads, headDim]. */
function apart({ heads, headDim }: Config): Int32Array {
  const order = new Int32Array(3 * heads * headDim);
  for (let i = 0, at = 0; i < 3; i++)
    for (let h = 0; h < heads; h++) for (let j = 0; j < headDim; j++) order[at++] = (3 * h + i) * headDim + j;
  return order;
}

function selfAttention(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `gpt_neox.layers.${layer}.attention`;
  const { hidden, heads, kvHeads, headDim } = c;
  const order = w.isGguf ? {} : { order: apart(c) };
  const part = (i: number): Layer =>
    linearLayer(w, `${at}.query_key_value`, 3 * hidden, hidden, {
      ...order,
      rows: [i * hidden, (i + 1) * hidden],
    });
  return attention({
    ...{ layer, heads, kvHeads, headDim, rope },
    q: part(0),
    k: part(1),
    v: part(2),
    o: linearLayer(w, `${at}.dense`, hidden, hidden),
  });
}

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `gpt_neox.layers.${layer}`;
  const mlp = plainMlp(
    linearLayer(w, `${at}.mlp.dense_h_to_4h`, c.intermediate, c.hidden),
    linearLayer(w, `${at}.mlp.dense_4h_to_h`, c.hidden, c.intermediate),
    c.fn,
  );
  const wire = c.parallel ? parallel : preNorm;
  return wire(
    layerNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    selfAttention(w, c, layer, rope),
    layerNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    mlp,
  );
}

export const gptNeoX: Architecture = {
  names: ["GPTNeoXForCausalLM"],
  modelType: "gpt_neox",
  gguf: {
    architecture: "gptneox",
    names: [
      ["gpt_neox.embed_in", "token_embd"],
      ["gpt_neox.final_layer_norm", "output_norm"],
      ["embed_out", "output"],
      ["gpt_neox.layers.{n}.input_layernorm", "blk.{n}.attn_norm"],
      ["gpt_neox.layers.{n}.attention.query_key_value", "blk.{n}.attn_qkv"],
      ["gpt_neox.layers.{n}.attention.dense", "blk.{n}.attn_output"],
      ["gpt_neox.layers.{n}.post_attention_layernorm", "blk.{n}.ffn_norm"],
      ["gpt_neox.layers.{n}.mlp.dense_h_to_4h", "blk.{n}.ffn_up"],
      ["gpt_neox.layers.{n}.mlp.dense_4h_to_h", "blk.{n}.ffn_down"],
    ],
    config: (m) => ({
      rotary_emb_base: m.number("rope.freq_base", { default: 10_000 }),
      rotary_pct: m.int("rope.dimension_count") / (m.int("embedding_length") / m.int("attention.head_count")),
      use_parallel_residual: m.bool("use_parallel_residual", { default: true }),
    }),
    write: {
      activation: "gelu",
      metadata(f) {
        const { rotated, theta, parallel } = config(f);
        demand(f, "tie_word_embeddings", f.bool("tie_word_embeddings", { default: false }), false);
        return {
          "rope.dimension_count": u32(rotated),
          "rope.freq_base": f32(theta),
          use_parallel_residual: bool(parallel),
        };
      },
      change: (name, f) => (/\.query_key_value\./.test(name) ? { order: apart(config(f)) } : undefined),
    },
  },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.rotated, { thetaField: "rotary_emb_base" });
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      layerNormLayer(w, "gpt_neox.final_layer_norm", c.hidden, c.eps),
      { embedding: "gpt_neox.embed_in", head: "embed_out" },
    );
  },
};
