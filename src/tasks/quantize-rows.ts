/**
 * Converts a checkpoint to a folder in the Hugging Face layout with its matrices in i8_row, for which GGUF has no
 * type: names and settings stay, each matrix becomes codes and scales as compressed-tensors lays them out. Knows
 * which files are written; which matrices these are, the rules of the GGUF quantizer say.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { CheckpointError, ParameterError } from "../base/errors.ts";
import { type Checkpoint, elementCount } from "../checkpoint/checkpoint.ts";
import { Fields } from "../checkpoint/config.ts";
import { type CheckpointFiles, singleName } from "../checkpoint/locate.ts";
import { readJsonFile } from "../checkpoint/open.ts";
import { parted, scaleName } from "../checkpoint/row-scales.ts";
import { safetensorsDtypes } from "../checkpoint/safetensors-header.ts";
import { type SafetensorsTensor, writeSafetensors } from "../checkpoint/safetensors-writer.ts";
import { architectureOf, ggufContents } from "../models/index.ts";
import { tensorFormat } from "./quantize-rules.ts";

/** Packs one matrix, or takes it over. */
export type Convert = (name: string, shape: readonly number[], quantized: boolean) => Promise<Uint8Array>;

/** What compressed-tensors says of such weights: a scale for each row of weights, and one for each token, found as it comes. */
const description = (kept: readonly string[]) => ({
  quant_method: "compressed-tensors",
  format: "int-quantized",
  quantization_status: "compressed",
  ignore: kept.map((name) => name.replace(/\.weight$/, "")),
  config_groups: {
    group_0: {
      targets: ["Linear"],
      weights: { num_bits: 8, type: "int", symmetric: true, strategy: "channel", dynamic: false },
      input_activations: { num_bits: 8, type: "int", symmetric: true, strategy: "token", dynamic: true },
    },
  },
});

/** Writes the folder `out`; its weights come last but appear whole. */
export async function writeRows(
  files: CheckpointFiles,
  checkpoint: Checkpoint,
  out: string,
  convert: Convert,
): Promise<{ architecture: string }> {
  if (files.config === undefined || files.kind !== "safetensors")
    throw new ParameterError(
      "format",
      `i8_row is written from a folder with safetensors, not from ${files.kind === "gguf" ? files.weights[0] : files.folder}`,
    );
  if (existsSync(out) && readdirSync(out).length > 0)
    throw new ParameterError("out", `${out} is not empty; i8_row is written to a folder of its own`);
  const settings = readJsonFile(files.config);
  const config = new Fields(files.config, settings);
  const architecture = architectureOf(config);
  const chosen = matrices(checkpoint, ggufContents(architecture, checkpoint, config).weights);
  if (chosen.size === 0)
    throw new CheckpointError(checkpoint.path, "has no matrix that could be i8_row: its rows are no outputs");

  const tensors: SafetensorsTensor[] = [];
  const kept: string[] = [];
  for (const { name, shape, format } of checkpoint.tensors.values()) {
    const quantized = chosen.has(name);
    if (!quantized && shape.length === 2) kept.push(name);
    tensors.push({ name, shape, dtype: quantized ? "I8" : dtypeOf(format) });
    if (quantized) tensors.push({ name: scaleName(name), shape: [shape[0] as number, 1], dtype: "F32" });
  }
  mkdirSync(out, { recursive: true });
  writeFileSync(
    join(out, "config.json"),
    `${JSON.stringify({ ...settings, quantization_config: description(kept) }, null, 2)}\n`,
  );
  const companions = [
    ...files.tokenizer.values(),
    ...(files.generationConfig ? [files.generationConfig] : []),
  ];
  for (const path of companions) copyFileSync(path, join(out, basename(path)));

  let scales = new Uint8Array(0);
  await writeSafetensors(join(out, singleName), tensors, async ({ name, shape, dtype }) => {
    if (!checkpoint.tensors.has(name)) return scales;
    const bytes = await convert(name, shape, dtype === "I8");
    if (!chosen.has(name)) return bytes;
    const parts = parted(bytes, shape[0] as number, elementCount(shape.slice(1)));
    scales = parts.scales as Uint8Array<ArrayBuffer>;
    return parts.codes;
  });
  return { architecture: architecture.gguf.architecture };
}

/** Names of what is multiplied, an output in each row. Tables stay as they are, also one that is the output too. */
function matrices(checkpoint: Checkpoint, weights: ReturnType<typeof ggufContents>["weights"]): Set<string> {
  const names = new Set<string>();
  for (const { name, shape, sources, transposed } of weights)
    if (
      !transposed &&
      name !== "token_embd.weight" &&
      tensorFormat(name, shape, "i8_row", false) === "i8_row"
    )
      for (const source of sources) if (checkpoint.tensors.get(source)?.shape.length === 2) names.add(source);
  return names;
}

function dtypeOf(format: string): string {
  for (const [dtype, known] of Object.entries(safetensorsDtypes)) if (known?.format === format) return dtype;
  throw new ParameterError("format", `${format} is no element type of safetensors`);
}
