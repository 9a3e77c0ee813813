/**
 * Converts a checkpoint to a GGUF file in a given number format, or to a folder of safetensors where GGUF has no such
 * type, and reports what each tensor lost. Knows which file is read and written; the formats' rules and the architectures' conventions lie elsewhere.
 */
import { existsSync, realpathSync } from "node:fs";
import { basename, resolve } from "node:path";
import { CheckpointError, ParameterError } from "../base/errors.ts";
import { type Checkpoint, requireWeights } from "../checkpoint/checkpoint.ts";
import { Fields } from "../checkpoint/config.ts";
import { type GgufEntry, writeGguf } from "../checkpoint/gguf-writer.ts";
import { type CheckpointFiles, locate } from "../checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../checkpoint/open.ts";
import { openTokenizer, toGgufVocabulary } from "../checkpoint/tokenizer/index.ts";
import { type FormatName, formatBytes, formats, isFormat, shapedBytes } from "../format/index.ts";
import { architectureOf, type GgufContents, type GgufWeight, ggufContents } from "../models/index.ts";
import { writeRows } from "./quantize-rows.ts";
import { tensorFormat } from "./quantize-rules.ts";
import { vocabularyEntries } from "./quantize-vocabulary.ts";
import { type WeightRows, weightRows } from "./weight-rows.ts";

