/**
 * A control: an n-gram model with interpolated Kneser-Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999, section
 * 3.7), over tokens. Runs of tokens are known by a hash of 52 bits, so that tens of millions fit in plain arrays.
 */

/** Counts by key, in open addressing. */
class Table {
  private keys = new Float64Array(1 << 12);
  /** Of a run: how often it occurs (of the longest runs), or after how many different tokens. */
  count = new Int32Array(1 << 12);
  /** Of a run as a context: the sum of the counts of what follows, and how many different tokens follow. */
  sum = new Int32Array(1 << 12);
  types = new Int32Array(1 << 12);
  size = 0;

  /** The place of a key, or -1. */
  find(key: number): number {
    const place = this.place(this.keys, key);
    return this.keys[place] === key ? place : -1;
  }

  /** The place of a key, which is put in where it is missing. */
  put(key: number): number {
    if (this.size * 10 > this.keys.length * 7) this.grow();
    const place = this.place(this.keys, key);
    if (this.keys[place] !== key) {
      this.keys[place] = key;
      this.size++;
    }
    return place;
  }

  private place(keys: Float64Array, key: number): number {
    const mask = keys.length - 1;
    let place = Math.imul(key % 2 ** 31, 0x9e3779b1) >>> 0;
    place = (place ^ (place >>> 15)) & mask;
    while (keys[place] !== 0 && keys[place] !== key) place = (place + 1) & mask;
    return place;
  }

  private grow(): void {
    const old = [this.keys, this.count, this.sum, this.types] as const;
    const keys = new Float64Array(2 * this.keys.length);
    const [count, sum, types] = [1, 2, 3].map(() => new Int32Array(keys.length)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    for (let i = 0; i < old[0].length; i++) {
      const key = old[0][i]!;
      if (key === 0) continue;
      const place = this.place(keys, key);
      keys[place] = key;
      count[place] = old[1][i]!;
      sum[place] = old[2][i]!;
      types[place] = old[3][i]!;
    }
    Object.assign(this, { keys, count, sum, types });
  }
}

export class NGramModel {
  private readonly order: number;
  private readonly vocabulary: number;
  /** By length of run, from 0 (the empty context) to the order. */
  private readonly tables: readonly Table[];
  private discounts: readonly number[] = [];

  constructor(order: number, vocabulary: number) {
    this.order = order;
    this.vocabulary = vocabulary;
    this.tables = Array.from({ length: order + 1 }, () => new Table());
  }

  /** Learns from a run of tokens; may be called again and again. */
  add(tokens: Int32Array): void {
    for (let i = 0; i < tokens.length; i++) {
      // The longest run is counted; each shorter one once for each different token before it.
      for (let n = Math.min(this.order, i + 1); n >= 1; n--) {
        const run = this.tables[n]!;
        const context = this.tables[n - 1]!;
        const at = run.put(keyOf(tokens, i + 1 - n, i + 1));
        const known = run.count[at]! > 0;
        run.count[at]!++;
        const before = context.put(keyOf(tokens, i + 1 - n, i));
        context.sum[before]!++;
        if (known) break;
        context.types[before]!++;
      }
    }
  }

  /** To be called once, after all has been learned. */
  finish(): void {
    this.discounts = this.tables.map(({ count }) => {
      let [once, twice] = [0, 0];
      for (const value of count) {
        if (value === 1) once++;
        else if (value === 2) twice++;
      }
      // Where nothing is rare, something is kept back all the same for what was never seen.
      return once > 0 ? once / (once + 2 * twice) : 0.5;
    });
  }

  /** Negative log-likelihood, in nats, of tokens[from..], each after at most order − 1 before it. */
  nll(tokens: Int32Array, from = 0): number {
    let total = 0;
    for (let i = from; i < tokens.length; i++) total -= Math.log(this.probability(tokens, i));
    return total;
  }

  private probability(tokens: Int32Array, at: number): number {
    let p = 1 / this.vocabulary;
    for (let n = 1; n <= Math.min(this.order, at + 1); n++) {
      const context = this.tables[n - 1]!;
      const before = context.find(keyOf(tokens, at + 1 - n, at));
      if (before < 0 || context.sum[before] === 0) break;
      const run = this.tables[n]!;
      const place = run.find(keyOf(tokens, at + 1 - n, at + 1));
      const discount = this.discounts[n]!;
      const sum = context.sum[before]!;
      const seen = place < 0 ? 0 : Math.max(0, run.count[place]! - discount);
      p = (seen + discount * context.types[before]! * p) / sum;
    }
    return p;
  }
}

/** A number from 1 to 2^52 for tokens [from, to); 1 for none. */
function keyOf(tokens: Int32Array, from: number, to: number): number {
  let a = 0x811c9dc5;
  let b = 0x1b873593 ^ (to - from);
  for (let i = from; i < to; i++) {
    const token = tokens[i]!;
    a = Math.imul(a ^ token, 0x85ebca6b);
    a ^= a >>> 13;
    b = Math.imul(b ^ (token + 0x9e37), 0xc2b2ae35);
    b ^= b >>> 16;
  }
  return (a >>> 0) * 2 ** 20 + ((b >>> 0) % 2 ** 20) + 1;
}
