/**
 * The shapes of well-known models, as the config.json that they were published with (what is left out has no
 * bearing on the shape), and the tensors that such a config asks for.
 */
import type { JsonObject } from "./text.ts";

interface Shape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly tied: boolean;
  readonly headDim?: number;
  readonly ropeTheta?: number;
  readonly epsilon?: number;
  readonly type?: "llama" | "qwen2" | "qwen3";
}

const classes = { llama: "LlamaForCausalLM", qwen2: "Qwen2ForCausalLM", qwen3: "Qwen3ForCausalLM" } as const;

const shapes = {
  "stories-260k": {
    ...{ hidden: 64, intermediate: 172, layers: 5, heads: 8, kvHeads: 4, vocabulary: 512 },
    ...{ context: 512, tied: true },
  },
  "llama-6m": {
    ...{ hidden: 256, intermediate: 512, layers: 8, heads: 4, kvHeads: 4, vocabulary: 4096 },
    ...{ context: 8192, tied: true },
  },
  "llama-6m-gqa": {
    ...{ hidden: 256, intermediate: 512, layers: 8, heads: 4, kvHeads: 2, vocabulary: 4096 },
    ...{ context: 8192, tied: true },
  },
  "llama-10m": {
    ...{ hidden: 256, intermediate: 768, layers: 10, heads: 8, kvHeads: 4, vocabulary: 8192 },
    ...{ context: 2048, tied: true },
  },
  "smollm2-135m": {
    ...{ hidden: 576, intermediate: 1536, layers: 30, heads: 9, kvHeads: 3, vocabulary: 49_152 },
    ...{ context: 8192, tied: true, ropeTheta: 100_000 },
  },
  "qwen2.5-0.5b": {
    ...{ hidden: 896, intermediate: 4864, layers: 24, heads: 14, kvHeads: 2, vocabulary: 151_936 },
    ...{ context: 32_768, tied: true, ropeTheta: 1_000_000, epsilon: 1e-6, type: "qwen2" },
  },
  "qwen3-0.6b": {
    ...{ hidden: 1024, intermediate: 3072, layers: 28, heads: 16, kvHeads: 8, vocabulary: 151_936 },
    ...{ context: 40_960, tied: true, headDim: 128, ropeTheta: 1_000_000, epsilon: 1e-6, type: "qwen3" },
  },
  "llama-1.1b": {
    ...{ hidden: 2048, intermediate: 5632, layers: 22, heads: 32, kvHeads: 4, vocabulary: 32_000 },
    ...{ context: 2048, tied: false },
  },
  "llama-3.2-1b": {
    ...{ hidden: 2048, intermediate: 8192, layers: 16, heads: 32, kvHeads: 8, vocabulary: 128_256 },
    ...{ context: 131_072, tied: true, headDim: 64, ropeTheta: 500_000 },
  },
} as const satisfies Readonly<Record<string, Shape>>;

export type ShapeName = keyof typeof shapes;

export const shapeNames = Object.keys(shapes) as ShapeName[];

export const isShape = (name: string): name is ShapeName => Object.hasOwn(shapes, name);

export function configOf(name: ShapeName): JsonObject {
  const shape: Shape = shapes[name];
  const { type = "llama", headDim = shape.hidden / shape.heads } = shape;
  return {
    architectures: [classes[type]],
    model_type: type,
    hidden_act: "silu",
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: headDim,
    vocab_size: shape.vocabulary,
    max_position_embeddings: shape.context,
    rms_norm_eps: shape.epsilon ?? 1e-5,
    rope_theta: shape.ropeTheta ?? 10_000,
    tie_word_embeddings: shape.tied,
  };
}

/** Name and shape of every tensor: matrices have two dimensions, norms and biases one. */
export function tensorsOf(name: ShapeName): [name: string, shape: readonly number[]][] {
  const shape: Shape = shapes[name];
  const { hidden, intermediate, heads, kvHeads, vocabulary, type = "llama" } = shape;
  const headDim = shape.headDim ?? hidden / heads;
  const tensors: [string, readonly number[]][] = [["model.embed_tokens.weight", [vocabulary, hidden]]];
  for (let layer = 0; layer < shape.layers; layer++) {
    const add = (part: string, dimensions: readonly number[]) =>
      tensors.push([`model.layers.${layer}.${part}`, dimensions]);
    add("input_layernorm.weight", [hidden]);
    for (const [projection, rows] of [
      ["q", heads * headDim],
      ["k", kvHeads * headDim],
      ["v", kvHeads * headDim],
    ] as const) {
      add(`self_attn.${projection}_proj.weight`, [rows, hidden]);
      if (type === "qwen2") add(`self_attn.${projection}_proj.bias`, [rows]);
      if (type === "qwen3" && projection !== "v") add(`self_attn.${projection}_norm.weight`, [headDim]);
    }
    add("self_attn.o_proj.weight", [hidden, heads * headDim]);
    add("post_attention_layernorm.weight", [hidden]);
    add("mlp.gate_proj.weight", [intermediate, hidden]);
    add("mlp.up_proj.weight", [intermediate, hidden]);
    add("mlp.down_proj.weight", [hidden, intermediate]);
  }
  tensors.push(["model.norm.weight", [hidden]]);
  if (!shape.tied) tensors.push(["lm_head.weight", [vocabulary, hidden]]);
  return tensors;
}
