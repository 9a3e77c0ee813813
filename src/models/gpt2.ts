/** GPT-2: learned positions, fused and transposed projections (Radford et al. 2019). */
import type { Fields } from "../checkpoint/config.ts";
import {
  attention,
  type Block,
  type Layer,
  layerNormLayer,
  linearLayer,
  plainMlp,
  preNorm,
  type Weights,
} from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, assemble, count } from "./common.ts";
import { demand, f32, u32 } from "./gguf-write-rules.ts";

function config(f: Fields) {
  const [hidden, heads] = [count(f, "n_embd"), count(f, "n_head")];
  if (hidden % heads !== 0) f.fail("n_head", `${hidden} cannot be divided among ${heads} heads`);
  const headDim = hidden / heads;
  return {
    ...{ hidden, heads, headDim, kvHeads: heads },
    vocabulary: count(f, "vocab_size"),
    layers: f.int("n_layer", { min: 1, max: 4096 }),
    context: count(f, "n_positions"),
    intermediate: f.int("n_inner", { default: 4 * hidden, min: 1 }),
    eps: f.number("layer_norm_epsilon", { default: 1e-5, min: 0 }),
    fn: activationOf(f, "activation_function", "gelu_new"),
    scale: f.bool("scale_attn_weights", { default: true }) ? 1 / Math.sqrt(headDim) : 1,
    scaleByLayer: f.bool("scale_attn_by_inverse_layer_idx", { default: false }),
  };
}
type Config = ReturnType<typeof config>;

/** The files of Hugging Face hold these matrices as [in, out]; GGUF turns them round. */
const conv1d = (
  w: Weights,
  name: string,
  m: number,
  k: number,
  rows: readonly [number, number] = [0, m],
): Layer => linearLayer(w, name, m, k, { transposed: !w.isGguf, rows });

function selfAttention(w: Weights, c: Config, layer: number): Block {
  const at = `transformer.h.${layer}.attn`;
  const { hidden, heads, kvHeads, headDim } = c;
  const part = (i: number): Layer =>
    conv1d(w, `${at}.c_attn`, 3 * hidden, hidden, [i * hidden, (i + 1) * hidden]);
  return attention({
    ...{ layer, heads, kvHeads, headDim },
    q: part(0),
    k: part(1),
    v: part(2),
    o: conv1d(w, `${at}.c_proj`, hidden, hidden),
    scale: c.scaleByLayer ? c.scale / (layer + 1) : c.scale,
  });
}

function block(w: Weights, c: Config, layer: number): Block {
  const at = `transformer.h.${layer}`;
  const mlp = plainMlp(
    conv1d(w, `${at}.mlp.c_fc`, c.intermediate, c.hidden),
    conv1d(w, `${at}.mlp.c_proj`, c.hidden, c.intermediate),
    c.fn,
  );
  return preNorm(
    layerNormLayer(w, `${at}.ln_1`, c.hidden, c.eps),
    selfAttention(w, c, layer),
    layerNormLayer(w, `${at}.ln_2`, c.hidden, c.eps),
    mlp,
  );
}

export const gpt2: Architecture = {
  names: ["GPT2LMHeadModel"],
  modelType: "gpt2",
  prefixes: [["transformer.", ""]],
  gguf: {
    architecture: "gpt2",
    names: [
      ["transformer.wte", "token_embd"],
      ["transformer.wpe", "position_embd"],
      ["transformer.ln_f", "output_norm"],
      ["transformer.h.{n}.ln_1", "blk.{n}.attn_norm"],
      ["transformer.h.{n}.attn.c_attn", "blk.{n}.attn_qkv"],
      ["transformer.h.{n}.attn.c_proj", "blk.{n}.attn_output"],
      ["transformer.h.{n}.ln_2", "blk.{n}.ffn_norm"],
      ["transformer.h.{n}.mlp.c_fc", "blk.{n}.ffn_up"],
      ["transformer.h.{n}.mlp.c_proj", "blk.{n}.ffn_down"],
    ],
    config: (m) => ({
      n_embd: m.int("embedding_length"),
      n_head: m.int("attention.head_count"),
      n_layer: m.int("block_count"),
      n_positions: m.int("context_length"),
      n_inner: m.int("feed_forward_length"),
      layer_norm_epsilon: m.number("attention.layer_norm_epsilon"),
    }),
    write: {
      activation: "gelu_tanh",
      metadata(f) {
        const c = config(f);
        demand(f, "scale_attn_weights", c.scale, 1 / Math.sqrt(c.headDim));
        demand(f, "scale_attn_by_inverse_layer_idx", c.scaleByLayer, false);
        return {
          block_count: u32(c.layers),
          context_length: u32(c.context),
          embedding_length: u32(c.hidden),
          feed_forward_length: u32(c.intermediate),
          "attention.head_count": u32(c.heads),
          "attention.layer_norm_epsilon": f32(c.eps),
        };
      },
      change: (name) => (/\.c_(attn|proj|fc)\.weight$/.test(name) ? { transposed: true } : undefined),
    },
  },
  build(w, f) {
    const c = config(f);
    return {
      ...assemble(
        w,
        f,
        c,
        (layer) => block(w, c, layer),
        layerNormLayer(w, "transformer.ln_f", c.hidden, c.eps),
        { embedding: "transformer.wte", head: "lm_head" },
      ),
      positions: w.matrix("transformer.wpe.weight", [c.context, c.hidden]),
    };
  },
};
