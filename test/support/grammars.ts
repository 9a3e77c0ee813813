/** Drives a grammar in tests: texts token by token, and random texts. */
import type { CompiledGrammar } from "../../src/decode/grammar/index.ts";
import type { Random } from "./random.ts";

/** A vocabulary given as texts (or bytes); ids are places in the list, the last is the end token. */
export function vocabularyOf(tokens: readonly (string | Uint8Array)[]) {
  const bytes = tokens.map((token) => (typeof token === "string" ? new TextEncoder().encode(token) : token));
  return {
    vocabSize: tokens.length + 1,
    end: tokens.length,
    tokenBytes: (id: number): Uint8Array => bytes[id] ?? new Uint8Array(0),
    isSpecial: (id: number): boolean => id === tokens.length,
  };
}

/** Every byte, and some words, so that tokens cross the borders of terminals. */
export const smallVocabulary = vocabularyOf([
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...[
    '{"',
    '":',
    '": ',
    '", "',
    '","',
    '"}',
    '"]',
    "],",
    "},",
    "}]",
    "[[",
    "[{",
    "true",
    "false",
    "null",
    "  ",
    ", ",
    ": ",
    "é",
    "🌍",
  ],
  ...[
    "12",
    "100",
    "0.",
    "-1",
    "name",
    "value",
    "kind",
    "\n  ",
    "\\u",
    "\\n",
    "foo",
    "bar",
    "20",
    "-0",
    "T00",
    ":00",
    "example",
    ".com",
  ],
]);

const isSet = (mask: Uint32Array, token: number): boolean => ((mask[token >> 5]! >>> (token & 31)) & 1) === 1;

/** Whether the grammar takes the text and may end behind it, byte by byte (tokens 0 to 255 must be the bytes). */
export function accepts(grammar: CompiledGrammar, text: string | Uint8Array): boolean {
  const constraint = grammar.start([]);
  for (const byte of typeof text === "string" ? new TextEncoder().encode(text) : text) {
    if (!constraint.allows(byte)) return false;
    constraint.accept(byte);
  }
  return constraint.canEnd;
}

/** The same by tokens of a tokenizer, asking the masks. */
export function acceptsTokens(grammar: CompiledGrammar, ids: readonly number[], end: number): boolean {
  const constraint = grammar.start([end]);
  for (const id of [...ids, end]) {
    if (!isSet(constraint.allowed(), id)) return false;
    constraint.accept(id);
  }
  return constraint.complete;
}

/**
 * A text of tokens drawn from the masks, uniformly; after `patience` tokens, those that end it soon are preferred.
 * Undefined where it did not end.
 */
export function sample(
  grammar: CompiledGrammar,
  vocabulary: { readonly end: number; tokenBytes(id: number): Uint8Array },
  random: Random,
  patience = 60,
): Uint8Array | undefined {
  const constraint = grammar.start([vocabulary.end]);
  const bytes: number[] = [];
  for (let step = 0; step < patience * 12; step++) {
    const mask = constraint.allowed();
    const allowed: number[] = [];
    for (let word = 0; word < mask.length; word++)
      for (let bits = mask[word]!; bits !== 0; bits &= bits - 1)
        allowed.push(32 * word + 31 - Math.clz32(bits & -bits));
    if (allowed.length === 0) throw new Error("nothing is allowed, and the text has not ended");
    let token = random.pick(allowed);
    if (step > patience) {
      if (isSet(mask, vocabulary.end)) token = vocabulary.end;
      else {
        const closing = allowed.filter((id) =>
          /^["\]}]+$/.test(String.fromCharCode(...vocabulary.tokenBytes(id))),
        );
        if (closing.length > 0 && random.next() < 0.7) token = random.pick(closing);
      }
    }
    constraint.accept(token);
    if (token === vocabulary.end) return Uint8Array.from(bytes);
    bytes.push(...vocabulary.tokenBytes(token));
  }
  return undefined;
}
