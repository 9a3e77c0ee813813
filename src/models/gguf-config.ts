/** From the metadata of a GGUF file to the fields that config.json would have. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { Fields } from "../checkpoint/config.ts";
import type { Architecture, ConfigValue } from "./architecture.ts";

/** `[config.json, metadata key without the architecture's prefix]`, for all that are plain values. */
const plain = [
  ["num_hidden_layers", "block_count"],
  ["hidden_size", "embedding_length"],
  ["intermediate_size", "feed_forward_length"],
  ["num_attention_heads", "attention.head_count"],
  ["num_key_value_heads", "attention.head_count_kv"],
  ["head_dim", "attention.key_length"],
  ["max_position_embeddings", "context_length"],
  ["rms_norm_eps", "attention.layer_norm_rms_epsilon"],
  ["layer_norm_eps", "attention.layer_norm_epsilon"],
  ["rope_theta", "rope.freq_base"],
  ["sliding_window", "attention.sliding_window"],
  ["num_experts", "expert_count"],
  ["num_experts_per_tok", "expert_used_count"],
  ["moe_intermediate_size", "expert_feed_forward_length"],
  ["shared_expert_intermediate_size", "expert_shared_feed_forward_length"],
  ["original_max_position_embeddings", "rope.scaling.original_context_length"],
  ["rope_attention_factor", "rope.scaling.attn_factor"],
] as const;

/** Metadata under the architecture's own prefix, which is taken off. */
export function architectureMetadata(checkpoint: Checkpoint, architecture: string): Fields {
  const prefix = `${architecture}.`;
  const own = [...checkpoint.metadata].flatMap(([key, value]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [],
  );
  return new Fields(checkpoint.path, new Map(own));
}

export function configFromGguf(checkpoint: Checkpoint, { gguf }: Architecture): Fields {
  const metadata = architectureMetadata(checkpoint, gguf.architecture);
  const config: Record<string, ConfigValue> = {};
  for (const [field, key] of plain) if (metadata.has(key)) config[field] = metadata.number(key);
  // Phi 4's files say with a 0 that there is no window.
  if (config.sliding_window === 0) delete config.sliding_window;
  const vocabulary = checkpoint.tensors.get("token_embd.weight")?.shape[0];
  if (vocabulary !== undefined) config.vocab_size = vocabulary;
  const scaling = ropeScaling(metadata);
  if (scaling) config.rope_scaling = scaling;
  return new Fields(checkpoint.path, { ...config, ...gguf.config?.(metadata) } as ConstructorParameters<
    typeof Fields
  >[1]);
}

function ropeScaling(metadata: Fields): ConfigValue | undefined {
  const type = metadata.string("rope.scaling.type", { default: "none" });
  if (type !== "linear" && type !== "yarn") return undefined;
  const scaling: Record<string, ConfigValue> = {
    rope_type: type,
    factor: metadata.number("rope.scaling.factor"),
  };
  const original = "rope.scaling.original_context_length";
  if (type === "yarn" && metadata.has(original))
    scaling.original_max_position_embeddings = metadata.int(original);
  return scaling;
}
