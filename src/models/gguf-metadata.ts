/** From a config.json to the metadata of a GGUF file, by the keys and meanings of llama.cpp. */
import type { Fields } from "../checkpoint/config.ts";
import type { GgufEntry } from "../checkpoint/gguf-writer.ts";
import { type RopeScaling, ropeDivisors, ropeParameters, ropeScaling } from "../nn/index.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf } from "./common.ts";
import { f32, u32 } from "./gguf-write-rules.ts";

/** `[config.json, key without the architecture's prefix]` of whole numbers. */
const integers = [
  ["num_hidden_layers", "block_count"],
  ["max_position_embeddings", "context_length"],
  ["hidden_size", "embedding_length"],
  ["intermediate_size", "feed_forward_length"],
  ["num_attention_heads", "attention.head_count"],
  ["num_key_value_heads", "attention.head_count_kv"],
  ["head_dim", "attention.key_length"],
  ["head_dim", "attention.value_length"],
  ["head_dim", "rope.dimension_count"],
  ["vocab_size", "vocab_size"],
  ["num_experts", "expert_count"],
  ["num_local_experts", "expert_count"],
  ["num_experts_per_tok", "expert_used_count"],
  ["moe_intermediate_size", "expert_feed_forward_length"],
  ["shared_expert_intermediate_size", "expert_shared_feed_forward_length"],
] as const;

const numbers = [
  ["rms_norm_eps", "attention.layer_norm_rms_epsilon"],
  ["layer_norm_eps", "attention.layer_norm_epsilon"],
  ["layer_norm_epsilon", "attention.layer_norm_epsilon"],
  ["norm_epsilon", "attention.layer_norm_epsilon"],
  ["rope_theta", "rope.freq_base"],
] as const;

const required = [
  "block_count",
  "context_length",
  "embedding_length",
  "feed_forward_length",
  "attention.head_count",
];

/** Metadata under the architecture's own prefix, which is part of the keys. */
export function ggufMetadata({ gguf }: Architecture, f: Fields): Map<string, GgufEntry> {
  const entries: Record<string, GgufEntry> = {};
  const defaults = gguf.write?.defaults ?? {};
  for (const [field, key] of [...integers, ...numbers]) {
    const value = f.has(field) ? f.number(field, { min: 0 }) : defaults[field];
    if (value !== undefined)
      entries[key] = numbers.some(([name]) => name === field) ? f32(value) : u32(value);
  }
  const parameters = ropeParameters(f);
  if (parameters?.has("rope_theta")) entries["rope.freq_base"] = f32(parameters.number("rope_theta"));
  const scaling = scalingOf(f);
  if (scaling) Object.assign(entries, scalingMetadata(f, scaling));
  Object.assign(entries, gguf.write?.metadata?.(f));
  for (const key of required)
    if (entries[key] === undefined)
      f.fail(integers.find(([, k]) => k === key)?.[0] ?? key, `is missing, but GGUF needs it as "${key}"`);
  if (!Object.keys(entries).some((key) => key.endsWith("epsilon")))
    f.fail("rms_norm_eps", "is missing (as is layer_norm_eps), but GGUF needs it");
  checkActivation(gguf.write?.activation ?? "silu", f);
  return new Map(Object.entries(entries).map(([key, entry]) => [`${gguf.architecture}.${key}`, entry]));
}

/** Tensors of factors for the rotary frequencies, of a config that scales them one by one. */
export function ropeFactorTensors(
  { gguf }: Architecture,
  f: Fields,
  headDim: number,
): ReadonlyMap<string, Float32Array> {
  const scaling = scalingOf(f);
  if (scaling?.type !== "llama3" && scaling?.type !== "longrope") return new Map();
  if (!gguf.write?.ropeFactors)
    f.fail(
      "rope_scaling",
      `GGUF files of the architecture "${gguf.architecture}" cannot hold "${scaling.type}"`,
    );
  if (scaling.type === "longrope")
    return new Map([
      ["rope_factors_long.weight", Float32Array.from(scaling.long)],
      ["rope_factors_short.weight", Float32Array.from(scaling.short)],
    ]);
  const parameters = ropeParameters(f);
  const theta = (parameters?.has("rope_theta") ? parameters : f).number("rope_theta", { default: 10_000 });
  return new Map([["rope_freqs.weight", ropeDivisors(scaling, headDim, theta)]]);
}

const scalingOf = (f: Fields): RopeScaling | undefined =>
  f.has("max_position_embeddings")
    ? ropeScaling(f, ropeParameters(f), f.int("max_position_embeddings"))
    : undefined;

function scalingMetadata(f: Fields, scaling: RopeScaling): Record<string, GgufEntry> {
  const type = (value: string): Record<string, GgufEntry> => ({
    "rope.scaling.type": { type: "string", value },
  });
  const refuse = (what: string): never => f.fail("rope_scaling", `GGUF has no place for ${what}`);
  switch (scaling.type) {
    case "linear":
      return { ...type("linear"), "rope.scaling.factor": f32(scaling.factor) };
    case "yarn": {
      const { factor, original, attention, betaFast, betaSlow } = scaling;
      const implied = 0.1 * Math.log(factor) + 1;
      if (Math.abs((attention ?? implied) - implied) > 1e-6) refuse(`the attention factor ${attention}`);
      if (betaFast !== 32 || betaSlow !== 1) refuse(`the limits ${betaFast} and ${betaSlow} of yarn`);
      return {
        ...type("yarn"),
        "rope.scaling.factor": f32(factor),
        "rope.scaling.original_context_length": u32(original),
      };
    }
    case "longrope":
      return {
        "rope.scaling.attn_factor": f32(scaling.attention),
        "rope.scaling.original_context_length": u32(scaling.original),
      };
    case "llama3":
      return {};
    default:
      return refuse(`the scaling "${scaling.type}"`);
  }
}

function checkActivation(implied: string, f: Fields): void {
  // Gemma's files name two; where both stand, the second is the one that counts.
  const field = ["hidden_activation", "hidden_act", "activation_function"].find((name) => f.has(name));
  if (field !== undefined && activationOf(f, field, "") !== implied)
    f.fail(field, `is ${f.string(field)}, but GGUF files of this architecture imply ${implied}`);
}
