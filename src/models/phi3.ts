/** Phi-3, 3.5 and 4: Llama with fused projections, partial rotation and long-text factors (Abdin et al. 2024). */
import type { Fields } from "../checkpoint/config.ts";
import {
  attention,
  type Block,
  gatedMlp,
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
  rotatedPart,
  slidingWindow,
} from "./common.ts";
import { u32 } from "./gguf-write-rules.ts";

function config(f: Fields) {
  const dims = dimensions(f);
  return {
    ...dims,
    intermediate: intermediate(f),
    eps: f.number("rms_norm_eps", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "hidden_act", "silu"),
    window: slidingWindow(f),
    rotated: rotatedPart(f, dims.headDim, "partial_rotary_factor", 1),
  };
}
type Config = ReturnType<typeof config>;

function selfAttention(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}.self_attn`;
  const { hidden, heads, kvHeads, headDim, window } = c;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const part = (from: number, to: number): Layer =>
    linearLayer(w, `${at}.qkv_proj`, q + 2 * kv, hidden, { rows: [from, to] });
  return attention({
    ...{ layer, heads, kvHeads, headDim, rope, window },
    q: part(0, q),
    k: part(q, q + kv),
    v: part(q + kv, q + 2 * kv),
    o: linearLayer(w, `${at}.o_proj`, hidden, q),
  });
}

function mlp(w: Weights, c: Config, at: string): Layer {
  const part = (from: number, to: number): Layer =>
    linearLayer(w, `${at}.gate_up_proj`, 2 * c.intermediate, c.hidden, { rows: [from, to] });
  const down = linearLayer(w, `${at}.down_proj`, c.hidden, c.intermediate);
  return gatedMlp(part(0, c.intermediate), part(c.intermediate, 2 * c.intermediate), down, c.fn);
}

function block(w: Weights, c: Config, layer: number, rope: Rope): Block {
  const at = `model.layers.${layer}`;
  return preNorm(
    rmsNormLayer(w, `${at}.input_layernorm`, c.hidden, c.eps),
    selfAttention(w, c, layer, rope),
    rmsNormLayer(w, `${at}.post_attention_layernorm`, c.hidden, c.eps),
    mlp(w, c, `${at}.mlp`),
  );
}

export const phi3: Architecture = {
  names: ["Phi3ForCausalLM"],
  modelType: "phi3",
  gguf: {
    architecture: "phi3",
    names: [
      ["model.layers.{n}.self_attn.qkv_proj", "blk.{n}.attn_qkv"],
      ["model.layers.{n}.mlp.gate_up_proj", "blk.{n}.ffn_up"],
    ],
    config: (m) => {
      const headDim = m.int("embedding_length") / m.int("attention.head_count");
      return { partial_rotary_factor: m.int("rope.dimension_count", { default: headDim }) / headDim };
    },
    write: {
      ropeFactors: true,
      metadata(f) {
        const { rotated, window } = config(f);
        // A window of 0 says that there is none, as in Phi 4.
        return { "rope.dimension_count": u32(rotated), "attention.sliding_window": u32(window) };
      },
    },
  },
  build(w, f) {
    const c = config(f);
    const rope = rotary(w, f, c.rotated);
    return assemble(
      w,
      f,
      c,
      (layer) => block(w, c, layer, rope),
      rmsNormLayer(w, "model.norm", c.hidden, c.eps),
    );
  },
};
