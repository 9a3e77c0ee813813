/** The metadata that carries a tokenizer, as long as the embedding it belongs to. */
import { CheckpointError } from "../base/errors.ts";
import type { GgufEntry } from "../checkpoint/gguf-writer.ts";
import type { toGgufVocabulary } from "../checkpoint/tokenizer/index.ts";

type Vocabulary = ReturnType<typeof toGgufVocabulary>;

const TOKENS = "tokenizer.ggml.tokens";
/** Of tokens that stand for nothing: type "unused", and a score that no merge reaches. */
const UNUSED = 5;
const LOWEST_SCORE = -10_000;

/**
 * A checkpoint without a tokenizer says so. Embeddings often have more rows than there are tokens: llama.cpp
 * wants a token for each.
 */
export function vocabularyEntries(
  vocabulary: Vocabulary | undefined,
  rows: number,
  file: string,
): Map<string, GgufEntry> {
  if (vocabulary === undefined) return new Map([["tokenizer.ggml.model", { type: "string", value: "none" }]]);
  const tokens = vocabulary.get(TOKENS)?.value as string[];
  if (tokens.length > rows)
    throw new CheckpointError(file, `has ${rows} rows, but its tokenizer has ${tokens.length} tokens`, {
      field: "token_embd",
    });
  const filler: Record<string, (i: number) => string | number> = {
    [TOKENS]: (i) => `[PAD${i}]`,
    "tokenizer.ggml.token_type": () => UNUSED,
    "tokenizer.ggml.scores": () => LOWEST_SCORE,
  };
  return new Map(
    [...vocabulary].map(([key, { type, value: own }]): [string, GgufEntry] => {
      const fill = filler[key];
      if (fill === undefined || !Array.isArray(own)) return [key, { type, value: own }];
      const missing = Array.from({ length: rows - tokens.length }, (_, i) => fill(tokens.length + i));
      return [key, { type, value: [...own, ...missing] }];
    }),
  );
}