export interface QuantizeOptions {
  /** Of the matrices. Norms, biases and other vectors stay f32; the output gets 6 bits or more. */
  readonly format: FormatName;
  /** The `.gguf` file to write; for i8_row, the folder. */
  readonly out: string;
  /** Called when a tensor is done; with its number from 1 and the number of all. */
  readonly onTensor?: (tensor: QuantizedTensor, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface QuantizedTensor {
  /** Name in the GGUF file. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: FormatName;
  readonly to: FormatName;
  /** In the file. */
  readonly bytes: number;
  /** Root of the mean squared error over that of the values; 0 when nothing is lost. */
  readonly relativeError: number;
  readonly largestError: number;
}

export interface QuantizeReport {
  readonly out: string;
  readonly architecture: string;
  readonly tensors: readonly QuantizedTensor[];
  /** Of all tensors, before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** Elements that are converted between two looks at the signal. */
const CHUNK = 1 << 20;

/**
 * Writes GGUF version 3 as llama.cpp reads it. The file appears when it is complete.
 * @param what as for `open`: a folder in the Hugging Face layout, a `.gguf` file, or an id in the cache
 * @throws CheckpointError when the checkpoint cannot be read, or GGUF cannot express it
 * @throws ParameterError when an option cannot be used; also for weights that are quantized already, unless
 *   they go to a float format or stay as they are: a second loss would add to the first
 */
export async function quantize(what: string, options: QuantizeOptions): Promise<QuantizeReport> {
  const { format, out, onTensor, signal } = options;
  checkOptions(format, out);
  const files = locate(what);
  for (const source of files.weights)
    if (existsSync(out) && realpathSync(source) === realpathSync(out))
      throw new ParameterError("out", `${out} is the checkpoint that is read; write to another file`);
  const checkpoint = openCheckpoint(files);
  try {
    if (formats[format].ggufType === undefined) return await toFolder(files, checkpoint, options);
    const { metadata, weights } = contents(
      files,
      checkpoint,
      format,
      basename(existsSync(what) ? resolve(what) : what),
    );
    const tied = !weights.some((weight) => weight.name === "output.weight");
    const tensors = weights.map((weight) => ({
      weight,
      ...{ name: weight.name, shape: weight.shape },
      format: tensorFormat(weight.name, weight.shape, format, tied),
    }));
    const report: QuantizedTensor[] = [];
    let bytesBefore = 0;
    await writeGguf(out, metadata, tensors, async (tensor) => {
      signal?.throwIfAborted();
      const { weight } = tensor as (typeof tensors)[number];
      const rows = weightRows(checkpoint, weight);
      const { bytes, ...entry } = await convert(checkpoint.path, weight, rows, tensor.format, signal);
      rows.release();
      report.push({ ...entry, bytes: bytes.length });
      bytesBefore += shapedBytes(rows.format, tensor.shape);
      onTensor?.(report.at(-1) as QuantizedTensor, report.length, tensors.length);
      return bytes;
    });
    return {
      ...{ out, architecture: String(metadata.get("general.architecture")?.value), tensors: report },
      ...{ bytesBefore, bytesAfter: report.reduce((sum, { bytes }) => sum + bytes, 0) },
    };
  } finally {
    checkpoint.close();
  }
}

/** Safetensors with matrices in `format`; all else as it is. */
async function toFolder(
  files: CheckpointFiles,
  checkpoint: Checkpoint,
  { format, out, onTensor, signal }: QuantizeOptions,
): Promise<QuantizeReport> {
  const report: QuantizedTensor[] = [];
  let bytesBefore = 0;
  const { architecture } = await writeRows(files, checkpoint, out, async (name, shape, quantized) => {
    signal?.throwIfAborted();
    const rows = weightRows(checkpoint, { name, shape, sources: [name] });
    const to = quantized ? format : rows.format;
    const { bytes, ...entry } = await convert(
      checkpoint.path,
      { name, shape, sources: [name] },
      rows,
      to,
      signal,
    );
    const kept = bytes.slice();
    rows.release();
    report.push({ ...entry, bytes: kept.length });
    bytesBefore += shapedBytes(rows.format, shape);
    onTensor?.(report.at(-1) as QuantizedTensor, report.length, checkpoint.tensors.size);
    return kept;
  });
  const bytesAfter = report.reduce((sum, { bytes }) => sum + bytes, 0);
  return { out, architecture, tensors: report, bytesBefore, bytesAfter };
}

function checkOptions(format: string, out: string): void {
  if (!isFormat(format))
    throw new ParameterError("format", `"${format}" is none of ${Object.keys(formats).join(", ")}`);
  const inGguf = formats[format].ggufType !== undefined;
  if (inGguf && !out.endsWith(".gguf")) throw new ParameterError("out", `${out} must end in .gguf`);
  if (!inGguf && out.endsWith(".gguf"))
    throw new ParameterError(
      "out",
      `GGUF has no type for ${format}; name a folder, which gets safetensors, or use q8_0`,
    );
}

function contents(
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

/** The bytes in the file, and what they lost. Lets other work run between chunks. */
async function convert(
  file: string,
  { name, shape }: GgufWeight,
  rows: WeightRows,
  to: FormatName,
  signal: AbortSignal | undefined,
): Promise<Omit<QuantizedTensor, "bytes"> & { bytes: Uint8Array }> {
  const { format: from, k, unchanged } = rows;
  const entry = { name, shape, from, to };
  if (from === to && unchanged !== undefined)
    return { ...entry, bytes: unchanged, relativeError: 0, largestError: 0 };
  if (!formats[from].float && !formats[to].float)
    throw new ParameterError(
      "format",
      `${file}: "${name}" is ${from} already, and making it ${to} would lose more; quantize the original weights`,
    );
  const { pack, unpack } = formats[to];
  const bytes = new Uint8Array(formatBytes(to, rows.rows * k, rows.rows));
  const step = Math.max(1, Math.floor(CHUNK / k));
  const back = new Float32Array(Math.min(step, rows.rows) * k);
  let [errors, squares, largestError] = [0, 0, 0];
  for (let row = 0; row < rows.rows; row += step) {
    signal?.throwIfAborted();
    const end = Math.min(rows.rows, row + step);
    const values = rows.read(row, end);
    const part = bytes.subarray(formatBytes(to, row * k, row), formatBytes(to, end * k, end));
    try {
      pack(values, part);
    } catch (cause) {
      throw new CheckpointError(file, `cannot become ${to}: ${(cause as Error).message}`, {
        field: name,
        cause,
      });
    }
    const again = back.subarray(0, values.length);
    unpack(part, again);
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number;
      const error = Math.abs(x - (again[i] as number));
      errors += error * error;
      squares += x * x;
      if (error > largestError) largestError = error;
    }
    await new Promise(setImmediate);
  }
  return { ...entry, bytes, relativeError: squares > 0 ? Math.sqrt(errors / squares) : 0, largestError };
}
