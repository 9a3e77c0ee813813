/** Gemma 2: norms before and after, windows in every other layer, capped scores and logits (Gemma Team 2024). */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, type Layer, type Rope, rmsNormLayer, sandwichNorm, type Weights } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, layerWindows, rotary } from "./common.ts";
import { demand, f32, normsPlusOne, queryScalar, u32 } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

/** What the original code takes when the config does not say. */
const defaults = { head_dim: 256 };

function config(f: Fields) {
  const dims = dimensions(f, defaults);
  const cap = (name: string, absent: number): number =>
    f.isNull(name) ? 0 : f.number(name, { default: absent, min: 0 });
  const window = f.int("sliding_window", { default: 4096, min: 1 });
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_activation", "gelu_pytorch_tanh"),
    scale: f.number("query_pre_attn_scalar", { default: 256, min: 1e-9 }) ** -0.5,
    window,
    windows: layerWindows(f, dims.layers, window, (layer) => layer % 2 === 0),
    scoreCap: cap("attn_logit_softcapping", 50),
    logitCap: cap("final_logit_softcapping", 30),
  };
}
type Config = ReturnType<typeof config>;

/** GGUF files have the 1 added already. */
const norm = (w: Weights, c: Config, name: string): Layer =>
  rmsNormLayer(w, name, c.hidden, c.eps, w.isGguf ? 0 : 1);

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return sandwichNorm(
    norm(w, c, `${at}.input_layernorm`),
    projectedAttention(w, c, {
      layer,
      rope,
      scale: c.scale,
      window: c.windows[layer] ?? 0,
      softcap: c.scoreCap,
    }),
    norm(w, c, `${at}.post_attention_layernorm`),
    norm(w, c, `${at}.pre_feedforward_layernorm`),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
    norm(w, c, `${at}.post_feedforward_layernorm`),
  );
}

export const gemma2: Architecture = {
  names: ["Gemma2ForCausalLM"],
  modelType: "gemma2",
  gguf: {
    architecture: "gemma2",
    names: [
      ["model.layers.{n}.post_attention_layernorm", "blk.{n}.post_attention_norm"],
      ["model.layers.{n}.pre_feedforward_layernorm", "blk.{n}.ffn_norm"],
      ["model.layers.{n}.post_feedforward_layernorm", "blk.{n}.post_ffw_norm"],
    ],
    config: (m) => ({
      attn_logit_softcapping: m.number("attn_logit_softcapping", { default: 50 }),
      final_logit_softcapping: m.number("final_logit_softcapping", { default: 30 }),
      query_pre_attn_scalar: queryScalar(m, 46),
    }),
    write: {
      activation: "gelu_tanh",
      defaults,
      metadata(f) {
        const { scale, scoreCap, logitCap, window, windows, ...c } = config(f);
        demand(f, "query_pre_attn_scalar", scale, (c.layers === 46 ? c.hidden / c.heads : c.headDim) ** -0.5);
        demand(
          f,
          "layer_types",
          windows,
          windows.map((_, i) => (i % 2 === 0 ? window : 0)),
        );
        if (scoreCap === 0 || logitCap === 0)
          f.fail("attn_logit_softcapping", "GGUF files of this architecture imply caps of scores and logits");
        return {
          attn_logit_softcapping: f32(scoreCap),
          final_logit_softcapping: f32(logitCap),
          "attention.sliding_window": u32(window),
        };
      },
      change: normsPlusOne,
    },
  },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.headDim);
    return {
      ...assemble(w, f, c, (layer) => block(w, c, layer, rope), norm(w, c, "model.norm")),
      embeddingScale: Math.sqrt(c.hidden),
      logitSoftcap: c.logitCap,
    };
  },
};
