/** Qwen 2 and 2.5 (biases on q, k, v) and Qwen 3 (norms on q and k instead). */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, perHead, preNorm, type Rope, rmsNormLayer, type Weights } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  assemble,
  dimensions,
  intermediate,
  layerWindows,
  rotary,
  switchedWindow,
} from "./common.ts";
import { demandNoWindow } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

function config(f: Fields, headDim?: number) {
  const dims = dimensions(f, headDim === undefined ? {} : { head_dim: headDim });
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    // What wrote configs without `layer_types` gave all layers the window; flash attention alone looked at
    // `max_window_layers`.
    windows: layerWindows(f, dims.layers, switchedWindow(f), () => true),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope, qkNorm: boolean): Block {
  const at = `model.layers.${layer}`;
  const headNorm = (name: string) =>
    qkNorm ? perHead(rmsNormLayer(w, `${at}.self_attn.${name}`, c.headDim, c.eps), c.headDim) : undefined;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, {
      layer,
      rope,
      qNorm: headNorm("q_norm"),
      kNorm: headNorm("k_norm"),
      window: c.windows[layer] ?? 0,
    }),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
  );
}

const build =
  (qkNorm: boolean, headDim?: number): Architecture["build"] =>
  (w, f) => {
    const c = config(f, headDim);
    const rope = rotary(w, f, c.headDim);
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope, qkNorm),
      rmsNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  };

const write: Architecture["gguf"]["write"] = {
  metadata(f) {
    demandNoWindow(f);
    return {};
  },
};

export const qwen2: Architecture = {
  names: ["Qwen2ForCausalLM"],
  modelType: "qwen2",
  gguf: { architecture: "qwen2", write },
  build: build(false),
};

export const qwen3: Architecture = {
  names: ["Qwen3ForCausalLM"],
  modelType: "qwen3",
  gguf: { architecture: "qwen3", write: { ...write, defaults: { head_dim: 128 } } },
  build: build(true, 128),
};
