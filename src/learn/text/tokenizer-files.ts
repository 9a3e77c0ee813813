/**
 * Writes a byte-level BPE vocabulary as tokenizer.json and tokenizer_config.json, which Hugging Face's libraries,
 * llama.cpp's converter and Fovea read. Knows the files' form; must not know how merges were learned.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { byteCharacters } from "../../checkpoint/tokenizer/byte-alphabet.ts";
import { rootOf } from "../../checkpoint/tokenizer/configuration.ts";
import { knownPreTokenizers } from "../../checkpoint/tokenizer/known-patterns.ts";
import { makePreTokenizer, type PreTokenizer } from "../../checkpoint/tokenizer/pre-tokenizer.ts";
import { writeJson } from "../files.ts";
import type { TrainedBpe } from "./bpe-trainer.ts";

/** Stands between documents, ends texts, and is the only special token. */
export const END_OF_TEXT = "<|endoftext|>";

/** Llama 3's pattern, by the name that GGUF files have for it. */
const PATTERN = "llama-bpe";

const preTokenizer = () => ({
  type: "Sequence",
  pretokenizers: [
    {
      type: "Split",
      pattern: { Regex: knownPreTokenizers.get(PATTERN)?.patterns[0] },
      behavior: "Isolated",
      invert: false,
    },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

/** The cut that a tokenizer of these files makes. */
export function trainingCut(): PreTokenizer {
  const { cut } = makePreTokenizer(rootOf({ file: "tokenizer.json", content: preTokenizer() }));
  return cut as PreTokenizer;
}

/** The contents of tokenizer.json. Ids: the special token is 0, then follow the 256 bytes by value, then what was merged. */
export function tokenizerJson({ tokens, merges }: TrainedBpe): object {
  const written = tokens.map((token) => Array.from(token, (c) => byteCharacters[c.charCodeAt(0)]).join(""));
  const vocab = Object.fromEntries([END_OF_TEXT, ...written].map((token, id) => [token, id]));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [
      {
        id: 0,
        content: END_OF_TEXT,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: preTokenizer(),
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.map((token) => written[token])),
    },
  };
}

const configJson = (context: number): object => ({
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: END_OF_TEXT,
  eos_token: END_OF_TEXT,
  add_bos_token: false,
  clean_up_tokenization_spaces: false,
  model_max_length: context,
});

/** Writes both files into a folder, which is made where it is missing. @param context tokens that the model takes */
export function writeTokenizer(folder: string, trained: TrainedBpe, context: number): void {
  mkdirSync(folder, { recursive: true });
  writeJson(join(folder, "tokenizer.json"), tokenizerJson(trained));
  writeJson(join(folder, "tokenizer_config.json"), configJson(context));
}
