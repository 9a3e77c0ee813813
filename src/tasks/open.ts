/** Opens a checkpoint as a language model: a folder, a .gguf file, or an id in the Hugging Face cache. */
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { ParameterError } from "../base/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { Fields } from "../checkpoint/config.ts";
import { type CheckpointFiles, locate } from "../checkpoint/locate.ts";
import { openCheckpoint, readJsonFile, weightFiles } from "../checkpoint/open.ts";
import { PackedCache } from "../checkpoint/packed-cache.ts";
import { type Tokenizer, tokenizerOf } from "../checkpoint/tokenizer/index.ts";
import { openDevice } from "../device/index.ts";
import { loadModel } from "../models/index.ts";
import { cacheFormats, precisions } from "../ops/index.ts";
import { LoadedLanguageModel } from "./language-model.ts";
import type { LanguageModel, OpenOptions } from "./types.ts";

const OPTIONS: readonly string[] = [
  "name",
  "device",
  "threads",
  "precision",
  "cacheFormat",
  "cacheTokens",
  "sequences",
  "packedCache",
  "onProgress",
  "signal",
] satisfies (keyof OpenOptions)[];

/**
 * @param what a folder in the Hugging Face layout, a `.gguf` file, or `ORG/NAME[@revision]` in the local
 *   Hugging Face cache (`fovea pull` puts it there)
 * @throws CheckpointError when a file is missing, broken, or asks for what Fovea does not know
 * @throws ParameterError when an option cannot be used
 */
export async function open(what: string, options: OpenOptions = {}): Promise<LanguageModel> {
  if (typeof options !== "object" || options === null)
    throw new ParameterError("options", `must be an object such as { threads: 2 }, not ${options}`);
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined)
    throw new ParameterError(unknown, `no such option; there are ${OPTIONS.join(", ")}`);
  if (options.name !== undefined && (typeof options.name !== "string" || options.name === ""))
    throw new ParameterError("name", `must be a text, not ${JSON.stringify(options.name)}`);
  const files = locate(what);
  const packed = packedCache(files, options);
  const config =
    files.config === undefined ? undefined : new Fields(files.config, readJsonFile(files.config));
  return await openModel(
    options.name ?? (existsSync(resolve(what)) ? basename(resolve(what)) : what),
    openCheckpoint(files),
    config,
    (checkpoint) => tokenizerOf(checkpoint, files.folder),
    generationEnds(files, config),
    options,
    packed,
  );
}

/** Where the packed weights of these files are kept; undefined: nowhere. */
function packedCache(
  { weights }: CheckpointFiles,
  { packedCache: where = true }: OpenOptions,
): PackedCache | undefined {
  if (typeof where !== "boolean" && (typeof where !== "string" || where === ""))
    throw new ParameterError("packedCache", "must be true, false, or a folder");
  if (where === false) return undefined;
  return new PackedCache(weightFiles(weights), weights[0], where === true ? {} : { folder: where });
}

/**
 * Opens a checkpoint that is not (or not wholly) in files. Takes the checkpoint over, and closes it. Packed
 * weights are kept in `packed`, and nowhere without it.
 */
export async function openModel(
  name: string,
  checkpoint: Checkpoint,
  config: Fields | undefined,
  openTokenizer: (checkpoint: Checkpoint) => Tokenizer | undefined,
  endTokens: readonly number[],
  options: OpenOptions,
  packed?: PackedCache,
): Promise<LanguageModel> {
  const { device: deviceName = "auto", threads, cacheFormat, packedCache, onProgress, signal } = options;
  const { cacheTokens, sequences, precision = "f32" } = options;
  if (!precisions.includes(precision))
    throw new ParameterError("precision", `must be one of ${precisions.join(", ")}, not "${precision}"`);
  if (cacheFormat !== undefined && !cacheFormats.includes(cacheFormat))
    throw new ParameterError(
      "cacheFormat",
      `must be one of ${cacheFormats.join(", ")}, not "${cacheFormat}"`,
    );
  if (packedCache && !packed)
    throw new ParameterError("packedCache", `${name} is not in files that a cache could lie beside`);
  const device = await openDevice(deviceName, threads === undefined ? {} : { threads });
  try {
    // The vocabulary is read while the device packs weights.
    const loading = loadModel(checkpoint, config, device, { onProgress, signal, packed });
    const reading = Promise.resolve().then(() => openTokenizer(checkpoint));
    await Promise.allSettled([loading, reading]);
    const [loaded, tokenizer] = [await loading, await reading];
    const formats = Object.keys(loaded.weights.formatBytes);
    return new LoadedLanguageModel({
      ...{ name, checkpoint, device, loaded, tokenizer },
      endTokens: [...new Set([...endTokens, ...(tokenizer?.eos ?? [])])],
      ...{ cacheTokens, sequences, precision },
      cacheFormat: cacheFormat ?? (formats.every((format) => format === "f32") ? "f32" : "f16"),
    });
  } catch (error) {
    await device.close();
    checkpoint.close();
    throw error;
  }
}

/** `eos_token_id` of generation_config.json, or else of config.json: a number or a list. */
function generationEnds(
  { generationConfig }: CheckpointFiles,
  config: Fields | undefined,
): readonly number[] {
  const name = "eos_token_id";
  const own =
    generationConfig === undefined ? undefined : new Fields(generationConfig, readJsonFile(generationConfig));
  for (const fields of [own, config]) if (fields?.has(name)) return fields.intOrInts(name);
  return [];
}
