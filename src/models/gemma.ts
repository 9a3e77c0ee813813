/** Gemma: scaled embeddings, norms that store weight − 1, a gated GELU (Gemma Team 2024). */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, type Layer, preNorm, type Rope, rmsNormLayer, type Weights } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary } from "./common.ts";
import { normsPlusOne } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

/** What the original code takes when the config does not say. */
const defaults = { head_dim: 256 };

function config(f: Fields) {
  return {
    ...dimensions(f, defaults),
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_activation", "gelu_pytorch_tanh"),
  };
}
type Config = ReturnType<typeof config>;

/** GGUF files have the 1 added already. */
const norm = (w: Weights, c: Config, name: string): Layer =>
  rmsNormLayer(w, name, c.hidden, c.eps, w.isGguf ? 0 : 1);

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    norm(w, c, `${at}.input_layernorm`),
    projectedAttention(w, c, { layer, rope }),
    norm(w, c, `${at}.post_attention_layernorm`),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
  );
}

export const gemma: Architecture = {
  names: ["GemmaForCausalLM"],
  modelType: "gemma",
  gguf: { architecture: "gemma", write: { activation: "gelu_tanh", defaults, change: normsPlusOne } },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.headDim);
    return {
      ...assemble(w, f, c, (layer) => block(w, c, layer, rope), norm(w, c, "model.norm")),
      embeddingScale: Math.sqrt(c.hidden),
    };
  },
};
