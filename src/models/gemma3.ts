/**
 * Gemma 3, the text model: norms on q and k, five windowed layers to one that sees all, each kind with its own
 * rotary base (Gemma Team 2025).
 */
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  type Layer,
  perHead,
  type Rope,
  rmsNormLayer,
  sandwichNorm,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  assemble,
  dimensions,
  intermediate,
  layerWindows,
  ropeTheta,
  rotary,
} from "./common.ts";
import { demand, normsPlusOne, queryScalar, u32 } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

/** Published configs leave out what has the original code's default. */
const defaults = {
  vocab_size: 262_208,
  hidden_size: 2304,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
};

/** The rotary positions of the layers with a window. */
const local = { kind: "sliding_attention", thetaField: "rope_local_base_freq" } as const;

/** A model that also sees pictures has the text model's config in a field of its own. */
const textConfig = (f: Fields): Fields => f.object("text_config") ?? f;

function config(f: Fields) {
  const dims = dimensions(f, defaults);
  const pattern = f.int("sliding_window_pattern", { default: 6, min: 1 });
  const window = f.int("sliding_window", { default: 4096, min: 1 });
  if (f.bool("use_bidirectional_attention", { default: false }))
    f.fail("use_bidirectional_attention", "attention to later tokens is for encoders, not for generation");
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_activation", "gelu_pytorch_tanh"),
    scale: f.number("query_pre_attn_scalar", { default: 256, min: 1e-9 }) ** -0.5,
    window,
    windows: layerWindows(f, dims.layers, window, (layer) => (layer + 1) % pattern !== 0),
    // The original code reads `attn_logit_softcapping` too, but caps no scores.
    logitCap: f.number("final_logit_softcapping", { default: 0, min: 0 }),
  };
}
type Config = ReturnType<typeof config>;

/** GGUF files have the 1 added already. */
const norm = (w: Weights, c: Config, name: string, d = c.hidden): Layer =>
  rmsNormLayer(w, name, d, c.eps, w.isGguf ? 0 : 1);

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return sandwichNorm(
    norm(w, c, `${at}.input_layernorm`),
    projectedAttention(w, c, {
      layer,
      rope,
      qNorm: perHead(norm(w, c, `${at}.self_attn.q_norm`, c.headDim), c.headDim),
      kNorm: perHead(norm(w, c, `${at}.self_attn.k_norm`, c.headDim), c.headDim),
      scale: c.scale,
      window: c.windows[layer] ?? 0,
    }),
    norm(w, c, `${at}.post_attention_layernorm`),
    norm(w, c, `${at}.pre_feedforward_layernorm`),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
    norm(w, c, `${at}.post_feedforward_layernorm`),
  );
}

export const gemma3: Architecture = {
  names: ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"],
  modelType: "gemma3_text",
  prefixes: [
    ["model.", "language_model.model."],
    ["model.", "model.language_model."],
    ["lm_head.", "language_model.lm_head."],
  ],
  gguf: {
    architecture: "gemma3",
    names: [
      ["model.layers.{n}.post_attention_layernorm", "blk.{n}.post_attention_norm"],
      ["model.layers.{n}.pre_feedforward_layernorm", "blk.{n}.ffn_norm"],
      ["model.layers.{n}.post_feedforward_layernorm", "blk.{n}.post_ffw_norm"],
    ],
    config: (m) => ({ query_pre_attn_scalar: queryScalar(m, 62) }),
    write: {
      activation: "gelu_tanh",
      defaults: { ...defaults, rope_theta: 1e6 },
      metadata(f) {
        const { scale, logitCap, window, windows, ...c } = config(f);
        demand(f, "query_pre_attn_scalar", scale, (c.layers === 62 ? c.hidden / c.heads : c.headDim) ** -0.5);
        demand(f, "final_logit_softcapping", logitCap, 0);
        demand(f, local.thetaField, ropeTheta(f, local.kind, local.thetaField, 10_000), 10_000);
        demand(
          f,
          "layer_types",
          windows,
          windows.map((_, i) => ((i + 1) % 6 === 0 ? 0 : window)),
        );
        return { "attention.sliding_window": u32(window) };
      },
      change: normsPlusOne,
    },
  },
  build(w, whole) {
    const f = textConfig(whole);
    const c = config(f);
    const far = rotary(w, f, c.headDim, { theta: 1e6 });
    const near = rotary(w, f, c.headDim, local);
    return {
      ...assemble(
        w,
        f,
        c,
        (layer) => block(w, c, layer, c.windows[layer] ? near : far),
        norm(w, c, "model.norm"),
      ),
      embeddingScale: Math.sqrt(c.hidden),
      logitSoftcap: c.logitCap,
    };
  },
};
