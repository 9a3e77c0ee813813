/**
 * Llama 1 to 3, TinyLlama, SmolLM 1 and 2, and all that call themselves LlamaForCausalLM (Touvron et al. 2023);
 * Mistral, which adds a sliding window (Jiang et al. 2023).
 */
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  type DecoderParts,
  preNorm,
  type Rope,
  rmsNormLayer,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary, slidingWindow } from "./common.ts";
import { neighbouringPairs, windowEntry } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

function config(f: Fields, window: number) {
  return {
    ...dimensions(f),
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    window,
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

function build(w: Weights, f: Fields, window: number): DecoderParts {
  const c = config(f, window);
  // GGUF files of this architecture hold q and k with their rows arranged for interleaved pairs.
  const rope = rotary(w, f, c.headDim, { style: w.isGguf ? "interleaved" : "half" });
  return assemble(
    w,
    f,
    c,
    (layer) => block(w, c, layer, rope),
    rmsNormLayer(w, "model.norm", c.hidden, c.eps),
  );
}

const gguf: Architecture["gguf"] = {
  architecture: "llama",
  when: (m) => m.int("expert_count", { default: 0 }) === 0,
  write: { ropeFactors: true, change: neighbouringPairs },
};

export const llama: Architecture = {
  names: ["LlamaForCausalLM"],
  modelType: "llama",
  gguf,
  // GGUF files of Mistral say that they are Llama; the original Llama has no windows.
  build: (w, f) => build(w, f, w.isGguf ? slidingWindow(f) : 0),
};

export const mistral: Architecture = {
  names: ["MistralForCausalLM"],
  modelType: "mistral",
  gguf: { ...gguf, write: { ...gguf.write, metadata: (f) => windowEntry(f, 4096) } },
  build: (w, f) => build(w, f, slidingWindow(f, 4096)),
};
