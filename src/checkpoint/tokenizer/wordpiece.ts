/**
 * WordPiece (Schuster & Nakajima 2012, as in BERT): the longest token first, from left to right, and
 * the unknown token for a word that cannot be cut so. Knows nothing of normalization.
 */
import type { PieceModel } from "./bpe.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface WordPieceOptions {
  vocabulary: Vocabulary;
  /** Stands before a token that continues a word, "##" in BERT. */
  prefix: string;
  unknown: number;
  /** A longer word is unknown. */
  maxCharacters: number;
}

export class WordPiece implements PieceModel {
  readonly #options: WordPieceOptions;

  constructor(options: WordPieceOptions) {
    this.#options = options;
  }

  encode(piece: string, out: number[]): void {
    const { vocabulary, prefix, unknown, maxCharacters } = this.#options;
    const characters = piece.length > 2 * maxCharacters ? undefined : [...piece];
    if (characters === undefined || characters.length > maxCharacters) {
      out.push(unknown);
      return;
    }
    const before = out.length;
    for (let start = 0; start < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start && id === undefined; end--)
        id = vocabulary.id((start > 0 ? prefix : "") + characters.slice(start, end).join(""));
      if (id === undefined) {
        out.length = before;
        out.push(unknown);
        return;
      }
      out.push(id);
      start = end + 1;
    }
  }
}
