/**
 * Byte-pair encoding of one piece of text: merges in the order of a list (GPT-2, Llama 3, Qwen) or by the
 * score of what they make (SentencePiece: Llama 2, Gemma), over bytes or characters. Knows nothing of how
 * the text was cut into pieces.
 */
import { CheckpointError } from "../../base/errors.ts";
import { byteCharacters, toByteAlphabet } from "./byte-alphabet.ts";
import type { ByteStrings } from "./byte-strings.ts";
import { type FindPair, MERGED, Merger } from "./merge.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Appends the ids of a piece of text that was normalized and cut already. */
export interface PieceModel {
  encode(piece: string, out: number[]): void;
}

export interface BpeOptions {
  file: string;
  vocabulary: Vocabulary;
  /** Which pair makes which token, and how soon. */
  pairs: PairRule;
  /** Symbols are the UTF-8 bytes, written in GPT-2's alphabet; otherwise characters. */
  byteLevel: boolean;
  /** A character outside the vocabulary becomes its bytes' tokens <0x00> ... <0xFF>. */
  byteFallback: boolean;
  /** A piece that is a token as a whole is not merged from parts. */
  wholeFirst: boolean;
  unknown: number | undefined;
  /** Neighbouring unknown characters make one unknown token. */
  fuseUnknown: boolean;
  /** Stands before every character but the first of a piece. */
  continuingPrefix: string;
  /** Stands after the last character of a piece. */
  endSuffix: string;
}

/** Merges "a b" in their order, or the score of each token. */
export type PairRule = { merges: ByteStrings } | { scores: ArrayLike<number> };

const MAX_CACHED_LENGTH = 64;
const MAX_CACHED_PIECES = 16384;
const KNOWN_PAIRS = 2 ** 16;
const SPACE_MARK = "\u2581";
const utf8 = new TextEncoder();

export class Bpe implements PieceModel {
  readonly #options: BpeOptions;
  readonly #merger = new Merger();
  readonly #cache = new Map<string, readonly number[]>();
  /** What `#search` found before: pairs, as `left * MERGED + right`, and results, by a hash of the pair. */
  readonly #knownPairs = new Float64Array(KNOWN_PAIRS).fill(-1);
  readonly #known = new Float64Array(KNOWN_PAIRS);
  #rank: ((left: string, right: string, merged: number) => number) | undefined;
  #byteIds: Int32Array | undefined;
  #wordsAreApart: boolean | undefined;

  constructor(options: BpeOptions) {
    this.#options = options;
  }

  encode(piece: string, out: number[]): void {
    if (piece.length <= MAX_CACHED_LENGTH || !this.#cutsAtSpaceMarks()) {
      this.#encodeWord(piece, out);
      return;
    }
    // No token crosses from a letter to a space mark, so neither does a merge: cut there, and the cache helps.
    let start = 0;
    for (let at = piece.indexOf(SPACE_MARK, 1); at >= 0; at = piece.indexOf(SPACE_MARK, at + 1)) {
      if (piece[at - 1] === SPACE_MARK) continue;
      this.#encodeWord(piece.slice(start, at), out);
      start = at;
    }
    this.#encodeWord(start === 0 ? piece : piece.slice(start), out);
  }

