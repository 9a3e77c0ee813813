/**
 * Turns what a user types (a folder, a .gguf file, an id in the cache) into the files of a checkpoint.
 * Knows names of files; opens none.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CheckpointError, ParameterError } from "../base/errors.ts";
import { fileProblem } from "./file.ts";
import { cacheFolder, parseHubId, snapshotFolder } from "./hub-cache.ts";

export interface CheckpointFiles {
  readonly kind: "safetensors" | "gguf";
  /** Where they lie; absolute, like all paths here. */
  readonly folder: string;
  /** One file; or the index of a sharded checkpoint; or all parts of a split GGUF, in order. */
  readonly weights: readonly [string, ...string[]];
  /** config.json; of a GGUF, the file has the settings itself. */
  readonly config: string | undefined;
  readonly generationConfig: string | undefined;
  /** Files of the tokenizer that are present, by name. A GGUF file usually has its own. */
  readonly tokenizer: ReadonlyMap<string, string>;
}

export const indexName = "model.safetensors.index.json";
export const singleName = "model.safetensors";

/** The tokenizer's files in the Hugging Face layout. */
export const tokenizerNames: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "vocab.txt",
  "tokenizer.model",
  "chat_template.jinja",
  "chat_template.json",
];

const splitPattern = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/;

/** Names of all parts of the split GGUF that `name` is a part of; `[name]` when it is no part. */
export function splitNames(name: string): [string, ...string[]] {
  const [, stem, , total] = splitPattern.exec(name) ?? [];
  const count = Number(total);
  if (!(count > 1)) return [name];
  return Array.from(
    { length: count },
    (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${total}.gguf`,
  ) as [string, ...string[]];
}

/** The first part stands for a split file, a whole file for itself. */
export const ggufChoices = (names: readonly string[]): string[] =>
  names
    .filter((name) => name.endsWith(".gguf") && (splitPattern.exec(name)?.[2] ?? "00001") === "00001")
    .sort();

/**
 * Finds a checkpoint: a folder in the Hugging Face layout, or with one GGUF; a .gguf file; or `ORG/NAME[@revision]`
 * in the Hugging Face cache. Nothing is downloaded.
 */
export function locate(what: string, cache: string = cacheFolder()): CheckpointFiles {
  if (typeof what !== "string")
    throw new ParameterError("model", "must be a text: a folder, a .gguf file or ORG/NAME");
  // It would be the folder that one stands in.
  if (what === "") throw new ParameterError("model", "is empty; name a folder, a .gguf file or ORG/NAME");
  const path = resolve(what);
  if (existsSync(path)) {
    if (statSync(path).isDirectory()) return inFolder(path, what);
    if (path.endsWith(".gguf")) return gguf(dirname(path), basename(path));
    throw new CheckpointError(
      what,
      path.endsWith(".safetensors")
        ? "give the folder that holds this file and its config.json"
        : "is neither a folder nor a .gguf file",
    );
  }
  const id = parseHubId(what);
  if (id === undefined || /\.(gguf|safetensors|bin)$/.test(what))
    throw new CheckpointError(what, `no such file or folder (looked for ${path})`);
  const snapshot = snapshotFolder(cache, id);
  if (snapshot === undefined)
    throw new CheckpointError(
      what,
      `there is no such folder, and the cache ${cache} does not have this model; to download it: fovea pull ${what}`,
    );
  return inFolder(snapshot, what);
}

function inFolder(folder: string, what: string): CheckpointFiles {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw new CheckpointError(folder, fileProblem(error), { cause: error });
  }
  const weights = [singleName, indexName].find((name) => names.includes(name));
  if (weights !== undefined) {
    if (!names.includes("config.json"))
      throw new CheckpointError(folder, `has ${weights} but no config.json, which says what the model is`);
    return {
      kind: "safetensors",
      weights: [join(folder, weights)],
      config: join(folder, "config.json"),
      ...companions(folder),
    };
  }
  const choices = ggufChoices(names);
  const [only] = choices;
  if (only !== undefined && choices.length === 1) return gguf(folder, only);
  if (choices.length > 1)
    throw new CheckpointError(folder, `has several GGUF files; name one of ${choices.join(", ")}`);
  const pickled = names.find((name) => /^pytorch_model.*\.(bin|json)$/.test(name));
  throw new CheckpointError(
    folder,
    `holds no checkpoint: looked for ${singleName}, ${indexName} and *.gguf${
      pickled === undefined
        ? folder === resolve(what)
          ? ""
          : `; to download it again: fovea pull ${what}`
        : `; ${pickled} is a pickle, which is never opened because it can run code: convert it to safetensors`
    }`,
  );
}

function gguf(folder: string, name: string): CheckpointFiles {
  const names = splitNames(name);
  for (const part of names)
    if (!existsSync(join(folder, part)))
      throw new CheckpointError(join(folder, part), `this part of the split file ${name} is missing`);
  const config = join(folder, "config.json");
  return {
    kind: "gguf",
    weights: names.map((part) => join(folder, part)) as [string, ...string[]],
    config: existsSync(config) ? config : undefined,
    ...companions(folder),
  };
}

function companions(folder: string): Pick<CheckpointFiles, "folder" | "generationConfig" | "tokenizer"> {
  const generationConfig = join(folder, "generation_config.json");
  const tokenizer = tokenizerNames
    .map((name): [string, string] => [name, join(folder, name)])
    .filter(([, path]) => existsSync(path));
  return {
    folder,
    generationConfig: existsSync(generationConfig) ? generationConfig : undefined,
    tokenizer: new Map(tokenizer),
  };
}
