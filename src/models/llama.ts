/**
 * Llama 1 to 3, TinyLlama, SmolLM 1 and 2, and all that call themselves LlamaForCausalLM (Touvron et al. 2023);
 * Mistral, which adds a sliding window (Jiang et al. 2023).
 */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, preNorm, type Rope, rmsNormLayer, type Weights } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary, slidingWindow } from "./common.ts";
import { neighbouringPairs, windowEntry } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

function config(f: Fields) {
  return {
    ...dimensions(f),
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    window: slidingWindow(f),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, { layer, rope, window: c.window }),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
  );
}

const build: Architecture["build"] = (w, f) => {
  const c = config(f);
  // GGUF files of this architecture hold q and k with their rows arranged for interleaved pairs.
  const rope = rotary(w, f, c.headDim, { style: w.isGguf ? "interleaved" : "half" });
  return assemble(
    w,
    f,
    c,
    (layer) => block(w, c, layer, rope),
    rmsNormLayer(w, "model.norm", c.hidden, c.eps),
  );
};

const gguf: Architecture["gguf"] = {
  architecture: "llama",
  when: (m) => m.int("expert_count", { default: 0 }) === 0,
  write: { ropeFactors: true, metadata: windowEntry, change: neighbouringPairs },
};

export const llama: Architecture = {
  names: ["LlamaForCausalLM"],
  modelType: "llama",
  gguf,
  build,
};

export const mistral: Architecture = {
  names: ["MistralForCausalLM"],
  modelType: "mistral",
  gguf,
  build,
};
