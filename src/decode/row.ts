/**
 * A row of logits as draws see it: in blocks, of which most are passed over by their largest logit. A device that
 * makes long rows finds out about their blocks (`block_softmax` of the op set); without that the whole row is one
 * block. Bias, penalties and masks change copies of blocks. Knows no sampling options.
 */
import { SOFTMAX_BLOCK } from "../ops/index.ts";
import type { Candidates } from "./candidates.ts";
import { expNonPositive } from "./exp.ts";
import { argmax, noToken, notANumber } from "./logprobs.ts";
import { maskRow } from "./mask.ts";

/** Which of a device's sums of a block: those for log-probabilities, and those for the draw. */
export type SumOf = "logprobs" | "draw";

/** What no logit passes. */
const UNKNOWN: Float32Array = Float32Array.of(Number.POSITIVE_INFINITY);

export class LogitRow {
  readonly size: number;
  #logits: Float32Array;
  /** [3, blocks]: maxima, and sums of exponentials around them. */
  #summary: Float32Array | undefined;
  #width = 0;
  #count = 0;
  /** By block: no logit is larger. Exact where there is a summary. */
  #maxima: Float32Array = UNKNOWN;
  /** The place of `#maxima` once one changes. */
  readonly #changed: Float32Array;
  /** What the model gave, changed: blocks that are open. */
  readonly #own: Float32Array;
  readonly #isOpen: Uint8Array;
  #open: number[] = [];
  readonly #weights: Float64Array;

  constructor(size: number) {
    const blocks = Math.ceil(size / SOFTMAX_BLOCK);
    this.size = size;
    this.#own = new Float32Array(size);
    this.#logits = this.#own;
    this.#changed = new Float32Array(blocks);
    this.#isOpen = new Uint8Array(blocks);
    this.#weights = new Float64Array(blocks);
  }