  #cutsAtSpaceMarks(): boolean {
    const { vocabulary, byteLevel, continuingPrefix, endSuffix, fuseUnknown, byteFallback } = this.#options;
    // Fused unknowns, prefixes and suffixes look across the cut.
    this.#wordsAreApart ??=
      !byteLevel &&
      continuingPrefix === "" &&
      endSuffix === "" &&
      (byteFallback || !fuseUnknown) &&
      !vocabulary.some(marksInside);
    return this.#wordsAreApart;
  }

  #encodeWord(word: string, out: number[]): void {
    if (word === "") return;
    const cacheable = word.length <= MAX_CACHED_LENGTH;
    let ids = cacheable ? this.#cache.get(word) : undefined;
    if (ids === undefined) {
      ids = this.#merge(word);
      if (cacheable) {
        if (this.#cache.size >= MAX_CACHED_PIECES) this.#cache.clear();
        this.#cache.set(word, ids);
      }
    }
    for (const id of ids) out.push(id);
  }

  #merge(word: string): number[] {
    const { vocabulary, wholeFirst, byteLevel, continuingPrefix, endSuffix } = this.#options;
    if (wholeFirst) {
      const whole = vocabulary.id(byteLevel ? toByteAlphabet(word) : word);
      if (whole !== undefined) return [whole];
    }
    const plainBytes = byteLevel && continuingPrefix === "" && endSuffix === "";
    const symbols = plainBytes
      ? this.#byteSymbols(word)
      : this.#characterSymbols(byteLevel ? toByteAlphabet(word) : word);
    const merged: number[] = [];
    this.#merger.merge(symbols, symbols.length, this.#find, merged);
    return this.#resolveUnknown(merged);
  }

  #byteSymbols(word: string): Int32Array {
    const { vocabulary, unknown } = this.#options;
    this.#byteIds ??= Int32Array.from(byteCharacters, (character) => vocabulary.id(character) ?? -1);
    const bytes = utf8.encode(word);
    const symbols = new Int32Array(bytes.length);
    let n = 0;
    for (const byte of bytes) {
      // A byte that the vocabulary lacks (Falcon's: vertical tab) is left out, as Hugging Face and llama.cpp do.
      const id = this.#byteIds[byte] as number;
      if (id >= 0) symbols[n++] = id;
      else if (unknown !== undefined) symbols[n++] = unknown;
    }
    return symbols.subarray(0, n);
  }

  /** A character outside the vocabulary is the symbol `vocabulary.size + code point` until the end. */
  #characterSymbols(word: string): number[] {
    const { vocabulary, continuingPrefix, endSuffix } = this.#options;
    const symbols: number[] = [];
    for (let i = 0; i < word.length; ) {
      const code = word.codePointAt(i) as number;
      const character = String.fromCodePoint(code);
      const prefix = i === 0 ? "" : continuingPrefix;
      i += character.length;
      const suffix = i === word.length ? endSuffix : "";
      symbols.push(vocabulary.id(prefix + character + suffix) ?? vocabulary.size + code);
    }
    return symbols;
  }

  #resolveUnknown(symbols: number[]): number[] {
    const { vocabulary, byteFallback, unknown, fuseUnknown } = this.#options;
    if (!symbols.some((symbol) => symbol >= vocabulary.size)) return symbols;
    const ids: number[] = [];
    let afterUnknown = false;
    for (const symbol of symbols) {
      if (symbol < vocabulary.size) {
        ids.push(symbol);
        afterUnknown = false;
        continue;
      }
      const bytes = byteFallback ? this.#byteTokens(symbol - vocabulary.size) : undefined;
      if (bytes !== undefined) {
        ids.push(...bytes);
        afterUnknown = false;
      } else if (unknown !== undefined) {
        if (!(fuseUnknown && afterUnknown)) ids.push(unknown);
        afterUnknown = true;
      }
    }
    return ids;
  }

  #byteTokens(code: number): number[] | undefined {
    const ids: number[] = [];
    for (const byte of utf8.encode(String.fromCodePoint(code))) {
      const id = this.#options.vocabulary.id(byteToken(byte));
      if (id === undefined) return undefined;
      ids.push(id);
    }
    return ids;
  }

  readonly #find: FindPair = (left, right) => {
    const pair = left * MERGED + right;
    const slot = ((Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 8) & (KNOWN_PAIRS - 1);
    if (this.#knownPairs[slot] === pair) return this.#known[slot] as number;
    const found = this.#search(left, right);
    this.#knownPairs[slot] = pair;
    this.#known[slot] = found;
    return found;
  };

  #search(left: number, right: number): number {
    const { vocabulary, continuingPrefix } = this.#options;
    const text = (symbol: number): string =>
      symbol < vocabulary.size
        ? (vocabulary.token(symbol) ?? "")
        : String.fromCodePoint(symbol - vocabulary.size);
    const a = text(left);
    const b = text(right);
    const joined =
      a + (continuingPrefix !== "" && b.startsWith(continuingPrefix) ? b.slice(continuingPrefix.length) : b);
    const merged = vocabulary.id(joined);
    this.#rank ??= this.#makeRank();
    const rank = this.#rank(a, b, merged ?? -1);
    if (rank < 0) return -1;
    if (merged === undefined)
      throw new CheckpointError(this.#options.file, `"${a} ${b}" makes a token that the vocabulary lacks`, {
        field: "merges",
      });
    return rank * MERGED + merged;
  }

  #makeRank(): (left: string, right: string, merged: number) => number {
    const rule = this.#options.pairs;
    if ("merges" in rule) {
      const { merges } = rule;
      return (left, right) => merges.find(`${left} ${right}`);
    }
    const ranks = scoreRanks(rule.scores);
    return (_left, _right, merged) => (merged < 0 ? -1 : (ranks[merged] ?? -1));
  }
}

export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/** Whether a space mark (E2 96 81) follows anything but another one. */
function marksInside(token: Uint8Array): boolean {
  for (let i = 1; i + 2 < token.length; i++) {
    if (token[i] !== 0xe2 || token[i + 1] !== 0x96 || token[i + 2] !== 0x81) continue;
    const afterMark = i >= 3 && token[i - 3] === 0xe2 && token[i - 2] === 0x96 && token[i - 1] === 0x81;
    if (!afterMark) return true;
  }
  return false;
}

/** The highest score has rank 0; equal scores have equal ranks. */
function scoreRanks(scores: ArrayLike<number>): Int32Array {
  const order = Float64Array.from(scores).sort();
  const distinct = new Map<number, number>();
  for (let i = order.length - 1; i >= 0; i--)
    if (!distinct.has(order[i] as number)) distinct.set(order[i] as number, distinct.size);
  return Int32Array.from(scores, (score) => distinct.get(score) ?? -1);
}
