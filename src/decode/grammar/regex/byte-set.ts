/** Sets of bytes. Immutable; equal sets have equal keys. Knows nothing else. */

export class ByteSet {
  readonly #words: Uint32Array;
  readonly key: string;
  readonly size: number;

  private constructor(words: Uint32Array) {
    this.#words = words;
    this.key = words.join(".");
    let size = 0;
    for (let byte = 0; byte < 256; byte++) if (this.has(byte)) size++;
    this.size = size;
  }

  static readonly #ranges = new Map<number, ByteSet>();

  /** Both ends included; the same object for the same range. */
  static range(low: number, high: number): ByteSet {
    const key = low * 256 + high;
    let set = ByteSet.#ranges.get(key);
    if (set === undefined) {
      const words = new Uint32Array(8);
      for (let byte = low; byte <= high; byte++) words[byte >> 5]! |= 1 << (byte & 31);
      set = new ByteSet(words);
      ByteSet.#ranges.set(key, set);
    }
    return set;
  }

  has(byte: number): boolean {
    return ((this.#words[byte >> 5]! >>> (byte & 31)) & 1) === 1;
  }

  union(other: ByteSet): ByteSet {
    return new ByteSet(this.#words.map((word, i) => word | (other.#words[i] ?? 0)));
  }
}
