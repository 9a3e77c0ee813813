/**
 * Converts a checkpoint to a GGUF file in a given number format, or to a folder of safetensors where GGUF has no such
 * type, and reports what each tensor lost. Knows which file is read and written; the formats' rules and the
 * architectures' conventions lie elsewhere.
 */
import { existsSync, realpathSync } from "node:fs";
import { basename, resolve } from "node:path";
import { ParameterError } from "../base/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { writeGguf } from "../checkpoint/gguf-writer.ts";
import { type CheckpointFiles, locate } from "../checkpoint/locate.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type FormatName, formats, isFormat } from "../format/index.ts";
import { contents } from "./quantize-contents.ts";
import { Conversion, type ConversionOptions, type QuantizedTensor } from "./quantize-convert.ts";
import { writeRows } from "./quantize-rows.ts";
import { tensorFormat } from "./quantize-rules.ts";

export type { QuantizedTensor };

export interface QuantizeOptions extends ConversionOptions {
  /** Of the matrices. Norms, biases and other vectors stay f32; the output gets 6 bits or more. */
  readonly format: FormatName;
  /** The `.gguf` file to write; for i8_row, the folder. */
  readonly out: string;
}

export interface QuantizeReport {
  readonly out: string;
  readonly architecture: string;
  readonly tensors: readonly QuantizedTensor[];
  /** Of all tensors, before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * Writes GGUF version 3 as llama.cpp reads it. The file appears when it is complete.
 * @param what as for `open`: a folder in the Hugging Face layout, a `.gguf` file, or an id in the cache
 * @throws CheckpointError when the checkpoint cannot be read, or GGUF cannot express it
 * @throws ParameterError when an option cannot be used; also for weights that are quantized already, unless
 *   they go to a float format or stay as they are: a second loss would add to the first
 */
export async function quantize(what: string, options: QuantizeOptions): Promise<QuantizeReport> {
  const { format, out } = options;
  checkOptions(format, out);
  const files = locate(what);
  for (const source of files.weights)
    if (existsSync(out) && realpathSync(source) === realpathSync(out))
      throw new ParameterError("out", `${out} is the checkpoint that is read; write to another file`);
  const checkpoint = openCheckpoint(files);
  try {
    if (formats[format].ggufType === undefined) return await toFolder(files, checkpoint, options);
    const name = basename(existsSync(what) ? resolve(what) : what);
    const { metadata, weights } = contents(files, checkpoint, format, name);
    const tied = !weights.some((weight) => weight.name === "output.weight");
    const tensors = weights.map((weight) => ({
      ...weight,
      format: tensorFormat(weight.name, weight.shape, format, tied),
    }));
    const conversion = new Conversion(checkpoint, tensors.length, options);
    await writeGguf(out, metadata, tensors, (tensor) => conversion.convert(tensor, tensor.format));
    return reportOf(out, String(metadata.get("general.architecture")?.value), conversion);
  } finally {
    checkpoint.close();
  }
}

/** Safetensors with matrices in `format`; all else as it is. */
async function toFolder(
  files: CheckpointFiles,
  checkpoint: Checkpoint,
  options: QuantizeOptions,
): Promise<QuantizeReport> {
  const { format, out } = options;
  const conversion = new Conversion(checkpoint, checkpoint.tensors.size, options);
  const { architecture } = await writeRows(files, checkpoint, out, (name, shape, quantized) =>
    conversion.convert({ name, shape, sources: [name] }, quantized ? format : undefined),
  );
  return reportOf(out, architecture, conversion);
}

const reportOf = (
  out: string,
  architecture: string,
  { tensors, bytesBefore, bytesAfter }: Conversion,
): QuantizeReport => ({ out, architecture, tensors, bytesBefore, bytesAfter });

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
