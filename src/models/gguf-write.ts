/**
 * A checkpoint in the Hugging Face layout as the contents of a GGUF file: which tensors it has, from which
 * weights each is made and how, and the model's metadata. Knows llama.cpp's conventions; reads no weights.
 */

import { CheckpointError } from "../base/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Fields } from "../checkpoint/config.ts";
import type { GgufEntry } from "../checkpoint/gguf-writer.ts";
import type { Architecture, WeightChange } from "./architecture.ts";
import { ggufMetadata, ropeFactorTensors } from "./gguf-metadata.ts";
import { ggufName } from "./names.ts";

/** One tensor of the file. */
export interface GgufWeight extends WeightChange {
  readonly name: string;
  /** As it stands in the file. */
  readonly shape: readonly number[];
  /** Tensors of the checkpoint; several are stacked in this order. Empty when `values` holds all. */
  readonly sources: readonly string[];
  readonly values?: Float32Array;
}

export interface GgufContents {
  readonly metadata: ReadonlyMap<string, GgufEntry>;
  readonly weights: readonly GgufWeight[];
}

/** Buffers that old checkpoints carry and nobody reads: inverse frequencies, causal masks. */
const unread = /(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias)$/;

/** Refuses a config that GGUF cannot express, and a tensor that it has no name for. */
export function ggufContents(
  architecture: Architecture,
  checkpoint: Checkpoint,
  config: Fields,
): GgufContents {
  const metadata = ggufMetadata(architecture, config);
  const groups = new Map<string, string[]>();
  for (const name of checkpoint.tensors.keys()) {
    if (unread.test(name)) continue;
    const gguf = ggufName(architecture, standardName(architecture, name).replace(/\.norms\.\d+\./, "."));
    if (gguf === undefined)
      throw new CheckpointError(
        checkpoint.path,
        `GGUF files of the architecture "${architecture.gguf.architecture}" have no such tensor`,
        { field: name },
      );
    groups.set(gguf, [...(groups.get(gguf) ?? []), name]);
  }
  if (config.bool("tie_word_embeddings", { default: !groups.has("output.weight") }))
    groups.delete("output.weight");
  const weights: GgufWeight[] = [];
  for (const [name, values] of ropeFactorTensors(architecture, config, rotatedDim(metadata, architecture)))
    weights.push({ name, shape: [values.length], sources: [], values });
  for (const [name, sources] of groups)
    weights.push(weightOf(architecture, checkpoint, config, name, sources));
  return { metadata, weights };
}

/** The name by which the architecture asks for a tensor; files may leave a prefix out or have another. */
function standardName({ prefixes = [], ...architecture }: Architecture, name: string): string {
  if (ggufName(architecture, name) !== undefined) return name;
  for (const [prefix, other] of prefixes)
    if (name.startsWith(other)) return prefix + name.slice(other.length);
  return name;
}

function weightOf(
  architecture: Architecture,
  checkpoint: Checkpoint,
  config: Fields,
  name: string,
  found: readonly string[],
): GgufWeight {
  // Experts, and norms for each head, are stacked by their number.
  const number = (source: string): number => Number(/\.(?:experts|norms)\.(\d+)\./.exec(source)?.[1] ?? 0);
  const sources = [...found].sort((a, b) => number(a) - number(b));
  const [first] = sources as [string, ...string[]];
  const stacked = /\.(experts|norms)\.\d+\./.test(first);
  const shapes = sources.map((source) => checkpoint.tensors.get(source)?.shape ?? []);
  const [own] = shapes as [readonly number[], ...(readonly number[])[]];
  const broken = stacked
    ? shapes.some((shape, i) => shape.join() !== own.join() || number(sources[i] as string) !== i)
    : sources.length > 1;
  if (broken)
    throw new CheckpointError(checkpoint.path, `cannot be put together from ${sources.length} tensors`, {
      field: first,
    });
  const change = architecture.gguf.write?.change?.(standardName(architecture, first), config) ?? {};
  const rows = change.transposed ? [...own].reverse() : [...own];
  if (change.order && change.order.length !== rows[0])
    throw new CheckpointError(
      checkpoint.path,
      `has shape [${own}], but ${change.order.length} rows are needed`,
      {
        field: first,
      },
    );
  const shape = stacked ? [sources.length, ...rows] : rows;
  // ggml drops leading dimensions of 1.
  const start = shape.findIndex((d, i) => d !== 1 || i === shape.length - 1);
  return { name, shape: shape.slice(start), sources, ...change };
}

function rotatedDim(metadata: ReadonlyMap<string, GgufEntry>, { gguf }: Architecture): number {
  const number = (key: string): number => Number(metadata.get(`${gguf.architecture}.${key}`)?.value);
  const whole = number("embedding_length") / number("attention.head_count");
  return number("rope.dimension_count") || whole;
}
