/**
 * Learns the merges of byte-pair encoding from words and their counts (Sennrich, Haddow, Birch 2016; over bytes
 * as in Radford et al. 2019). Knows bytes and counts; must not know files or how texts are cut.
 *
 * Pairs are counted once; a merge then changes only the words that hold its pair. The pair that occurs most is
 * found by a heap whose entries may be out of date: one whose count has changed is put back with the right one.
 */
import { ParameterError } from "../../base/errors.ts";
import { PairHeap } from "./pair-heap.ts";

/** A merge of two tokens; tokens below 256 are bytes. */
export type Merge = readonly [left: number, right: number];

export interface BpeTraining {
  /** Tokens at most, the 256 bytes among them. */
  readonly tokens: number;
  /** A pair that occurs less often is not merged. Default 2. */
  readonly minCount?: number;
  readonly onToken?: (done: number, total: number) => void;
}

export interface TrainedBpe {
  /** The bytes of each token, a character for each byte. */
  readonly tokens: readonly string[];
  readonly merges: readonly Merge[];
}

/** Tokens stay below this, so that a pair is one exact number. */
const PAIR = 2 ** 21;
const utf8 = new TextEncoder();

/**
 * Tokens, and the merges that make them, in order. Ties go to the pair with the smaller left token, then the smaller
 * right one, so the result depends on the counts alone.
 */
export function trainBpe(counts: ReadonlyMap<string, number>, options: BpeTraining): TrainedBpe {
  const { tokens: wanted, minCount = 2, onToken } = options;
  if (!(Number.isSafeInteger(wanted) && wanted >= 256 && wanted < PAIR))
    throw new ParameterError("tokens", `must be between 256 and ${PAIR - 1}, not ${wanted}`);
  const words = new Words(counts);
  const heap = new PairHeap();
  for (const [pair, { count }] of words.pairs) heap.push(count, pair);
  const tokens = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: Merge[] = [];
  const merged = new Set<number>();
  for (let turn = 1; tokens.length < wanted; turn++) {
    const top = heap.pop();
    if (top === undefined) break;
    const { pair } = top;
    const known = words.pairs.get(pair);
    if (known === undefined || known.count < minCount) continue;
    if (known.count !== top.count) {
      heap.push(known.count, pair);
      continue;
    }
    const [left, right] = [Math.floor(pair / PAIR), pair % PAIR];
    const text = `${tokens[left]}${tokens[right]}`;
    // Two pairs can make the same token ("a bc", "ab c"); a merged pair can come back by such a one.
    const id = ids.get(text) ?? tokens.push(text) - 1;
    ids.set(text, id);
    if (!merged.has(pair)) merges.push([left, right]);
    merged.add(pair);
    for (const gained of words.merge(left, right, id, turn))
      heap.push(words.pairs.get(gained)!.count, gained);
    onToken?.(tokens.length, wanted);
  }
  return { tokens, merges };
}

interface PairUse {
  count: number;
  /** Words that hold the pair, or did once; a word may stand here twice. */
  readonly words: number[];
}

/** All different words as runs of tokens in one array, which shrink where they lie. */
class Words {
  readonly pairs = new Map<number, PairUse>();
  private readonly tokens: Int32Array;
  private readonly starts: Int32Array;
  private readonly lengths: Int32Array;
  private readonly counts: Float64Array;
  /** The last turn that saw each word. */
  private readonly seen: Int32Array;

  constructor(counts: ReadonlyMap<string, number>) {
    const encoded = [...counts.keys()].map((word) => utf8.encode(word));
    this.tokens = new Int32Array(encoded.reduce((sum, { length }) => sum + length, 0));
    this.starts = new Int32Array(encoded.length);
    this.lengths = Int32Array.from(encoded, ({ length }) => length);
    this.counts = Float64Array.from(counts.values());
    this.seen = new Int32Array(encoded.length);
    let at = 0;
    for (const [word, bytes] of encoded.entries()) {
      this.starts[word] = at;
      this.tokens.set(bytes, at);
      at += bytes.length;
      for (let i = 0; i + 1 < bytes.length; i++)
        this.change(bytes[i]! * PAIR + bytes[i + 1]!, this.counts[word]!, word);
    }
  }

  /** Puts `made` in place of each left and right side by side; the pairs that gained by it. */
  merge(left: number, right: number, made: number, turn: number): Iterable<number> {
    const pair = left * PAIR + right;
    const { words } = this.pairs.get(pair)!;
    const gained = new Set<number>();
    for (const word of words) {
      if (this.seen[word] === turn) continue;
      this.seen[word] = turn;
      this.mergeWord(word, left, right, made, gained);
    }
    this.pairs.delete(pair);
    return gained;
  }

  private mergeWord(word: number, left: number, right: number, made: number, gained: Set<number>): void {
    const { tokens } = this;
    const start = this.starts[word]!;
    const end = start + this.lengths[word]!;
    const count = this.counts[word]!;
    let to = start;
    for (let from = start; from < end; from++, to++) {
      const token = tokens[from]!;
      if (token !== left || from + 1 >= end || tokens[from + 1] !== right) {
        tokens[to] = token;
        continue;
      }
      if (to > start) {
        const before = tokens[to - 1]!;
        this.change(before * PAIR + left, -count, word);
        gained.add(this.change(before * PAIR + made, count, word));
      }
      if (from + 2 < end) {
        const after = tokens[from + 2]!;
        this.change(right * PAIR + after, -count, word);
        // Where the same pair follows, its own turn counts the two merged tokens.
        gained.add(this.change(made * PAIR + after, count, word));
      }
      tokens[to] = made;
      from++;
    }
    this.lengths[word] = to - start;
  }

  private change(pair: number, by: number, word: number): number {
    const use = this.pairs.get(pair);
    if (use === undefined) this.pairs.set(pair, { count: by, words: [word] });
    else {
      use.count += by;
      if (by > 0) use.words.push(word);
    }
    return pair;
  }
}
