/** Mixtral: Mistral with a mixture of experts in each block (Jiang et al. 2024). */
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  experts,
  type Layer,
  linearLayer,
  preNorm,
  type Rope,
  rmsNormLayer,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  assemble,
  dimensions,
  intermediate,
  rotary,
  routing,
  slidingWindow,
} from "./common.ts";
import { neighbouringPairs, windowEntry } from "./gguf-write-rules.ts";
import { projectedAttention } from "./llama-like.ts";

function config(f: Fields) {
  return {
    ...dimensions(f),
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    window: slidingWindow(f),
    ...routing(f, "num_local_experts"),
  };
}
type Config = ReturnType<typeof config>;

function mlp(w: Weights, c: Config, at: string): Layer {
  const { experts: e, hidden, intermediate: width, picks, fn } = c;
  return experts({
    router: linearLayer(w, `${at}.gate`, e, hidden),
    gate: w.experts(`${at}.experts.*.w1.weight`, [e, width, hidden]),
    up: w.experts(`${at}.experts.*.w3.weight`, [e, width, hidden]),
    down: w.experts(`${at}.experts.*.w2.weight`, [e, hidden, width]),
    normalize: true,
    picks,
    fn,
  });
}

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, { layer, rope, window: c.window }),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    mlp(w, c, `${at}.block_sparse_moe`),
  );
}

export const mixtral: Architecture = {
  names: ["MixtralForCausalLM"],
  modelType: "mixtral",
  gguf: {
    architecture: "llama",
    when: (m) => m.int("expert_count", { default: 0 }) > 0,
    names: [
      ["model.layers.{n}.block_sparse_moe.gate", "blk.{n}.ffn_gate_inp"],
      ["model.layers.{n}.block_sparse_moe.experts.*.w1", "blk.{n}.ffn_gate_exps"],
      ["model.layers.{n}.block_sparse_moe.experts.*.w3", "blk.{n}.ffn_up_exps"],
      ["model.layers.{n}.block_sparse_moe.experts.*.w2", "blk.{n}.ffn_down_exps"],
    ],
    config: (m) => ({ num_local_experts: m.int("expert_count") }),
    write: {
      defaults: { rope_theta: 1e6 },
      ropeFactors: true,
      metadata: windowEntry,
      change: neighbouringPairs,
    },
  },
  build(w, f) {
    const c = config(f);
    // As in llama.ts: GGUF arranges the rows of q and k for interleaved pairs.
    const rope = rotary(w, f, c.headDim, { style: w.isGguf ? "interleaved" : "half", theta: 1e6 });
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      rmsNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  },
};
