/** Vocabularies of published models, opened in the ways that their files allow. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import { BytesSource } from "../../src/checkpoint/source.ts";
import { openTokenizer, type Tokenizer, tokenizerFromGguf } from "../../src/checkpoint/tokenizer/index.ts";
import { shared } from "./shared.ts";

const vocabularies = shared("tokenizers");

const opened = (tokenizer: Tokenizer | undefined): Tokenizer => {
  if (tokenizer === undefined) throw new Error("no tokenizer was found");
  return tokenizer;
};

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder with copies of fixtures, by the names they shall have, and a tokenizer_config.json. */
export function folderOf(files: Record<string, string>, config: object): string {
  const folder = mkdtempSync(join(tmpdir(), "fovea-tokenizer-"));
  folders.push(folder);
  for (const [name, path] of Object.entries(files))
    copyFileSync(join(vocabularies, path), join(folder, name));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return folder;
}

/** The GGUF metadata that llama.cpp's own vocabulary files hold, from their JSON form. */
export function ggufMetadata(name: string): Map<string, unknown> {
  const json = JSON.parse(readFileSync(join(vocabularies, "bpe-vocab", `${name}.json`), "utf8"));
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", json.pre],
    ["tokenizer.ggml.tokens", json.tokens],
    ["tokenizer.ggml.merges", json.merges],
    ["tokenizer.ggml.token_type", json.token_type],
  ]);
}

/** Each vocabulary by name; opened when it is asked for. */
export const tokenizers: Readonly<Record<string, () => Tokenizer>> = {
  "gpt-2 (tokenizer.json)": () => opened(openTokenizer(join(vocabularies, "gpt2"))),
  "gpt-2 (vocab.json)": () =>
    opened(
      openTokenizer(
        folderOf(
          { "vocab.json": "gpt2/vocab.json", "merges.txt": "gpt2/merges.txt" },
          { tokenizer_class: "GPT2Tokenizer" },
        ),
      ),
    ),
  "gpt-2 (GGUF)": () => opened(tokenizerFromGguf("gpt-2.gguf", ggufMetadata("gpt-2"))),
  "falcon (GGUF)": () => opened(tokenizerFromGguf("falcon.gguf", ggufMetadata("falcon"))),
  "mpt (GGUF)": () => opened(tokenizerFromGguf("mpt.gguf", ggufMetadata("mpt"))),
  "llama-spm (tokenizer.model)": () => opened(openTokenizer(join(vocabularies, "llama2"))),
  "llama-spm (GGUF)": () => {
    const bytes = readFileSync(shared("models/gguf-test/llama-2-tiny-random.gguf"));
    const checkpoint = openGguf(new BytesSource("llama-2-tiny-random.gguf", bytes));
    return opened(tokenizerFromGguf(checkpoint.path, checkpoint.metadata));
  },
  "llama-bpe (encoder.json)": () =>
    opened(
      openTokenizer(
        folderOf(
          { "vocab.json": "llama3/encoder.json", "merges.txt": "llama3/vocab.bpe" },
          { tokenizer_class: "PreTrainedTokenizerFast" },
        ),
      ),
    ),
  "qwen2 (vocab.json)": () =>
    opened(
      openTokenizer(
        folderOf(
          { "vocab.json": "qwen2/vocab.json", "merges.txt": "qwen2/merges.txt" },
          { tokenizer_class: "Qwen2Tokenizer" },
        ),
      ),
    ),
  "bert-bge (vocab.txt)": () =>
    opened(
      openTokenizer(
        folderOf({ "vocab.txt": "bpe-vocab/bert-uncased-vocab.txt" }, { tokenizer_class: "BertTokenizer" }),
      ),
    ),
  "minicpm3 (tokenizer.json)": () => opened(openTokenizer(join(vocabularies, "minicpm3"))),
  "t5-small (tokenizer.json)": () => opened(openTokenizer(join(vocabularies, "t5-small"))),
  "whisper (vocab.json)": () =>
    opened(
      openTokenizer(
        folderOf(
          {
            "vocab.json": "whisper-multilingual/vocab.json",
            "merges.txt": "whisper-multilingual/merges.txt",
          },
          { tokenizer_class: "WhisperTokenizer" },
        ),
      ),
    ),
  stories260K: () => opened(openTokenizer(shared("models/stories260K/hf"))),
};

export interface Case {
  text: string;
  ids: number[];
}

/** llama.cpp's cases for a vocabulary (its tests write them without BOS and EOS). */
export function llamaCppCases(name: string): Case[] {
  const path = shared(`tokenizers/llamacpp-cases/ggml-vocab-${name}.gguf`);
  if (!existsSync(`${path}.inp`)) return [];
  const texts = readFileSync(`${path}.inp`, "utf8").split("\n__ggml_vocab_test__\n");
  const lines = readFileSync(`${path}.out`, "utf8").split("\n");
  return texts.map((text, i) => ({
    text,
    ids: (lines[i] ?? "")
      .split(" ")
      .filter((word) => word !== "")
      .map(Number),
  }));
}
