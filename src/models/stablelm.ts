/** StableLM 2 and 3B: layer norms, partial rotation, perhaps a norm for each head and a parallel residual. */
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  type Layer,
  layerNormLayer,
  parallel,
  preNorm,
  type Rope,
  stackedHeadNorm,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary, rotatedPart } from "./common.ts";
import { bool, u32 } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

function config(f: Fields) {
  const dims = dimensions(f);
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("layer_norm_eps", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    rotated: rotatedPart(f, dims.headDim, "partial_rotary_factor", 0.25),
    qkNorm: f.bool("qk_layernorm", { default: false }),
    parallel: f.bool("use_parallel_residual", { default: false }),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  // GGUF files have the norms or not, and their key for the parallel residual is not to be relied on.
  const has = (name: string, field: boolean): boolean => (w.isGguf ? w.has(`${at}.${name}.weight`) : field);
  const headNorm = (name: string, heads: number): Layer | undefined =>
    has(`self_attn.${name}`, c.qkNorm)
      ? stackedHeadNorm(w, `${at}.self_attn.${name}`, heads, c.headDim, c.eps)
      : undefined;
  const attn = projectedAttention(w, c, {
    layer,
    rope,
    qNorm: headNorm("q_layernorm", c.heads),
    kNorm: headNorm("k_layernorm", c.kvHeads),
  });
  const mlp = projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn);
  const norm1 = layerNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps);
  if (!has("post_attention_layernorm", !c.parallel)) return parallel(norm1, attn, norm1, mlp);
  return preNorm(norm1, attn, layerNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps), mlp);
}

export const stableLm: Architecture = {
  names: ["StableLmForCausalLM"],
  modelType: "stablelm",
  gguf: {
    architecture: "stablelm",
    names: [
      ["model.layers.{n}.self_attn.q_layernorm", "blk.{n}.attn_q_norm"],
      ["model.layers.{n}.self_attn.k_layernorm", "blk.{n}.attn_k_norm"],
    ],
    config: (m) => ({
      partial_rotary_factor:
        m.int("rope.dimension_count") / (m.int("embedding_length") / m.int("attention.head_count")),
    }),
    write: {
      metadata(f) {
        const { rotated, parallel } = config(f);
        return { "rope.dimension_count": u32(rotated), use_parallel_residual: bool(parallel) };
      },
    },
  },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.rotated);
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      layerNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  },
};
