/**
 * The tokens that may still be chosen, and the one question that every truncation asks of them: what is
 * the smallest set of the best whose measure reaches a target? It knows keys and weights, not logits.
 *
 * Answered without sorting, by radix selection over the 32 bits of the keys: linear in the number of
 * candidates, whatever their distribution.
 */

/** The digits of a key, from the most significant: how far each is shifted. 11 + 11 + 10 bits. */
const SHIFTS = [21, 10, 0] as const;
const DIGITS = 2048;
/** Candidates that are sooner sorted than counted by digits. */
const FEW = 128;

/**
 * A list of candidates in order of id, with room for `capacity` of them. Filled and narrowed in place;
 * the buffers are reused for the next row.
 */
export class Candidates {
  count = 0;
  /** Token ids, ascending. */
  readonly ids: Int32Array;
  /** What orders the candidates: larger is better. Never NaN, never −0 (its bits differ from 0's). */
  readonly keys: Float32Array;
  /** Unnormalized probabilities, positive. */
  readonly weights: Float64Array;
  readonly #keyBits: Int32Array;
  readonly #members: Int32Array;
  readonly #histogram = new Float64Array(DIGITS);

  constructor(capacity: number) {
    this.ids = new Int32Array(capacity);
    this.keys = new Float32Array(capacity);
    this.weights = new Float64Array(capacity);
    this.#keyBits = new Int32Array(this.keys.buffer);
    this.#members = new Int32Array(capacity);
  }

  /** Adds those of the tokens [from, end) of a row whose logits are `least` or more, as keys. −∞ is no candidate. */
  add(row: Float32Array, from: number, end: number, least: number): void {
    const { ids, keys } = this;
    let { count } = this;
    for (let id = from; id < end; id++) {
      const logit = row[id]!;
      if (logit < least || logit === Number.NEGATIVE_INFINITY) continue;
      ids[count] = id;
      keys[count++] = logit + 0; // −0 becomes 0
    }
    this.count = count;
  }

  /** Keeps the `k` best by (key descending, id ascending). Weights are not looked at. */
  keepTop(k: number): void {
    if (k < this.count) this.#keepThrough(this.#boundary(k, false));
  }

  /**
   * Keeps the smallest prefix of the order (key descending, id ascending) whose weights sum to `mass` or
   * more; always at least one candidate.
   */
  keepMass(mass: number): void {
    this.#keepThrough(this.#boundary(mass, true));
  }

  /** Keeps the candidates whose weight is `least` or more. */
  keepHeavy(least: number): void {
    const { ids, keys, weights, count } = this;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (weights[i]! < least) continue;
      ids[kept] = ids[i]!;
      keys[kept] = keys[i]!;
      weights[kept++] = weights[i]!;
    }
    this.count = kept;
  }

  totalWeight(): number {
    const { weights, count } = this;
    let total = 0;
    for (let i = 0; i < count; i++) total += weights[i]!;
    return total;
  }

  heaviest(): number {
    const { weights, count } = this;
    let heaviest = 0;
    for (let i = 0; i < count; i++) if (weights[i]! > heaviest) heaviest = weights[i]!;
    return heaviest;
  }

  /** The index of the candidate at which the measure of the ordered prefix reaches the target. */
  #boundary(target: number, byWeight: boolean): number {
    const members = this.#members;
    const histogram = this.#histogram;
    const { weights } = this;
    const bits = this.#keyBits;
    let size = this.count;
    if (size <= FEW) return this.#boundaryOfFew(target, byWeight);
    let all = true; // every candidate is a member, so far
    let before = 0; // the measure of all candidates ahead of the members
    for (const shift of SHIFTS) {
      if (size === 1) break;
      histogram.fill(0);
      for (let m = 0; m < size; m++) {
        const i = all ? m : members[m]!;
        histogram[(rank(bits[i]!) >>> shift) & (DIGITS - 1)]! += byWeight ? weights[i]! : 1;
      }
      let digit = -1;
      for (let d = 0; d < DIGITS; d++) {
        const measure = histogram[d]!;
        if (measure === 0) continue;
        if (digit >= 0) before += histogram[digit]!;
        digit = d;
        if (before + measure >= target) break;
      }
      let next = 0;
      for (let m = 0; m < size; m++) {
        const i = all ? m : members[m]!;
        if (((rank(bits[i]!) >>> shift) & (DIGITS - 1)) === digit) members[next++] = i;
      }
      size = next;
      all = false;
    }
    // The members left have equal keys, and stand in order of id.
    let last = 0;
    for (; last < size - 1; last++) {
      before += byWeight ? weights[members[last]!]! : 1;
      if (before >= target) break;
    }
    return all ? last : members[last]!;
  }

  /** The same by sorting, insertion by insertion. */
  #boundaryOfFew(target: number, byWeight: boolean): number {
    const { keys, weights, count } = this;
    const order = this.#members;
    for (let i = 0; i < count; i++) {
      const key = keys[i]!;
      let place = i;
      for (; place > 0 && keys[order[place - 1]!]! < key; place--) order[place] = order[place - 1]!;
      order[place] = i;
    }
    let last = 0;
    for (let before = 0; last < count - 1; last++) {
      before += byWeight ? weights[order[last]!]! : 1;
      if (before >= target) break;
    }
    return order[last]!;
  }

  #keepThrough(boundary: number): void {
    const { ids, keys, weights, count } = this;
    const least = keys[boundary]!;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const key = keys[i]!;
      if (key < least || (key === least && i > boundary)) continue;
      ids[kept] = ids[i]!;
      keys[kept] = key;
      weights[kept++] = weights[i]!;
    }
    this.count = kept;
  }
}

/**
 * Maps the bits of an f32 to bits that, read unsigned, fall as the float rises: those of a positive float are
 * turned over, the sign excepted. Without a branch, since signs of logits cannot be foretold.
 */
const rank = (bits: number): number => bits ^ (~(bits >> 31) & 0x7fffffff);
