/** What architectures read alike from their config: dimensions, activation, rotary positions, the head. */

import { readF32 } from "../checkpoint/checkpoint.ts";
import type { Fields } from "../checkpoint/config.ts";
import {
  type Block,
  type DecoderParts,
  type Layer,
  type LayerKind,
  Rope,
  type RopeOptions,
  type RopeScaling,
  ropeParameters,
  ropeScaling,
  type Weights,
} from "../nn/index.ts";
import type { ActivationName, RopeStyle } from "../ops/index.ts";

export interface Dimensions {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Positions that the model was made for. */
  readonly context: number;
}

const size = { min: 1, max: 1 << 24 };

/** The dimensions under their usual names in config.json; `defaults` are the original code's, by those names. */
export function dimensions(f: Fields, defaults: Readonly<Record<string, number>> = {}): Dimensions {
  const dimension = (name: string, fallback = defaults[name]): number =>
    f.int(name, fallback === undefined ? size : { ...size, default: fallback });
  const hidden = dimension("hidden_size");
  const heads = dimension("num_attention_heads");
  const kvHeads = dimension("num_key_value_heads", defaults.num_key_value_heads ?? heads);
  if (heads % kvHeads !== 0) f.fail("num_key_value_heads", `${heads} heads cannot share ${kvHeads}`);
  const headDim = dimension("head_dim", defaults.head_dim ?? hidden / heads);
  if (!Number.isInteger(headDim))
    f.fail("num_attention_heads", `${hidden} cannot be divided among ${heads} heads`);
  return {
    vocabulary: dimension("vocab_size"),
    hidden,
    layers: f.int("num_hidden_layers", { min: 1, max: 4096 }),
    heads,
    kvHeads,
    headDim,
    context: dimension("max_position_embeddings"),
  };
}

/** Width of the feed-forward layers. */
export const intermediate = (f: Fields, name = "intermediate_size"): number => f.int(name, size);

/** One number from 1 to 2^24 that the config must have. */
export const count = (f: Fields, name: string): number => f.int(name, size);

/** How many experts there are, and how many of them each token goes through. */
export function routing(f: Fields, name: string): { experts: number; picks: number } {
  const experts = count(f, name);
  return { experts, picks: f.int("num_experts_per_tok", { min: 1, max: experts }) };
}

const activationNames: ReadonlyMap<string, ActivationName> = new Map(
  Object.entries({
    silu: "silu",
    swish: "silu",
    gelu: "gelu",
    gelu_new: "gelu_tanh",
    gelu_fast: "gelu_tanh",
    gelu_pytorch_tanh: "gelu_tanh",
    quick_gelu: "quick_gelu",
    relu: "relu",
    relu2: "relu2",
  } as const),
);

/** The activation named by a field, in the names that Hugging Face uses. */
export function activationOf(f: Fields, field: string, fallback: string): ActivationName {
  const name = f.string(field, { default: fallback });
  return (
    activationNames.get(name) ??
    f.fail(field, `"${name}" is no activation of ${[...activationNames.keys()].join(", ")}`)
  );
}

/** Elements of each head that are rotated: a part of `headDim` that the config gives under the name `field`. */
export function rotatedPart(f: Fields, headDim: number, field: string, fallback: number): number {
  const parameters = ropeParameters(f);
  const part = parameters?.has("partial_rotary_factor")
    ? parameters.number("partial_rotary_factor", { min: 0, max: 1 })
    : f.number(field, { default: fallback, min: 0, max: 1 });
  return Math.floor(headDim * part);
}

/** The base of the rotary frequencies, which older configs have under the name `field`. */
export function ropeTheta(f: Fields, kind: LayerKind | undefined, field: string, fallback: number): number {
  const parameters = ropeParameters(f, kind);
  return parameters?.has("rope_theta")
    ? parameters.number("rope_theta", { min: 1 })
    : f.number(field, { default: fallback, min: 1 });
}

export interface RotaryOptions {
  readonly style?: RopeStyle;
  /** What the original code takes when the config does not say. Default 10,000. */
  readonly theta?: number;
  /** Default `rope_theta`. */
  readonly thetaField?: string;
  /** The layers it is for, where the config has several encodings. */
  readonly kind?: LayerKind;
}

