/** The models that recipes train: Llama's architecture, which all tools read, by its widths. */
import { Fields } from "fovea/learn";

export interface LlamaShape {
  readonly vocabulary: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffn: number;
  readonly context: number;
  readonly theta: number;
}

/** What config.json says. Token 0 begins and ends texts. */
export const configOf = (shape: LlamaShape): Record<string, string | number | boolean | string[]> => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: shape.vocabulary,
  hidden_size: shape.width,
  intermediate_size: shape.ffn,
  num_hidden_layers: shape.depth,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.kvHeads,
  head_dim: shape.width / shape.heads,
  max_position_embeddings: shape.context,
  rope_theta: shape.theta,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 0,
  torch_dtype: "float32",
});

export const fieldsOf = (shape: LlamaShape): Fields => new Fields("config.json", configOf(shape));

/**
 * How matrices begin: normal with a deviation of 1/√(inputs), the embedding (which is the head too) with 0.02, and those
 * that write into the residual stream smaller by √(2 · depth) (Radford et al. 2019, section 2.3).
 */
export const initialization = (shape: LlamaShape, seed: number) => ({
  seed,
  deviation: (name: string, [, inputs = 1]: readonly number[]): number => {
    if (name.includes("embed_tokens")) return 0.02;
    const writes = name.includes("o_proj") || name.includes("down_proj");
    return 1 / Math.sqrt(inputs) / (writes ? Math.sqrt(2 * shape.depth) : 1);
  },
});
