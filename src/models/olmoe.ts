/** OLMoE: many small experts, and norms over the whole of q and k (Muennighoff et al. 2024). */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, preNorm, type Rope, rmsNormLayer, type Weights } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary, routing } from "./common.ts";
import { demand } from "./gguf-write-rules.ts";
import { projectedAttention, projectedExperts } from "./llama-like.ts";

function config(f: Fields) {
  if (f.has("clip_qkv"))
    f.fail("clip_qkv", "clipping of q, k and v is not supported; no published OLMoE uses it");
  return {
    ...dimensions(f),
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    ...routing(f, "num_experts"),
    normalize: f.bool("norm_topk_prob", { default: false }),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, {
      layer,
      rope,
      qNorm: rmsNormLayer(w, `${at}.self_attn.q_norm`, c.heads * c.headDim, c.eps),
      kNorm: rmsNormLayer(w, `${at}.self_attn.k_norm`, c.kvHeads * c.headDim, c.eps),
    }),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    projectedExperts(w, `${at}.mlp`, c, c.intermediate),
  );
}

export const olmoe: Architecture = {
  names: ["OlmoeForCausalLM"],
  modelType: "olmoe",
  gguf: {
    architecture: "olmoe",
    names: [
      ["model.layers.{n}.mlp.gate", "blk.{n}.ffn_gate_inp"],
      ["model.layers.{n}.mlp.experts.*.gate_proj", "blk.{n}.ffn_gate_exps"],
      ["model.layers.{n}.mlp.experts.*.up_proj", "blk.{n}.ffn_up_exps"],
      ["model.layers.{n}.mlp.experts.*.down_proj", "blk.{n}.ffn_down_exps"],
    ],
    write: {
      metadata(f) {
        demand(f, "norm_topk_prob", config(f).normalize, false);
        return {};
      },
    },
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
