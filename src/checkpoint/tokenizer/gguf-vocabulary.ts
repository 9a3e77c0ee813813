/**
 * The `tokenizer.ggml.*` metadata that makes a GGUF file carry a given tokenizer, as llama.cpp reads it.
 * Knows nothing of how the file is written.
 */
import { ParameterError } from "../../base/errors.ts";
import type { GgufEntry } from "../gguf-writer.ts";
import type { ByteStrings } from "./byte-strings.ts";
import { knownPreTokenizers } from "./known-patterns.ts";
import { PipelineTokenizer } from "./pipeline.ts";
import { TokenType } from "./sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Refuses a tokenizer that llama.cpp has no vocabulary type for. */
export function toGgufVocabulary(tokenizer: Tokenizer): Map<string, GgufEntry> {
  if (!(tokenizer instanceof PipelineTokenizer))
    throw new ParameterError("tokenizer", "only a tokenizer opened from a checkpoint can be written");
  const { origin, prefix, suffix } = tokenizer.parts;
  const entries = new Map<string, GgufEntry>();
  const set = (key: string, type: GgufEntry["type"], value: GgufEntry["value"] | undefined): void => {
    if (value !== undefined) entries.set(`tokenizer.${key}`, { type, value });
  };
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.token(id) ?? `[PAD${id}]`);
  const types = tokenTypes(tokenizer, origin.kind === "sentencepiece");
  if (origin.kind === "byte-bpe") {
    set("ggml.model", "string", "gpt2");
    set("ggml.pre", "string", preTokenizerName(origin.patterns, origin.wholeFirst));
    set("ggml.tokens", "string", tokens);
    set("ggml.token_type", "i32", types);
    set("ggml.merges", "string", listOf(origin.merges));
  } else if (origin.kind === "sentencepiece") {
    set("ggml.model", "string", "llama");
    set("ggml.tokens", "string", tokens);
    set("ggml.scores", "f32", Array.from(origin.scores ?? mergeScores(tokenizer, origin.merges)));
    set("ggml.token_type", "i32", types);
    set("ggml.add_space_prefix", "bool", origin.spacePrefix);
    const unknown = tokenizer.id("<unk>");
    set("ggml.unknown_token_id", "u32", unknown);
  } else
    throw new ParameterError("tokenizer", `a GGUF file cannot hold a tokenizer of the kind "${origin.name}"`);
  const bos = tokenizer.bos ?? prefix[0];
  const eos = tokenizer.eos?.[0] ?? suffix[0];
  set("ggml.bos_token_id", "u32", bos);
  set("ggml.eos_token_id", "u32", eos);
  set("ggml.add_bos_token", "bool", prefix.length > 0);
  set("ggml.add_eos_token", "bool", suffix.length > 0);
  if (prefix.length > 1 || suffix.length > 1 || (prefix[0] ?? bos) !== bos || (suffix[0] ?? eos) !== eos)
    throw new ParameterError("tokenizer", "a GGUF file can add only BOS before a text and EOS after it");
  set("chat_template", "string", tokenizer.chatTemplate?.source);
  return entries;
}

function tokenTypes(tokenizer: PipelineTokenizer, bytes: boolean): number[] {
  const { added } = tokenizer.parts;
  const types: number[] = new Array(tokenizer.vocabSize).fill(TokenType.normal);
  for (let id = 0; id < types.length; id++) {
    const token = tokenizer.token(id);
    if (token === undefined) types[id] = TokenType.unused;
    else if (bytes && /^<0x[0-9A-F]{2}>$/.test(token)) types[id] = TokenType.byte;
  }
  for (const { id, special } of added) types[id] = special ? TokenType.control : TokenType.userDefined;
  const unknown = bytes ? tokenizer.id("<unk>") : undefined;
  if (unknown !== undefined) types[unknown] = TokenType.unknown;
  return types;
}

/** The name by which llama.cpp knows these patterns. */
function preTokenizerName(patterns: readonly string[] | undefined, wholeFirst: boolean): string {
  const wanted = JSON.stringify(patterns);
  for (const [name, known] of knownPreTokenizers)
    if (JSON.stringify(known.patterns) === wanted && (known.wholeFirst ?? false) === wholeFirst) return name;
  throw new ParameterError("tokenizer", "GGUF has no name for how this tokenizer cuts texts into words");
}

const listOf = (strings: ByteStrings): string[] =>
  Array.from({ length: strings.length }, (_, i) => strings.at(i) ?? "");

/** The sooner a merge makes a token, the higher its score. */
function mergeScores(tokenizer: Tokenizer, merges: ByteStrings): Float32Array {
  // llama.cpp joins whatever makes a token; one that no merge makes must come last.
  const scores = new Float32Array(tokenizer.vocabSize).fill(-2 - merges.length);
  const seen = new Set<number>();
  for (let rank = 0; rank < merges.length; rank++) {
    const id = tokenizer.id((merges.at(rank) ?? "").replace(" ", ""));
    if (id === undefined || seen.has(id)) continue;
    seen.add(id);
    scores[id] = -1 - seen.size;
  }
  return scores;
}
