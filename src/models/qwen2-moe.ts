/** Qwen 1.5 and 2 MoE: routed experts beside one that all tokens use. */
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  type Layer,
  linearLayer,
  preNorm,
  type Rope,
  rmsNormLayer,
  type Weights,
  withSharedExpert,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  assemble,
  dimensions,
  intermediate,
  layerWindows,
  rotary,
  routing,
  switchedWindow,
} from "./common.ts";
import { demand, demandNoWindow } from "./gguf-write-rules.ts";
import { projectedAttention, projectedExperts, projectedMlp } from "./llama-like.ts";

function config(f: Fields) {
  const dims = dimensions(f);
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    // As in qwen.ts: `max_window_layers` is not looked at.
    windows: layerWindows(f, dims.layers, switchedWindow(f), () => true),
    ...routing(f, "num_experts"),
    expertWidth: intermediate(f, "moe_intermediate_size"),
    sharedWidth: intermediate(f, "shared_expert_intermediate_size"),
    normalize: f.bool("norm_topk_prob", { default: false }),
    sparseStep: f.int("decoder_sparse_step", { default: 1, min: 1 }),
    denseLayers: f.ints("mlp_only_layers", { default: [] }),
  };
}
type Config = ReturnType<typeof config>;

function mlp(w: Weights, c: Config, layer: number): Layer {
  const at = `model.layers.${layer}.mlp`;
  const sparse = !c.denseLayers.includes(layer) && (layer + 1) % c.sparseStep === 0;
  if (!sparse) return projectedMlp(w, at, c.hidden, c.intermediate, c.fn);
  const routed = projectedExperts(w, at, c, c.expertWidth);
  const shared = projectedMlp(w, `${at}.shared_expert`, c.hidden, c.sharedWidth, c.fn);
  return withSharedExpert(routed, shared, linearLayer(w, `${at}.shared_expert_gate`, 1, c.hidden));
}

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, { layer, rope, window: c.windows[layer] ?? 0 }),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    mlp(w, c, layer),
  );
}

export const qwen2Moe: Architecture = {
  names: ["Qwen2MoeForCausalLM"],
  modelType: "qwen2_moe",
  gguf: {
    architecture: "qwen2moe",
    names: [
      ["model.layers.{n}.mlp.gate", "blk.{n}.ffn_gate_inp"],
      ["model.layers.{n}.mlp.experts.*.gate_proj", "blk.{n}.ffn_gate_exps"],
      ["model.layers.{n}.mlp.experts.*.up_proj", "blk.{n}.ffn_up_exps"],
      ["model.layers.{n}.mlp.experts.*.down_proj", "blk.{n}.ffn_down_exps"],
      ["model.layers.{n}.mlp.shared_expert.gate_proj", "blk.{n}.ffn_gate_shexp"],
      ["model.layers.{n}.mlp.shared_expert.up_proj", "blk.{n}.ffn_up_shexp"],
      ["model.layers.{n}.mlp.shared_expert.down_proj", "blk.{n}.ffn_down_shexp"],
      ["model.layers.{n}.mlp.shared_expert_gate", "blk.{n}.ffn_gate_inp_shexp"],
    ],
    write: {
      metadata(f) {
        const { normalize, sparseStep, denseLayers } = config(f);
        demandNoWindow(f);
        demand(f, "norm_topk_prob", normalize, false);
        demand(f, "decoder_sparse_step", sparseStep, 1);
        demand(f, "mlp_only_layers", denseLayers, []);
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
