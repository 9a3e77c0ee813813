/**
 * Opens the tokenizer of a checkpoint: a folder in Hugging Face's layout, or the metadata of a GGUF file.
 * Knows the files' names; their contents are read elsewhere.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../../base/errors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { fileProblem } from "../file.ts";
import { decodeText, parseJsonObject } from "../text.ts";
import { type ConfigurationFiles, type HuggingFaceFiles, type JsonFile, rootOf } from "./configuration.ts";
import { tokenizerFromGguf } from "./gguf.ts";
import { tokenizerFromHuggingFace } from "./huggingface.ts";
import { tokenizerFromSentencePiece } from "./sentencepiece-model.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { Vocabulary } from "./vocabulary.ts";
import { bertTokenizerJson, bpeTokenizerJson, readLowercase } from "./vocabulary-files.ts";
import { mergeLines, readVocabularyFile, takeLongParts } from "./vocabulary-json.ts";

export { ChatTemplate, type RenderOptions } from "./chat-template.ts";
export { tokenizerFromGguf } from "./gguf.ts";
export { toGgufVocabulary } from "./gguf-vocabulary.ts";
export type { DecodeOptions, Detokenizer, EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** Larger files are refused by the JSON reader. */
const LARGEST = 64 * 1024 * 1024;

/** Of an open checkpoint: a GGUF file's own, or else that of its folder; undefined when there is none. */
export const tokenizerOf = (checkpoint: Checkpoint, folder: string): Tokenizer | undefined =>
  (checkpoint.kind === "gguf" ? tokenizerFromGguf(checkpoint.path, checkpoint.metadata) : undefined) ??
  openTokenizer(folder);

/** Undefined when the folder holds no tokenizer. */
export function openTokenizer(folder: string): Tokenizer | undefined {
  const read = new Folder(folder);
  const common = {
    config: read.json("tokenizer_config.json"),
    specialTokens: read.json("special_tokens_map.json"),
    generation: read.json("generation_config.json"),
    template: read.text("chat_template.jinja"),
  };
  const files = tokenizerJson(read) ?? olderFiles(read, common);
  if (files !== undefined) return tokenizerFromHuggingFace({ ...common, ...files });
  return sentencePiece(read, common);
}

type TokenizerFiles = Pick<HuggingFaceFiles, "tokenizer" | "long" | "specialTokens">;

function tokenizerJson(read: Folder): TokenizerFiles | undefined {
  const json = read.bytes("tokenizer.json");
  if (json === undefined) return undefined;
  const { file } = json;
  const long = json.content.length <= LARGEST ? takeLongParts(file, json.content) : undefined;
  return { tokenizer: { file, content: parseJsonObject(file, long?.rest ?? json.content) }, long };
}

/** vocab.json with merges.txt, or vocab.txt. */
function olderFiles(read: Folder, { config, specialTokens }: ConfigurationFiles): TokenizerFiles | undefined {
  const className = rootOf(config).get("tokenizer_class").optionalString();
  const merges = read.bytes("merges.txt");
  const vocab = read.bytes("vocab.json");
  if (vocab !== undefined && merges !== undefined) {
    decodeText(merges.file, merges.content);
    const vocabulary =
      readVocabularyFile(vocab.file, vocab.content) ??
      Vocabulary.fromObject(parseJsonObject(vocab.file, vocab.content), vocab.file, "(root)");
    const long = { vocabulary, merges: mergeLines(merges.file, merges.content) };
    const tokenizer = { file: vocab.file, content: bpeTokenizerJson(className) };
    return { tokenizer, long, specialTokens: specialTokens ?? customTokens(vocab.file, className) };
  }
  const words = read.text("vocab.txt");
  if (words === undefined) return undefined;
  const tokens = words.content.replace(/\r?\n$/, "").split(/\r?\n/);
  const content = bertTokenizerJson(tokens, readLowercase(rootOf(config)));
  return { tokenizer: { file: words.file, content }, specialTokens };
}

/** What a class calls its special tokens where no file says so. */
function customTokens(file: string, className: string | undefined): JsonFile {
  const end = "<|endoftext|>";
  const isQwen = /^Qwen2/.test(className ?? "");
  return { file, content: isQwen ? { eos_token: end } : { bos_token: end, eos_token: end } };
}

function sentencePiece(read: Folder, common: ConfigurationFiles): Tokenizer | undefined {
  const model = read.bytes("tokenizer.model") ?? read.bytes("spiece.model");
  if (model === undefined) return undefined;
  return tokenizerFromSentencePiece(model.file, model.content, common);
}

class Folder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  bytes(name: string): { file: string; content: Uint8Array } | undefined {
    const file = join(this.#path, name);
    try {
      return { file, content: readFileSync(file) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new CheckpointError(file, fileProblem(cause), { cause });
    }
  }

  text(name: string): { file: string; content: string } | undefined {
    const read = this.bytes(name);
    return read && { file: read.file, content: decodeText(read.file, read.content) };
  }

  json(name: string): JsonFile | undefined {
    const read = this.bytes(name);
    return read && { file: read.file, content: parseJsonObject(read.file, read.content) };
  }
}
