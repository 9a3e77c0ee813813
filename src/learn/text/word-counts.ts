/**
 * How often each piece of text occurs that a pre-tokenizer cuts: all that byte-pair encoding learns from. Texts
 * may come one by one and are not kept.
 */
import type { PreTokenizer } from "../../checkpoint/tokenizer/pre-tokenizer.ts";

/** Cut at line ends, so that the pieces of a long text are never all held at once. */
const SLICE = 1 << 16;

export class WordCounts {
  readonly counts = new Map<string, number>();
  readonly #cut: PreTokenizer;

  constructor(cut: PreTokenizer) {
    this.#cut = cut;
  }

  add(text: string): void {
    for (let start = 0; start < text.length; ) {
      const end = sliceEnd(text, start);
      for (const word of this.#cut(text.slice(start, end), start === 0)) {
        const count = this.counts.get(word);
        if (count !== undefined) this.counts.set(word, count + 1);
        // A copy, since a piece of a string keeps the whole string alive.
        else this.counts.set(Buffer.from(word).toString(), 1);
      }
      start = end;
    }
  }
}

/** Before a line that begins with a letter: no pattern of ours joins across it. */
function sliceEnd(text: string, start: number): number {
  const line = /\n(?=\p{L})/gu;
  line.lastIndex = start + SLICE;
  const match = start + SLICE < text.length ? line.exec(text) : null;
  return match ? match.index + 1 : text.length;
}