/** Rotary positions as the config (or, for GGUF, a tensor of factors) says; `dim` elements of each head. */
export function rotary(
  w: Weights,
  f: Fields,
  dim: number,
  { style = "half", theta = 10_000, thetaField = "rope_theta", kind }: RotaryOptions = {},
): Rope {
  const maxPositions = f.int("max_position_embeddings", size);
  const parameters = ropeParameters(f, kind);
  if (dim % 2 !== 0 || dim <= 0) f.fail("head_dim", `${dim} elements cannot be rotated in pairs`);
  const options: RopeOptions = {
    dim,
    theta: ropeTheta(f, kind, thetaField, theta),
    maxPositions,
    scaling: ggufScaling(w, f, maxPositions) ?? ropeScaling(f, parameters, maxPositions),
    style,
  };
  const { scaling } = options;
  if (scaling?.type === "longrope" && ![scaling.short, scaling.long].every((list) => list.length === dim / 2))
    f.fail(
      "rope_scaling",
      `has ${scaling.short.length} and ${scaling.long.length} factors, but ${dim / 2} are needed`,
    );
  return new Rope(options);
}

/** GGUF files hold per-frequency factors as tensors (Llama 3, Phi 3). */
function ggufScaling({ checkpoint }: Weights, f: Fields, maxPositions: number): RopeScaling | undefined {
  const factors = (name: string): number[] => Array.from(readF32(checkpoint, name));
  if (checkpoint.tensors.has("rope_freqs.weight"))
    return { type: "factors", factors: factors("rope_freqs.weight") };
  if (!checkpoint.tensors.has("rope_factors_long.weight")) return undefined;
  const original = f.int("original_max_position_embeddings", { ...size, default: maxPositions });
  const stretch = maxPositions / original;
  const attention = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  return {
    type: "longrope",
    original,
    short: factors("rope_factors_short.weight"),
    long: factors("rope_factors_long.weight"),
    attention: f.number("rope_attention_factor", { default: attention }),
  };
}

/**
 * What nearly all architectures have alike: the embedding, the blocks in order, the same cache shape in every
 * layer, the last norm, and a head of its own or tied to the embedding. A checkpoint without a head whose
 * config does not speak of ties is tied, as Hugging Face has it.
 */
export function assemble(
  w: Weights,
  f: Fields,
  { vocabulary, hidden, layers, kvHeads, headDim, context }: Dimensions,
  block: (layer: number) => Block,
  norm: Layer,
  names = { embedding: "model.embed_tokens", head: "lm_head" },
): DecoderParts {
  const shape = [vocabulary, hidden] as const;
  const embedding = w.matrix(`${names.embedding}.weight`, shape);
  const head = `${names.head}.weight`;
  const tied = f.bool("tie_word_embeddings", { default: !w.has(head) });
  return {
    context,
    embedding,
    blocks: Array.from({ length: layers }, (_, layer) => block(layer)),
    cacheLayers: Array.from({ length: layers }, () => ({ kvHeads, keyDim: headDim, valueDim: headDim })),
    norm,
    head: tied ? embedding : w.matrix(head, shape),
  };
}

/**
 * Keys that a token sees (`sliding_window`), its own included; 0, no window, when the config sets null, and
 * `absent` when it does not speak of windows.
 */
export const slidingWindow = (f: Fields, absent = 0): number =>
  f.isNull("sliding_window") ? 0 : f.int("sliding_window", { default: absent, min: 1 });

/** The window of configs that have a switch for it (Qwen's and their descendants); 0 when it is off. */
export const switchedWindow = (f: Fields): number =>
  f.bool("use_sliding_window", { default: false }) ? slidingWindow(f, 4096) : 0;

/**
 * The window of each layer, 0 in those that see all keys. Newer configs say in `layer_types` which is which;
 * for the others `windowed` does.
 */
export function layerWindows(
  f: Fields,
  layers: number,
  window: number,
  windowed: (layer: number) => boolean,
): readonly number[] {
  const kinds: readonly string[] = f.strings("layer_types", {
    default: Array.from({ length: layers }, (_, i) => (windowed(i) ? "sliding_attention" : "full_attention")),
  });
  if (kinds.length !== layers) f.fail("layer_types", `has ${kinds.length} entries for ${layers} layers`);
  const unknown = kinds.find((kind) => kind !== "sliding_attention" && kind !== "full_attention");
  if (unknown !== undefined)
    f.fail("layer_types", `"${unknown}" is neither sliding_attention nor full_attention`);
  return kinds.map((kind) => (kind === "sliding_attention" ? window : 0));
}
