/**
 * What the files beside a vocabulary say: the names of special tokens, the ends of generated texts, the chat
 * template. Knows nothing of vocabularies.
 */

import type { ByteStrings } from "./byte-strings.ts";
import { ChatTemplate } from "./chat-template.ts";
import { Field, type JsonObject } from "./fields.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A JSON file: its name, and what it holds. */
export interface JsonFile {
  file: string;
  content: unknown;
}

/** The files beside a vocabulary. */
export interface ConfigurationFiles {
  config?: JsonFile | undefined;
  specialTokens?: JsonFile | undefined;
  generation?: JsonFile | undefined;
  /** chat_template.jinja */
  template?: { file: string; content: string } | undefined;
}

export interface HuggingFaceFiles extends ConfigurationFiles {
  tokenizer: JsonFile;
  /** Parts that were read already; `tokenizer` holds none of them then. */
  long?: { vocabulary: Vocabulary | undefined; merges: ByteStrings | undefined } | undefined;
}

export const rootOf = (json: JsonFile | undefined): Field =>
  new Field(json?.file ?? "", "", json === undefined ? {} : json.content);

export interface SpecialNames {
  bos: string | undefined;
  eos: string | undefined;
  all: string[];
  /** What templates know: bos_token, eos_token, ... */
  byName: JsonObject;
}

const TOKEN_NAMES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
];

export function specialNames(config: Field, map: Field): SpecialNames {
  const byName: JsonObject = {};
  const all: string[] = [];
  for (const name of TOKEN_NAMES) {
    const token = config.get(name).tokenText() ?? map.get(name).tokenText();
    if (token === undefined) continue;
    byName[name] = token;
    all.push(token);
  }
  for (const source of [config, map]) {
    const more = source.get("additional_special_tokens");
    if (!more.absent)
      for (const token of more.items()) all.push(token.tokenText() ?? token.fail("is missing"));
  }
  return {
    bos: byName.bos_token as string | undefined,
    eos: byName.eos_token as string | undefined,
    all,
    byName,
  };
}

export function generationEos(generation: Field): number[] {
  const field = generation.get("eos_token_id");
  if (field.absent) return [];
  return Array.isArray(field.value) ? field.items().map((item) => item.integer()) : [field.integer()];
}

export function chatTemplate(files: ConfigurationFiles, names: JsonObject): ChatTemplate | undefined {
  if (files.template !== undefined)
    return new ChatTemplate(files.template.content, names, files.template.file, "(whole file)");
  const field = rootOf(files.config).get("chat_template");
  if (field.absent) return undefined;
  if (!Array.isArray(field.value)) return new ChatTemplate(field.string(), names, field.file, field.path);
  const named = field.items();
  const byName = new Map(named.map((item) => [item.get("name").string(), item.get("template").string()]));
  const main = byName.get("default") ?? [...byName.values()][0] ?? field.fail("must hold a template");
  return new ChatTemplate(main, names, field.file, field.path, byName.get("tool_use"));
}
