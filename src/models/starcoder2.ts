/** StarCoder2: layer norms and biases, a plain MLP, a sliding window (Lozhkov et al. 2024). */
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  layerNormLayer,
  linearLayer,
  plainMlp,
  preNorm,
  type Rope,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, dimensions, intermediate, rotary, slidingWindow } from "./common.ts";
import { windowEntry } from "./gguf-write-rules.ts";
import { projectedAttention } from "./llama-like.ts";

function config(f: Fields) {
  return {
    ...dimensions(f),
    intermediate: intermediate(f),
    eps: f.number("norm_epsilon", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "gelu_pytorch_tanh"),
    window: slidingWindow(f),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  const mlp = plainMlp(
    linearLayer(w, `${at}.mlp.c_fc`, c.intermediate, c.hidden),
    linearLayer(w, `${at}.mlp.c_proj`, c.hidden, c.intermediate),
    c.fn,
  );
  return preNorm(
    layerNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, { layer, rope, window: c.window }),
    layerNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    mlp,
  );
}

export const starcoder2: Architecture = {
  names: ["Starcoder2ForCausalLM"],
  modelType: "starcoder2",
  gguf: {
    architecture: "starcoder2",
    names: [
      ["model.layers.{n}.mlp.c_fc", "blk.{n}.ffn_up"],
      ["model.layers.{n}.mlp.c_proj", "blk.{n}.ffn_down"],
    ],
    config: (m) => ({ norm_epsilon: m.number("attention.layer_norm_epsilon") }),
    write: { activation: "gelu_tanh", metadata: windowEntry },
  },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.headDim);
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      layerNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  },
};