  /** Makes it the row of these logits, which it reads and does not change. `summary`: what the device found out. */
  set(logits: Float32Array, summary?: Float32Array): void {
    for (const block of this.#open) this.#isOpen[block] = 0;
    this.#open.length = 0;
    this.#logits = logits;
    this.#summary = summary;
    this.#width = summary ? SOFTMAX_BLOCK : this.size;
    this.#count = summary ? this.#changed.length : 1;
    this.#maxima = summary ?? UNKNOWN;
  }

  /** The logits of a token's block, to be changed in place. `settle` must follow. */
  open(token: number): Float32Array {
    this.#openBlock(this.#blockOf(token));
    return this.#own;
  }

  /** Leaves only the allowed tokens. `settle` must follow. */
  mask(allowed: Uint32Array): void {
    const own = this.#own;
    for (let block = 0; block < this.#count; block++) {
      const from = block * this.#width;
      const end = this.#endOf(block);
      const [first, last] = [from >>> 5, (end + 31) >>> 5];
      const bits = allowed[first] ?? 0;
      let same = bits === 0 || bits === 0xffffffff;
      for (let word = first + 1; same && word < last; word++) same = (allowed[word] ?? 0) === bits;
      if (same && bits !== 0) continue;
      if (same && this.#summary && this.#isOpen[block] === 0) this.#maximaToChange()[block] = -Infinity;
      else {
        this.#openBlock(block);
        maskRow(own, allowed, from, end);
      }
    }
  }

  /** Finds the maxima of blocks that have changed. */
  settle(): void {
    if (!this.#summary || this.#open.length === 0) return;
    const own = this.#own;
    const maxima = this.#maximaToChange();
    for (const block of this.#open) {
      let largest = -Infinity;
      for (let i = block * this.#width; i < this.#endOf(block); i++) {
        if (own[i]! <= largest) continue;
        largest = own[i]!;
        if (Number.isNaN(largest)) break;
      }
      maxima[block] = largest;
    }
  }

  at(token: number): number {
    return this.#valuesOf(this.#blockOf(token))[token]!;
  }

  /**
   * The lowest token among those of the largest logit.
   *
   * @throws FoveaError when the row is no distribution: NaN or +∞ in it, or nothing but −∞
   */
  top(): number {
    if (!this.#summary) return argmax(this.#valuesOf(0));
    const maxima = this.#maxima;
    let best = -Infinity;
    let block = -1;
    for (let b = 0; b < this.#count; b++) {
      const largest = maxima[b]!;
      if (largest <= best) continue;
      block = b;
      best = largest;
      if (Number.isNaN(largest)) break;
    }
    if (block < 0) throw noToken(this.size);
    const values = this.#valuesOf(block);
    let token = block * this.#width;
    while (!Object.is(values[token]! + 0, best + 0)) token++; // −0 becomes 0
    if (!Number.isFinite(best)) throw notANumber(this.size, Number.isNaN(best) ? "NaN" : "+Infinity", token);
    return token;
  }

  /** Fills the list with the logits that are `least` or more. −∞ is no candidate. */
  fill(candidates: Candidates, least = -Infinity): void {
    candidates.count = 0;
    for (let block = 0; block < this.#count; block++) {
      const largest = this.#maxima[block]!;
      if (largest >= least && largest > -Infinity)
        candidates.add(this.#valuesOf(block), block * this.#width, this.#endOf(block), least);
    }
  }

  /** A number that at least `k` logits reach, and mostly not many more; −∞ where that would take long to find out. */
  reached(k: number): number {
    return this.#summary
      ? reached(this.#maxima, this.#count, k, 1)
      : reached(this.#valuesOf(0), this.size, k, 8);
  }

  /** Σ e^((l − largest) / temperature); `largest` that of the row. With a summary its sums must be of that temperature. */
  total(largest: number, temperature: number, sum: SumOf): number {
    if (!this.#summary) {
      const values = this.#valuesOf(0);
      const total = weigh(values, 0, values.length, largest, temperature);
      this.#weights[0] = total;
      return total;
    }
    const [maxima, weights, count] = [this.#maxima, this.#weights, this.#count];
    const sums = (sum === "logprobs" ? 1 : 2) * count;
    let total = 0;
    for (let block = 0; block < count; block++) {
      const most = maxima[block]!;
      let weight = 0;
      if (most > -Infinity) {
        const own = this.#isOpen[block] === 1;
        const inside = own
          ? weigh(this.#own, block * this.#width, this.#endOf(block), most, temperature)
          : this.#summary[sums + block]!;
        weight = inside * expNonPositive((most - largest) / temperature);
      }
      weights[block] = weight;
      total += weight;
    }
    return total;
  }

  /** ln Σ e^l */
  logSumExp(): number {
    const largest = this.at(this.top());
    return largest + Math.log(this.total(largest, 1, "logprobs"));
  }

  /**
   * The first token, in order of id, at which the cumulated weights e^((l − largest) / temperature) pass that share of
   * their total: block by block, and then in the block.
   */
  draw(temperature: number, share: number): number {
    const largest = this.at(this.top());
    const threshold = share * this.total(largest, temperature, "draw");
    const weights = this.#weights;
    let before = 0;
    let block = 0;
    for (let b = 0, cumulated = 0; b < this.#count; b++) {
      if (weights[b] === 0) continue;
      block = b; // the last one, where the product above was rounded up to the total
      before = cumulated;
      cumulated += weights[b]!;
      if (cumulated > threshold) break;
    }
    const values = this.#valuesOf(block);
    let last = 0;
    for (let i = block * this.#width; i < this.#endOf(block); i++) {
      const weight = expNonPositive((values[i]! - largest) / temperature);
      if (weight === 0) continue;
      last = i;
      before += weight;
      if (before > threshold) break;
    }
    return last; // that of the block, where its sum was rounded up
  }

  #blockOf(token: number): number {
    return this.#summary ? Math.floor(token / SOFTMAX_BLOCK) : 0;
  }

  #endOf(block: number): number {
    return Math.min((block + 1) * this.#width, this.size);
  }

  #valuesOf(block: number): Float32Array {
    return this.#isOpen[block] === 1 ? this.#own : this.#logits;
  }

  #openBlock(block: number): void {
    if (this.#isOpen[block] === 1) return;
    this.#isOpen[block] = 1;
    this.#open.push(block);
    const from = block * this.#width;
    this.#own.set(this.#logits.subarray(from, this.#endOf(block)), from);
  }

  #maximaToChange(): Float32Array {
    if (this.#maxima !== this.#changed) this.#changed.set(this.#maxima.subarray(0, this.#count));
    this.#maxima = this.#changed;
    return this.#changed;
  }
}

function weigh(
  values: Float32Array,
  from: number,
  end: number,
  largest: number,
  temperature: number,
): number {
  let total = 0;
  for (let i = from; i < end; i++) total += expNonPositive((values[i]! - largest) / temperature);
  return total;
}

/** Of the maxima of 4 k parts of `count` values the k-th largest; parts have `narrowest` at least. */
function reached(values: Float32Array, count: number, k: number, narrowest: number): number {
  const width = Math.max(Math.floor(count / (4 * k)), narrowest);
  if (count < k * width) return -Infinity;
  const maxima = new Float32Array(Math.ceil(count / width));
  for (let part = 0, i = 0; part < maxima.length; part++) {
    let largest = -Infinity;
    for (const end = Math.min(i + width, count); i < end; i++) if (values[i]! > largest) largest = values[i]!;
    maxima[part] = largest;
  }
  return maxima.sort()[maxima.length - k]!;
}
