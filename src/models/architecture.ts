/** What a file in this folder provides: one architecture, from names and config to a decoder. */
import type { Fields } from "../checkpoint/config.ts";
import type { DecoderParts, Weights } from "../nn/index.ts";

/** `[Hugging Face name, GGUF name]` without `.weight`/`.bias`; `{n}` is the layer, `*` any expert. */
export type NamePairs = readonly (readonly [string, string])[];

/** A value of config.json that was found in a GGUF file's metadata. */
export type ConfigValue =
  | string
  | number
  | boolean
  | null
  | readonly number[]
  | { [field: string]: ConfigValue };

export interface GgufConventions {
  /** `general.architecture` */
  readonly architecture: string;
  /** Tells apart architectures that GGUF files call by the same name. */
  readonly when?: (metadata: Fields) => boolean;
  /** Names that differ from the common ones (names.ts). */
  readonly names?: NamePairs;
  /** Fields of config.json beyond the common ones; metadata keys are without the architecture's prefix. */
  readonly config?: (metadata: Fields) => Readonly<Record<string, ConfigValue>>;
}

export interface Architecture {
  /** Entries of `architectures` in config.json. */
  readonly names: readonly string[];
  /** `model_type` in config.json, for configs that list no architectures. */
  readonly modelType: string;
  /** `[prefix, other prefix that some files have in its place]` of tensor names. */
  readonly prefixes?: readonly (readonly [string, string])[];
  readonly gguf: GgufConventions;
  /** Asks for the weights and puts the decoder together. */
  readonly build: (w: Weights, config: Fields) => DecoderParts;
}
