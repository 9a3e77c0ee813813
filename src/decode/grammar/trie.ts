/**
 * The vocabulary as a tree of bytes, laid out so that a walk reads arrays from left to right and leaps over what is
 * ruled out. Knows tokens and their bytes, not grammars.
 */

/** What a grammar must know of a tokenizer. */
export interface TokenSource {
  readonly vocabSize: number;
  tokenBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  /** The token as the vocabulary writes it; needed for grammars that ask for special tokens. */
  token?(id: number): string | undefined;
}

/** Bytes that no text in UTF-8 has: around the name of a special token they stand for that token, and only for it. */
const SPECIAL = { open: 0xff, close: 0xfe };
const utf8 = new TextEncoder();

export const specialBytes = (name: string): Uint8Array =>
  Uint8Array.of(SPECIAL.open, ...utf8.encode(name), SPECIAL.close);

export class Trie {
  /** Nodes in order of a walk from the root, node 0; the byte that leads to each. */
  readonly bytes: Uint8Array;
  /** Bytes from the root. */
  readonly depths: Uint16Array;
  /** The next node that is not below this one. */
  readonly ends: Int32Array;
  /** Tokens of node n: tokens[firsts[n]] up to tokens[firsts[n + 1]]; several where they have the same bytes. */
  readonly firsts: Int32Array;
  readonly tokens: Int32Array;
  readonly height: number;

  /** @param words tokens with their bytes, one character for each; none empty */
  constructor(words: readonly { readonly id: number; readonly text: string }[]) {
    const sorted = [...words].sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.id - b.id));
    const room = sorted.reduce((sum, { text }) => sum + text.length, 1);
    const bytes = new Uint8Array(room);
    const depths = new Uint16Array(room);
    const firsts = new Int32Array(room + 1);
    const ends = new Int32Array(room);
    const path: number[] = [0];
    let count = 1;
    let height = 0;
    let before = "";
    for (let at = 0; at < sorted.length; at++) {
      const { text } = sorted[at]!;
      let shared = 0;
      while (shared < before.length && before.charCodeAt(shared) === text.charCodeAt(shared)) shared++;
      while (path.length > shared + 1) ends[path.pop()!] = count;
      for (let i = shared; i < text.length; i++) {
        path.push(count);
        bytes[count] = text.charCodeAt(i);
        depths[count] = i + 1;
        firsts[count++] = at;
      }
      height = Math.max(height, text.length);
      before = text;
    }
    while (path.length > 0) ends[path.pop()!] = count;
    firsts[count] = sorted.length;
    this.bytes = bytes.slice(0, count);
    this.depths = depths.slice(0, count);
    this.ends = ends.slice(0, count);
    this.firsts = firsts.slice(0, count + 1);
    this.tokens = Int32Array.from(sorted, ({ id }) => id);
    this.height = height;
  }

  get nodes(): number {
    return this.bytes.length;
  }
}

/** Tokens up to this length share what is known of patterns that count beyond it. */
const SHORT = 20;

/** The tokens of a model as a grammar sees them. */
export class TokenVocabulary {
  readonly size: number;
  /** Tokens of at most `shortLength` bytes, and the few longer ones. */
  readonly short: Trie;
  readonly long: Trie;
  readonly shortLength = SHORT;
  /** Words of a bit set over all tokens. */
  readonly words: number;
  /** Names of the special tokens. */
  readonly special: ReadonlySet<string>;
  readonly #source: TokenSource;

  /** @param size the number of logits in a row; tokens beyond the tokenizer's are never allowed */
  constructor(source: TokenSource, size: number) {
    this.size = size;
    this.words = Math.ceil(size / 32);
    this.#source = source;
    const short: { id: number; text: string }[] = [];
    const long: { id: number; text: string }[] = [];
    const special = new Set<string>();
    for (let id = 0; id < Math.min(size, source.vocabSize); id++) {
      const bytes = this.bytes(id);
      if (bytes.length === 0) continue;
      if (source.isSpecial(id)) special.add(source.token!(id)!);
      (bytes.length <= SHORT ? short : long).push({ id, text: String.fromCharCode(...bytes) });
    }
    this.special = special;
    this.short = new Trie(short);
    this.long = new Trie(long);
  }

  /** A special token is no text, and stands for itself; ids that no token has are empty. */
  bytes(id: number): Uint8Array {
    if (id >= this.#source.vocabSize) return NONE;
    if (this.#source.isSpecial(id)) {
      const name = this.#source.token?.(id);
      return name === undefined ? NONE : specialBytes(name);
    }
    const bytes = this.#source.tokenBytes(id);
    // A byte that would begin the name of a special token is part of no text either.
    return bytes[0] === SPECIAL.open ? NONE : bytes;
  }
}

const NONE = new Uint8Array(0);
