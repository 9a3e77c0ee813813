/**
 * Unigram segmentation (Kudo 2018): the cut of a piece whose tokens' log-probabilities sum highest, found by
 * dynamic programming over a trie. Knows nothing of normalization or spaces.
 */
import { byteToken, type PieceModel } from "./bpe.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** How much worse than the worst token an unknown character is (SentencePiece, kUnkPenalty). */
const UNKNOWN_PENALTY = 10;
const CODE_UNITS = 65536;
const utf8 = new TextEncoder();

export interface UnigramOptions {
  vocabulary: Vocabulary;
  /** Log-probability by id; the vocabulary may be longer, by tokens that are not part of the model. */
  scores: ArrayLike<number>;
  /** Ids that a text is never cut into (control and byte tokens). */
  skip: (id: number) => boolean;
  unknown: number;
  byteFallback: boolean;
}

export class Unigram implements PieceModel {
  readonly #options: UnigramOptions;
  readonly #unknownScore: number;
  #edges: Map<number, number> | undefined;
  #leaf: number[] = [];

  constructor(options: UnigramOptions) {
    this.#options = options;
    let worst = 0;
    for (let id = 0; id < options.scores.length; id++) worst = Math.min(worst, options.scores[id] as number);
    this.#unknownScore = worst - UNKNOWN_PENALTY;
  }

  encode(piece: string, out: number[]): void {
    const edges = this.#trie();
    const { scores, unknown } = this.#options;
    const n = piece.length;
    const best = new Float64Array(n + 1).fill(Number.NEGATIVE_INFINITY);
    const from = new Int32Array(n + 1);
    const token = new Int32Array(n + 1).fill(-1);
    best[0] = 0;
    for (let start = 0; start < n; start++) {
      const base = best[start] as number;
      if (base === Number.NEGATIVE_INFINITY) continue;
      const width = (piece.codePointAt(start) as number) > 0xffff ? 2 : 1;
      let single = false;
      const offer = (end: number, score: number, id: number): void => {
        if (base + score <= (best[end] as number)) return;
        best[end] = base + score;
        from[end] = start;
        token[end] = id;
      };
      let node = 0;
      for (let end = start; end < n; ) {
        const child = edges.get(node * CODE_UNITS + piece.charCodeAt(end++));
        if (child === undefined) break;
        node = child;
        const id = this.#leaf[node] as number;
        if (id < 0) continue;
        if (end - start === width) single = true;
        offer(end, scores[id] as number, id);
      }
      if (!single) offer(start + width, this.#unknownScore, -1);
    }
    const cut: [number, number, number][] = [];
    for (let end = n; end > 0; end = from[end] as number)
      cut.push([from[end] as number, end, token[end] as number]);
    let afterUnknown = false;
    for (const [start, end, id] of cut.reverse()) {
      if (id >= 0) out.push(id);
      else if (!this.#pushBytes(piece.slice(start, end), out) && !afterUnknown) out.push(unknown);
      afterUnknown = id < 0;
    }
  }

  #pushBytes(character: string, out: number[]): boolean {
    if (!this.#options.byteFallback) return false;
    const ids = Array.from(utf8.encode(character), (byte) => this.#options.vocabulary.id(byteToken(byte)));
    if (ids.includes(undefined)) return false;
    for (const id of ids) out.push(id as number);
    return true;
  }

  #trie(): Map<number, number> {
    if (this.#edges !== undefined) return this.#edges;
    const { vocabulary, scores, skip } = this.#options;
    const edges = new Map<number, number>();
    this.#leaf = [-1];
    for (let id = 0; id < scores.length; id++) {
      const text = vocabulary.token(id);
      if (text === undefined || text === "" || skip(id)) continue;
      let node = 0;
      for (let i = 0; i < text.length; i++) {
        const key = node * CODE_UNITS + text.charCodeAt(i);
        let child = edges.get(key);
        if (child === undefined) {
          child = this.#leaf.length;
          edges.set(key, child);
          this.#leaf.push(-1);
        }
        node = child;
      }
      this.#leaf[node] = id;
    }
    this.#edges = edges;
    return edges;
  }
}
