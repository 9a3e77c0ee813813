/**
 * Byte-pair merging: joins neighbours, best rank first, leftmost first among equals, until no pair has a
 * rank. A linked list and a heap, so n symbols cost O(n log n). Knows nothing of texts or vocabularies.
 */

/** `rank * MERGED + id` of the symbol that two neighbours make, or -1. Smaller ranks merge first. */
export type FindPair = (left: number, right: number) => number;

/** Symbols are below this. */
export const MERGED = 2 ** 25;
/** Ranks are below this, so that a rank and a position fit in one exact number. */
const MAX_RANK = 2 ** 25;
const POSITION = 2 ** 27;

export class Merger {
  #next = new Int32Array(256);
  #previous = new Int32Array(256);
  #symbol = new Int32Array(256);
  #heap = new Float64Array(512);
  #size = 0;

  /** Merges `symbols[0..n)` and appends what remains to `out`. */
  merge(symbols: ArrayLike<number>, n: number, find: FindPair, out: number[]): void {
    this.#reserve(n);
    const next = this.#next;
    const previous = this.#previous;
    const symbol = this.#symbol;
    for (let i = 0; i < n; i++) {
      symbol[i] = symbols[i] as number;
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    for (let i = 0; i + 1 < n; i++) this.#offer(i, find(symbol[i] as number, symbol[i + 1] as number));
    while (this.#size > 0) {
      const key = this.#pop();
      const rank = Math.floor(key / POSITION);
      const at = key - rank * POSITION;
      const right = next[at] as number;
      if ((symbol[at] as number) < 0 || right >= n) continue;
      // An older entry: the pair that stands here now is another one.
      const found = find(symbol[at] as number, symbol[right] as number);
      if (found < 0 || Math.floor(found / MERGED) !== rank) continue;
      symbol[at] = found % MERGED;
      symbol[right] = -1;
      const after = next[right] as number;
      next[at] = after;
      if (after < n) {
        previous[after] = at;
        this.#offer(at, find(symbol[at] as number, symbol[after] as number));
      }
      const before = previous[at] as number;
      if (before >= 0) this.#offer(before, find(symbol[before] as number, symbol[at] as number));
    }
    for (let i = 0; i < n; i = next[i] as number) out.push(symbol[i] as number);
  }

  #reserve(n: number): void {
    this.#size = 0;
    if (n <= this.#next.length) return;
    const size = 2 ** Math.ceil(Math.log2(n));
    this.#next = new Int32Array(size);
    this.#previous = new Int32Array(size);
    this.#symbol = new Int32Array(size);
  }

  #offer(at: number, found: number): void {
    if (found < 0) return;
    const rank = Math.floor(found / MERGED);
    if (rank >= MAX_RANK || at >= POSITION) throw new RangeError("text too long to merge at once");
    if (this.#size === this.#heap.length) {
      const larger = new Float64Array(this.#size * 2);
      larger.set(this.#heap);
      this.#heap = larger;
    }
    const heap = this.#heap;
    const key = rank * POSITION + at;
    let i = this.#size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] as number) <= key) break;
      heap[i] = heap[parent] as number;
      i = parent;
    }
    heap[i] = key;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0] as number;
    const key = heap[--this.#size] as number;
    const size = this.#size;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && (heap[child + 1] as number) < (heap[child] as number)) child++;
      if ((heap[child] as number) >= key) break;
      heap[i] = heap[child] as number;
      i = child;
    }
    heap[i] = key;
    return top;
  }
}
