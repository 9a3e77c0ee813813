/** OLMo 2: norms after attention and MLP instead of before, and over the whole of q and k (OLMo et al. 2024). */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, postNorm, type Rope, rmsNormLayer, type Weights } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary } from "./common.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

function config(f: Fields) {
  return {
    ...dimensions(f),
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  const attn = projectedAttention(w, c, {
    layer,
    rope,
    qNorm: rmsNormLayer(w, `${at}.self_attn.q_norm`, c.heads * c.headDim, c.eps),
    kNorm: rmsNormLayer(w, `${at}.self_attn.k_norm`, c.kvHeads * c.headDim, c.eps),
  });
  return postNorm(
    attn,
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
    rmsNormLayer(w, `${at}.post_feedforward_layernorm`, c.hidden, c.eps),
  );
}

export const olmo2: Architecture = {
  names: ["Olmo2ForCausalLM"],
  modelType: "olmo2",
  gguf: {
    architecture: "olmo2",
    names: [
      ["model.layers.{n}.post_attention_layernorm", "blk.{n}.post_attention_norm"],
      ["model.layers.{n}.post_feedforward_layernorm", "blk.{n}.post_ffw_norm"],
    ],
  },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.headDim);
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      rmsNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  },
};
