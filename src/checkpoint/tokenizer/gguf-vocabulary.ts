/**
 * The `tokenizer.ggml.*` metadata that makes a GGUF file carry a given tokenizer, as llama.cpp reads it.
 * Knows nothing of how the file is written.
 */
import { ParameterError } from "../../base/errors.ts";
import type { ByteStrings } from "./byte-strings.ts";
import { knownPreTokenizers } from "./known-patterns.ts";
import { PipelineTokenizer } from "./pipeline.ts";
import { TokenType } from "./sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Values as a GGUF writer takes them: Int32Array and Float32Array are arrays of i32 and f32, numbers are u32. */
export type GgufVocabularyValue = string | number | boolean | string[] | Int32Array | Float32Array;

/** Refuses a tokenizer that llama.cpp has no vocabulary type for. */
export function toGgufVocabulary(tokenizer: Tokenizer): Map<string, GgufVocabularyValue> {
  if (!(tokenizer instanceof PipelineTokenizer))
    throw new ParameterError("tokenizer", "only a tokenizer opened from a checkpoint can be written");
  const { origin, prefix, suffix } = tokenizer.parts;
  const entries = new Map<string, GgufVocabularyValue>();
  const set = (key: string, value: GgufVocabularyValue | undefined): void => {
    if (value !== undefined) entries.set(`tokenizer.ggml.${key}`, value);
  };
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.token(id) ?? `[PAD${id}]`);
  const types = tokenTypes(tokenizer, origin.kind === "sentencepiece");
  if (origin.kind === "byte-bpe") {
    set("model", "gpt2");
    set("pre", preTokenizerName(origin.patterns, origin.wholeFirst));
    set("tokens", tokens);
    set("token_type", types);
    set("merges", listOf(origin.merges));
  } else if (origin.kind === "sentencepiece") {
    set("model", "llama");
    set("tokens", tokens);
    set("scores", Float32Array.from(origin.scores ?? mergeScores(tokenizer, origin.merges)));
    set("token_type", types);
    set("add_space_prefix", origin.spacePrefix);
    const unknown = tokenizer.id("<unk>");
    set("unknown_token_id", unknown);
  } else
    throw new ParameterError("tokenizer", `a GGUF file cannot hold a tokenizer of the kind "${origin.name}"`);
  const bos = tokenizer.bos ?? prefix[0];
  const eos = tokenizer.eos?.[0] ?? suffix[0];
  set("bos_token_id", bos);
  set("eos_token_id", eos);
  set("add_bos_token", prefix.length > 0);
  set("add_eos_token", suffix.length > 0);
  if (prefix.length > 1 || suffix.length > 1 || (prefix[0] ?? bos) !== bos || (suffix[0] ?? eos) !== eos)
    throw new ParameterError("tokenizer", "a GGUF file can add only BOS before a text and EOS after it");
  if (tokenizer.chatTemplate !== undefined)
    entries.set("tokenizer.chat_template", tokenizer.chatTemplate.source);
  return entries;
}

function tokenTypes(tokenizer: PipelineTokenizer, bytes: boolean): Int32Array {
  const { added } = tokenizer.parts;
  const types = new Int32Array(tokenizer.vocabSize).fill(TokenType.normal);
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
