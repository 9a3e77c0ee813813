/** What a file in this folder provides: one architecture, from names and config to a decoder. */
import type { Fields } from "../checkpoint/config.ts";
import type { GgufEntry } from "../checkpoint/gguf-writer.ts";
import type { DecoderParts, Weights } from "../nn/index.ts";
import type { ActivationName } from "../ops/index.ts";

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
  /** What writing needs to know beyond names; see gguf-write.ts. */
  readonly write?: GgufWriting;
}

export interface GgufWriting {
  /** The activation that GGUF files of this architecture imply. Default silu. */
  readonly activation?: ActivationName;
  /** What the original code takes for fields that a config.json leaves out, where GGUF readers take another. */
  readonly defaults?: Readonly<Record<string, number>>;
  /** Whether readers take factors for the rotary frequencies from a tensor. Default false. */
  readonly ropeFactors?: boolean;
  /**
   * Metadata beyond the common, by key without the architecture's prefix. Refuses a config that such files
   * cannot express.
   */
  readonly metadata?: (config: Fields) => Readonly<Record<string, GgufEntry>>;
  /** How a weight, by its Hugging Face name, is changed on its way into the file. */
  readonly change?: (name: string, config: Fields) => WeightChange | undefined;
}

export interface WeightChange {
  /** Row i of the file is row `order[i]` of the weight. */
  readonly order?: Int32Array;
  /** The file holds [columns, rows]. */
  readonly transposed?: boolean;
  /** The file holds the values with this added. */
  readonly plus?: number;
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
