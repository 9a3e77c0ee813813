/**
 * A grammar at work on one sequence: which tokens may come next, and what was taken. Cheap to fork and to roll back:
 * its state is one number for each token. Knows tokens as numbers with bytes.
 */
import { FoveaError } from "../../base/errors.ts";
import { REFUSED } from "./machine.ts";
import type { GrammarMasks } from "./masks.ts";
import type { TokenVocabulary } from "./trie.ts";

/** Forced bytes that are looked ahead at most. */
const LOOK_AHEAD = 512;
/** Tokens that can be taken back when a machine that has grown too large was left. */
const KEPT = 64;

export class Constraint {
  readonly #current: () => GrammarMasks;
  readonly #vocabulary: TokenVocabulary;
  readonly #endTokens: readonly number[];
  #masks: GrammarMasks;
  /** States after each token, the first before any; the oldest may be gone. After an end token there is none. */
  #states: number[];
  #gone = 0;
  #mask: Uint32Array | undefined;
  #masked = -1;

  /**
   * @param current the masks to go on with: others when those before have grown too large
   * @param endTokens are allowed exactly where the grammar may end
   */
  constructor(
    current: () => GrammarMasks,
    vocabulary: TokenVocabulary,
    endTokens: readonly number[],
    from?: Constraint,
  ) {
    this.#current = current;
    this.#vocabulary = vocabulary;
    this.#endTokens = endTokens;
    this.#masks = from ? from.#masks : current();
    this.#states = from ? [...from.#states] : [this.#masks.machine.start];
    this.#gone = from ? from.#gone : 0;
  }

  get #state(): number {
    return this.#states.at(-1)!;
  }

  /** Tokens taken so far, an end token included. */
  get length(): number {
    return this.#gone + this.#states.length - 1;
  }

  /** Whether the text may end here. */
  get canEnd(): boolean {
    return this.#masks.machine.ends[this.#state]!;
  }

  /** Whether no byte may follow: the text is complete. True after an end token too. */
  get complete(): boolean {
    return this.#masks.machine.threads[this.#state]!.length === 0;
  }

  /** Whether no token may follow: an end token was taken, or the text is complete and there is none. */
  get finished(): boolean {
    return this.complete && (this.#endTokens.length === 0 || !this.canEnd);
  }

  /** A bit for each token: whether it may come next. Valid until the next call on this object; not to be changed. */
  allowed(): Uint32Array {
    this.#mask ??= new Uint32Array(this.#vocabulary.words);
    if (this.#masked !== this.#state) {
      this.#masks.fill(this.#state, this.#mask);
      this.#masked = this.#state;
      if (this.canEnd) for (const end of this.#endTokens) this.#mask[end >> 5]! |= 1 << (end & 31);
    }
    return this.#mask;
  }

  /** Whether the token may come next, without the work for all others. */
  allows(token: number): boolean {
    return this.#after(token) !== REFUSED || this.#isEnd(token);
  }

  /**
   * Takes a token.
   *
   * @throws FoveaError when it is not allowed; the state is as before
   */
  accept(token: number): void {
    this.#renew();
    if (this.#isEnd(token)) {
      this.#states.push(REFUSED);
      return;
    }
    const next = this.#after(token);
    if (next === REFUSED)
      throw new FoveaError(`token ${token} is not allowed by the grammar here; draw from those of the mask`);
    this.#states.push(next);
  }

  /** Goes on in the machine of today: one that is left ends with the last sequence that is in it. */
  #renew(): void {
    const [before, masks] = [this.#masks, this.#current()];
    if (masks === before) return;
    const kept = this.#states.slice(-KEPT - 1);
    this.#gone += this.#states.length - kept.length;
    this.#states = masks.machine.carry(before.machine, kept);
    this.#masks = masks;
    this.#masked = -1;
  }

  /** Forgets the last tokens: any number, or some dozens where the grammar has needed very many states. */
  rollback(tokens: number): void {
    if (!Number.isInteger(tokens) || tokens < 0 || tokens >= this.#states.length)
      throw new FoveaError(`cannot take back ${tokens} of ${this.length} tokens`);
    this.#states.length -= tokens;
  }

  /** An independent copy. */
  fork(): Constraint {
    return new Constraint(this.#current, this.#vocabulary, this.#endTokens, this);
  }

  /** The bytes that must come next, whatever is chosen: what follows is not a choice yet. */
  forcedBytes(): Uint8Array {
    const { machine } = this.#masks;
    const bytes: number[] = [];
    for (let state = this.#state; bytes.length < LOOK_AHEAD && !machine.ends[state]; ) {
      let only = -1;
      for (let byte = 0; byte < 256; byte++)
        if (machine.step(state, byte) !== REFUSED) {
          if (only >= 0) return Uint8Array.from(bytes);
          only = byte;
        }
      if (only < 0) break;
      bytes.push(only);
      state = machine.step(state, only);
    }
    return Uint8Array.from(bytes);
  }

  #isEnd(token: number): boolean {
    return this.canEnd && this.#endTokens.includes(token);
  }

  #after(token: number): number {
    const { machine } = this.#masks;
    const bytes = this.#vocabulary.bytes(token);
    if (bytes.length === 0) return REFUSED;
    let state = this.#state;
    for (let i = 0; i < bytes.length && state !== REFUSED; i++) state = machine.step(state, bytes[i]!);
    return state;
  }
}
