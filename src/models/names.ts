/**
 * Tensor names: from those of Hugging Face, which the model files use, to those of the file at hand.
 */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { NameMap } from "../nn/index.ts";
import type { Architecture, NamePairs } from "./architecture.ts";

/** Names that most architectures share; an architecture's own pairs come first. */
const common: NamePairs = [
  ["model.embed_tokens", "token_embd"],
  ["model.norm", "output_norm"],
  ["lm_head", "output"],
  ["model.layers.{n}.input_layernorm", "blk.{n}.attn_norm"],
  ["model.layers.{n}.self_attn.q_proj", "blk.{n}.attn_q"],
  ["model.layers.{n}.self_attn.k_proj", "blk.{n}.attn_k"],
  ["model.layers.{n}.self_attn.v_proj", "blk.{n}.attn_v"],
  ["model.layers.{n}.self_attn.o_proj", "blk.{n}.attn_output"],
  ["model.layers.{n}.self_attn.q_norm", "blk.{n}.attn_q_norm"],
  ["model.layers.{n}.self_attn.k_norm", "blk.{n}.attn_k_norm"],
  ["model.layers.{n}.post_attention_layernorm", "blk.{n}.ffn_norm"],
  ["model.layers.{n}.mlp.gate_proj", "blk.{n}.ffn_gate"],
  ["model.layers.{n}.mlp.up_proj", "blk.{n}.ffn_up"],
  ["model.layers.{n}.mlp.down_proj", "blk.{n}.ffn_down"],
];

/** The GGUF name of a Hugging Face tensor name (`*` or a number for the expert); undefined when it has none. */
export function ggufName(architecture: Architecture, name: string): string | undefined {
  const suffix = /\.(?:weight|bias)$/.exec(name)?.[0] ?? "";
  const layer = /\.(\d+)\./.exec(name)?.[1] ?? "";
  const stem = name
    .slice(0, name.length - suffix.length)
    .replace(`.${layer}.`, ".{n}.")
    .replace(/\.experts\.\d+\./, ".experts.*.");
  for (const pairs of [architecture.gguf.names ?? [], common])
    for (const [huggingFace, gguf] of pairs)
      if (huggingFace === stem) return gguf.replace("{n}", layer) + suffix;
  return undefined;
}

/** Translates the names that an architecture asks for to those of this checkpoint. */
export function nameMap(architecture: Architecture, { kind, tensors }: Checkpoint): NameMap {
  if (kind === "gguf") return (name) => ggufName(architecture, name) ?? name;
  return (name) => {
    if (tensors.has(name)) return name;
    for (const [prefix, other] of architecture.prefixes ?? []) {
      const renamed = other + name.slice(prefix.length);
      if (name.startsWith(prefix) && tensors.has(renamed)) return renamed;
    }
    return name;
  };
}
