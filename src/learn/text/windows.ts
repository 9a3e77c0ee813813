/**
 * The order in which windows of a corpus are learned from. A window is a pure function of (seed, number), so that
 * training goes on where it was cut off by knowing one number. Knows lengths; must not know tokens.
 */
import { ParameterError } from "../../base/errors.ts";
import { philox4x32 } from "../../decode/random.ts";

const ROUNDS = 6;

export class Windows {
  readonly #tokens: number;
  readonly #size: number;
  readonly #seed: number;

  /** @param tokens of the corpus  @param size tokens that a window predicts; it holds one more */
  constructor(tokens: number, size: number, seed: number) {
    if (!(tokens > 2 * size))
      throw new ParameterError("data", `${tokens} tokens are too few for windows of ${size}`);
    this.#tokens = tokens;
    this.#size = size;
    this.#seed = seed;
  }

  /** Windows of one pass over the corpus. */
  get perEpoch(): number {
    return Math.floor((this.#tokens - this.#size) / this.#size);
  }

  /**
   * Where window `n` begins. Each pass takes every window once, in an order of its own, all shifted by an offset
   * of its own, so that texts are not always cut at the same places.
   */
  start(n: number): number {
    const count = this.perEpoch;
    const epoch = Math.floor(n / count);
    const shift = this.#draw(epoch, 0, 0) % this.#size;
    return shift + this.#size * this.#permuted(n % count, count, epoch);
  }

  /**
   * A permutation of [0, count): a Feistel network over the next even number of bits, walked until it falls inside
   * (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
   */
  #permuted(at: number, count: number, epoch: number): number {
    const half = Math.max(1, Math.ceil(Math.log2(count) / 2));
    const mask = 2 ** half - 1;
    let value = at;
    do {
      let [left, right] = [Math.floor(value / 2 ** half), value & mask];
      for (let round = 1; round <= ROUNDS; round++)
        [left, right] = [right, (left ^ (this.#draw(epoch, round, right) & mask)) >>> 0];
      value = left * 2 ** half + right;
    } while (value >= count);
    return value;
  }

  #draw(epoch: number, round: number, input: number): number {
    return philox4x32(
      [input >>> 0, epoch >>> 0, round, 0x77696e64],
      [this.#seed >>> 0, Math.floor(this.#seed / 2 ** 32) >>> 0],
    )[0];
  }
}
