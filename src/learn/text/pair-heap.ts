/** A heap of pairs by their counts: the largest count first, of equal ones the smallest pair. */

export interface CountedPair {
  readonly count: number;
  readonly pair: number;
}

export class PairHeap {
  private readonly entries: CountedPair[] = [];

  push(count: number, pair: number): void {
    const { entries } = this;
    let at = entries.length;
    const entry = { count, pair };
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, entries[parent]!)) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  /** The first entry, taken away; undefined when there is none. */
  pop(): CountedPair | undefined {
    const { entries } = this;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined || entries.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++;
      if (!before(entries[child]!, last)) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
    return top;
  }
}

const before = (a: CountedPair, b: CountedPair): boolean =>
  a.count > b.count || (a.count === b.count && a.pair < b.pair);
