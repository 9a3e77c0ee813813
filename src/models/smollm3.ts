/** SmolLM3: Llama without positions in every fourth layer (NoPE; Yang et al. 2025). */
import type { Fields } from "../checkpoint/config.ts";
import { type Block, preNorm, type Rope, rmsNormLayer, type Weights } from "../nn/index.ts";
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
import { demand, demandNoWindow, neighbouringPairs } from "./gguf-write-rules.ts";
import { projectedAttention, projectedMlp } from "./llama-like.ts";

function config(f: Fields) {
  const dims = dimensions(f);
  const interval = f.int("no_rope_layer_interval", { default: 4, min: 1 });
  const everyFourth = Array.from({ length: dims.layers }, (_, i) => Number((i + 1) % interval !== 0));
  const useRope = f.ints("no_rope_layers", { default: everyFourth });
  if (useRope.length !== dims.layers)
    f.fail("no_rope_layers", `has ${useRope.length} entries for ${dims.layers} layers`);
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-6, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    /** 1: this layer has rotary positions (despite the name of the field). */
    useRope,
    windows: layerWindows(f, dims.layers, switchedWindow(f), (layer) => useRope[layer] === 0),
  };
}

function block(w: Weights, c: ReturnType<typeof config>, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    projectedAttention(w, c, {
      layer,
      rope: c.useRope[layer] === 0 ? undefined : rope,
      window: c.windows[layer] ?? 0,
    }),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    projectedMlp(w, `${at}.mlp`, c.hidden, c.intermediate, c.fn),
  );
}

export const smolLm3: Architecture = {
  names: ["SmolLM3ForCausalLM"],
  modelType: "smollm3",
  gguf: {
    architecture: "smollm3",
    write: {
      defaults: { rope_theta: 2e6 },
      metadata(f) {
        demandNoWindow(f);
        const { useRope } = config(f);
        demand(
          f,
          "no_rope_layers",
          useRope,
          useRope.map((_, i) => Number((i + 1) % 4 !== 0)),
        );
        return {};
      },
      change: neighbouringPairs,
    },
  },
  build(w, f) {
    const c = config(f);
    // As in llama.ts: GGUF arranges the rows of q and k for interleaved pairs.
    const rope = rotary(w, f, c.headDim, { style: w.isGguf ? "interleaved" : "half", theta: 2e6 });
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      rmsNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  },
};
