/** What a quantized GGUF file holds: metadata and weights of a checkpoint, from safetensors or from GGUF. */
import { CheckpointError } from "../base/errors.ts";
import { type Checkpoint, requireWeights } from "../checkpoint/checkpoint.ts";
import { Fields } from "../checkpoint/config.ts";
import type { GgufEntry } from "../checkpoint/gguf-writer.ts";
import type { CheckpointFiles } from "../checkpoint/locate.ts";
import { readJsonFile } from "../checkpoint/open.ts";
import { openTokenizer, toGgufVocabulary } from "../checkpoint/tokenizer/index.ts";
import type { FormatName } from "../format/index.ts";
import { architectureOf, type GgufContents, ggufContents } from "../models/index.ts";
import { vocabularyEntries } from "./quantize-vocabulary.ts";

export function contents(
  files: CheckpointFiles,
  checkpoint: Checkpoint,
  format: FormatName,
  name: string,
): GgufContents {
  if (files.kind === "gguf") return ggufAgain(checkpoint, format);
  if (files.config === undefined) throw new CheckpointError(files.folder, "has no config.json");
  const config = new Fields(files.config, readJsonFile(files.config));
  const architecture = architectureOf(config);
  const { metadata, weights } = ggufContents(architecture, checkpoint, config);
  const tokenizer = openTokenizer(files.folder);
  const vocabulary = weights.find(({ name }) => name === "token_embd.weight")?.shape[0] ?? 0;
  return {
    metadata: new Map([
      ...general(architecture.gguf.architecture, name, format),
      ...metadata,
      ...vocabularyEntries(tokenizer && toGgufVocabulary(tokenizer), vocabulary, checkpoint.path),
    ]),
    weights,
  };
}

/** Of llama.cpp's `llama_ftype`: what most tensors are. */
const fileTypes: Readonly<Partial<Record<FormatName, number>>> = {
  ...{ f32: 0, f16: 1, bf16: 32 },
  ...{ q4_0: 2, q4_1: 3, q5_0: 8, q5_1: 9, q8_0: 7 },
  ...{ q4_K: 14, q5_K: 16, q6_K: 18 },
};

function general(architecture: string, name: string, format: FormatName): Map<string, GgufEntry> {
  return new Map<string, GgufEntry>([
    ["general.architecture", { type: "string", value: architecture }],
    ["general.type", { type: "string", value: "model" }],
    ["general.name", { type: "string", value: name }],
    ...formatEntries(format),
  ]);
}

const formatEntries = (format: FormatName): [string, GgufEntry][] => [
  ["general.file_type", { type: "u32", value: fileTypes[format] as number }],
  ["general.quantization_version", { type: "u32", value: 2 }],
];

/** A GGUF file with the same metadata and names. */
function ggufAgain(checkpoint: Checkpoint, format: FormatName): GgufContents {
  const types = checkpoint.metadataTypes;
  const metadata = new Map<string, GgufEntry>();
  for (const [key, value] of checkpoint.metadata) {
    const type = types?.get(key);
    if (type !== undefined && !key.startsWith("split.")) metadata.set(key, { type, value });
  }
  for (const [key, entry] of formatEntries(format)) metadata.set(key, entry);
  const weights = [...checkpoint.tensors.values()].map(({ name, shape }) => ({
    name,
    shape,
    sources: [name],
  }));
  for (const tensor of checkpoint.tensors.values()) requireWeights(checkpoint.path, tensor);
  return { metadata, weights };
}
