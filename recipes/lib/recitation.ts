/**
 * Whether a model recites: the longest run that samples share with the text it learned from, found exactly by a suffix
 * automaton of the samples (Blumer et al. 1985) through which the text is led once.
 */

export class SharedRuns {
  private readonly symbols: number;
  private readonly next: Int32Array;
  private readonly link: Int32Array;
  private readonly length: Int32Array;
  private states = 1;
  private last = 0;
  /** The state and the matched length, as far as the text has been led. */
  private state = 0;
  private matched = 0;
  /** Symbols that were led through. */
  led = 0;
  /** The longest run so far, and where it ends among all that was led through. */
  longest = 0;
  longestEnd = 0;

  /**
   * @param samples runs of symbols; none spans two of them
   * @param symbols one more than the largest symbol
   */
  constructor(samples: readonly ArrayLike<number>[], symbols: number) {
    // One symbol more, which no text has, ends each sample.
    this.symbols = symbols + 1;
    const states = 2 * samples.reduce((sum, { length }) => sum + length + 1, 1);
    this.next = new Int32Array(states * this.symbols).fill(-1);
    this.link = new Int32Array(states).fill(-1);
    this.length = new Int32Array(states);
    for (const sample of samples) {
      for (let i = 0; i < sample.length; i++) this.extend(sample[i]!);
      this.extend(symbols);
    }
  }

  private extend(symbol: number): void {
    const { next, link, length, symbols } = this;
    const current = this.states++;
    length[current] = length[this.last]! + 1;
    let p = this.last;
    for (; p >= 0 && next[p * symbols + symbol]! < 0; p = link[p]!) next[p * symbols + symbol] = current;
    if (p < 0) link[current] = 0;
    else {
      const q = next[p * symbols + symbol]!;
      if (length[q] === length[p]! + 1) link[current] = q;
      else {
        const clone = this.states++;
        length[clone] = length[p]! + 1;
        next.copyWithin(clone * symbols, q * symbols, (q + 1) * symbols);
        link[clone] = link[q]!;
        for (; p >= 0 && next[p * symbols + symbol] === q; p = link[p]!) next[p * symbols + symbol] = clone;
        link[q] = clone;
        link[current] = clone;
      }
    }
    this.last = current;
  }

  /** Leads a piece of the text through; a symbol below 0 is one that no sample has. */
  lead(text: ArrayLike<number>): void {
    const { next, link, length, symbols } = this;
    for (let i = 0; i < text.length; i++) {
      const symbol = text[i]!;
      this.led++;
      if (symbol < 0) {
        this.state = 0;
        this.matched = 0;
        continue;
      }
      while (this.state > 0 && next[this.state * symbols + symbol]! < 0) {
        this.state = link[this.state]!;
        this.matched = length[this.state]!;
      }
      const to = next[this.state * symbols + symbol]!;
      if (to >= 0) {
        this.state = to;
        this.matched++;
      }
      if (this.matched > this.longest) {
        this.longest = this.matched;
        this.longestEnd = this.led;
      }
    }
  }
}

/** Numbers the symbols that occur in samples from 0; all others are -1. */
export function numbered(samples: readonly ArrayLike<number>[]): {
  readonly numbers: Map<number, number>;
  readonly samples: Int32Array[];
} {
  const numbers = new Map<number, number>();
  const mapped = samples.map((sample) =>
    Int32Array.from(sample, (symbol) => {
      const known = numbers.get(symbol) ?? numbers.size;
      numbers.set(symbol, known);
      return known;
    }),
  );
  return { numbers, samples: mapped };
}
