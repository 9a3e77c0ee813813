/** What a checkpoint holds, as data and as text. Knows checkpoints; reads headers only. */
import { type Checkpoint, elementCount, type TensorInfo } from "../checkpoint/checkpoint.ts";
import { GgufArray, type GgufValue } from "../checkpoint/gguf-values.ts";
import { isFormat, shapedBytes } from "../format/index.ts";
import type { Inspected } from "./services.ts";
import { showBytes, showCount, table } from "./show.ts";

interface TensorFacts extends TensorInfo {
  readonly bytes: number;
}

/** All that `inspect` tells, as one object. */
export function factsOf({ files, checkpoint, config, tokenizer }: Inspected) {
  const tensors = [...checkpoint.tensors.values()].map(
    ({ name, format, shape }): TensorFacts => ({ name, format, shape, bytes: tensorBytes(checkpoint, name) }),
  );
  const formats: Record<string, { tensors: number; bytes: number }> = {};
  for (const { format, bytes } of tensors) {
    const sum = formats[format] ?? { tensors: 0, bytes: 0 };
    formats[format] = { tensors: sum.tensors + 1, bytes: sum.bytes + bytes };
  }
  return {
    kind: checkpoint.kind,
    folder: files.folder,
    weights: files.weights,
    config: config ?? null,
    metadata: Object.fromEntries([...checkpoint.metadata].map(([key, value]) => [key, plain(value)])),
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    formats,
    tokenizer:
      tokenizer === undefined
        ? null
        : { vocab_size: tokenizer.vocabSize, bos: tokenizer.bos ?? null, eos: tokenizer.eos ?? [] },
    chat_template: tokenizer?.chatTemplate?.source ?? null,
    tensors,
  };
}

function tensorBytes(checkpoint: Checkpoint, name: string): number {
  const { format, shape } = checkpoint.tensors.get(name) as TensorInfo;
  return isFormat(format) ? shapedBytes(format, shape) : checkpoint.raw(name).length;
}

/** Metadata for JSON; long arrays (vocabularies) are told and not written out. */
function plain(value: GgufValue): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof GgufArray) return `${value.length} × ${value.type}`;
  return value;
}

/** The same for people. */
export function factsText(facts: ReturnType<typeof factsOf>): string {
  const { tokenizer, chat_template: template } = facts;
  const lines = [
    ["weights", facts.weights.join("\n            ")],
    ["kind", facts.kind],
    ["parameters", showCount(facts.parameters)],
    ["size", showBytes(facts.bytes)],
    [
      "formats",
      Object.entries(facts.formats)
        .map(([name, { tensors, bytes }]) => `${name}: ${tensors} tensors, ${showBytes(bytes)}`)
        .join("\n            "),
    ],
    [
      "tokenizer",
      tokenizer === null
        ? "none"
        : `${tokenizer.vocab_size} tokens, bos ${tokenizer.bos ?? "none"}, eos ${tokenizer.eos.join(", ") || "none"}`,
    ],
    ["chat", template === null ? "no template" : `template of ${template.length} characters`],
  ];
  const settings = Object.entries({ ...(facts.config ?? {}), ...facts.metadata })
    .filter(([key]) => key !== "tokenizer.chat_template")
    .map(([key, value]): [string, string] => [`  ${key}`, JSON.stringify(value) ?? ""]);
  return [
    table(lines as string[][]),
    "settings\n",
    table(settings.map(([key, value]) => [key, value.length > 90 ? `${value.slice(0, 87)}...` : value])),
    "tensors\n",
    table(
      facts.tensors.map(({ name, format, shape, bytes }) => [
        `  ${name}`,
        format,
        shape.join(" × ") || "scalar",
        showBytes(bytes),
      ]),
      [3],
    ),
  ].join("\n");
}
