/**
 * The model that the case `training` trains, the same for every engine: a Llama of some ten million parameters, its
 * first weights, and the tokens of each step. Knows no engine.
 */
import { tokens } from "./tokens.mjs";

export const llama = {
  ...{ width: 320, depth: 6, heads: 5, ffn: 896, vocabulary: 4096, eps: 1e-5, theta: 10_000 },
};

/** The settings of AdamW, alike everywhere; gradients are clipped by Fovea alone, which costs it time. */
export const adamw = { rate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1 };

export const configOf = (context) => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: llama.width,
  num_hidden_layers: llama.depth,
  num_attention_heads: llama.heads,
  num_key_value_heads: llama.heads,
  intermediate_size: llama.ffn,
  vocab_size: llama.vocabulary,
  max_position_embeddings: context,
  rms_norm_eps: llama.eps,
  rope_theta: llama.theta,
  hidden_act: "silu",
  tie_word_embeddings: true,
});

/** Every parameter with its shape, by its name in the Hugging Face layout. */
export function parameterShapes() {
  const { width, depth, ffn, vocabulary } = llama;
  const shapes = new Map([["model.embed_tokens.weight", [vocabulary, width]]]);
  for (let layer = 0; layer < depth; layer++) {
    const at = `model.layers.${layer}`;
    shapes.set(`${at}.input_layernorm.weight`, [1, width]);
    for (const name of ["q_proj", "k_proj", "v_proj", "o_proj"])
      shapes.set(`${at}.self_attn.${name}.weight`, [width, width]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [1, width]);
    for (const name of ["gate_proj", "up_proj"]) shapes.set(`${at}.mlp.${name}.weight`, [ffn, width]);
    shapes.set(`${at}.mlp.down_proj.weight`, [width, ffn]);
  }
  return shapes.set("model.norm.weight", [1, width]);
}

export const parameters = [...parameterShapes().values()].reduce((sum, [a, b]) => sum + a * b, 0);

/**
 * What a parameter begins with: ones for a norm, else numbers of a deviation of 0.02. They must not repeat as those of
 * `numbers` do: rows that are alike make attention so sharp that its probabilities become denormal, which is slow.
 */
export function firstValues(name, shape) {
  const values = new Float32Array(shape.reduce((n, d) => n * d, 1));
  if (shape[0] === 1) return values.fill(1);
  const span = 0.02 * Math.sqrt(12);
  let state = [...name].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193), 0x811c9dc5);
  return values.map(() => {
    // Marsaglia's xorshift (2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return span * ((state >>> 0) / 2 ** 32 - 0.5);
  });
}

/** Ids and targets of a step: windows of a sequence, the target of a token being the next. */
export function stepTokens(windows, context, seed) {
  const ids = new Int32Array(windows * context);
  const targets = new Int32Array(windows * context);
  for (let i = 0; i < windows; i++) {
    const window = Int32Array.from(tokens(context + 1, seed * windows + i, llama.vocabulary));
    ids.set(window.subarray(0, context), i * context);
    targets.set(window.subarray(1), i * context);
  }
  return { ids, targets };
}
