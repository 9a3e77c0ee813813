/**
 * Stop strings and stop tokens, on a stream: what may be shown now, what must wait, and when to end.
 * It knows text in pieces and token ids; it must not know tokenizers or models.
 */
import { ParameterError } from "../base/errors.ts";

export interface StopOptions {
  /** Text that ends the generation, and is not part of it. Compared as written, without normalization. */
  readonly stop?: string | readonly string[];
  /** Token ids that end the generation, besides the model's own end tokens. */
  readonly stopTokens?: readonly number[];
}

export interface Stops {
  readonly strings: readonly string[];
  readonly tokens: ReadonlySet<number>;
}

/** @throws ParameterError naming `stop` or `stopTokens` when an entry cannot be used */
export function stopsFrom(options: StopOptions): Stops {
  const { stop = [], stopTokens = [] } = options;
  const strings: readonly unknown[] = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(strings)) throw new ParameterError("stop", "must be a string or a list of strings");
  if (!Array.isArray(stopTokens)) throw new ParameterError("stopTokens", "must be a list of token ids");
  for (const token of stopTokens)
    if (!Number.isSafeInteger(token) || token < 0)
      throw new ParameterError("stopTokens", `${String(token)} is not a token id`);
  return { strings: [...new Set(strings.map(usable))], tokens: new Set(stopTokens) };
}

function usable(text: unknown): string {
  if (typeof text !== "string") throw new ParameterError("stop", `${String(text)} is not a string`);
  if (text === "") throw new ParameterError("stop", "an empty string would stop at once; leave it out");
  if (/\p{Surrogate}/u.test(text))
    throw new ParameterError("stop", `${JSON.stringify(text)} holds half a character (a lone surrogate)`);
  return text;
}

/**
 * Finds stop strings in a stream of text.
 *
 * The stop string that is complete first wins; of several that end at the same character, the longest.
 * So the result does not depend on how the text is cut into pieces. Text that may be the beginning of a
 * stop string is held back until it is decided; so is half a character.
 *
 * Every stop string is matched by Knuth, Morris and Pratt's automaton ("Fast pattern matching in
 * strings", SIAM J. Comput. 6, 1977): a step for each character, and its state is how much to hold.
 */
export class StopMatcher {
  readonly #patterns: { readonly text: string; readonly fallback: Int32Array; matched: number }[];
  #held = "";
  #stopped: string | undefined;

  /** @param strings as checked by `stopsFrom`: not empty */
  constructor(strings: readonly string[]) {
    this.#patterns = strings.map((text) => ({ text, fallback: fallbacks(text), matched: 0 }));
  }

  /** Takes the next piece. `emit` is text that is final; `stopped` is the stop string found, ever since. */
  push(piece: string): { emit: string; stopped?: string } {
    if (this.#stopped !== undefined) return { emit: "", stopped: this.#stopped };
    const text = this.#held + piece;
    for (let at = this.#held.length; at < text.length; at++) {
      const found = this.#advance(text.charCodeAt(at));
      if (found === undefined) continue;
      this.#stopped = found;
      this.#held = "";
      return { emit: text.slice(0, at + 1 - found.length), stopped: found };
    }
    let hold = isHighSurrogate(text.charCodeAt(text.length - 1)) ? 1 : 0;
    for (const pattern of this.#patterns) hold = Math.max(hold, pattern.matched);
    this.#held = text.slice(text.length - hold);
    return { emit: text.slice(0, text.length - hold) };
  }

  /** The stream has ended: what was held back is text after all. Empty after a stop. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    for (const pattern of this.#patterns) pattern.matched = 0;
    return rest;
  }

  /** Feeds one UTF-16 unit to every pattern; gives the longest that it completes. */
  #advance(unit: number): string | undefined {
    let found: string | undefined;
    for (const pattern of this.#patterns) {
      const { text, fallback } = pattern;
      let matched = pattern.matched;
      while (matched > 0 && text.charCodeAt(matched) !== unit) matched = fallback[matched - 1]!;
      if (text.charCodeAt(matched) === unit) matched++;
      pattern.matched = matched;
      if (matched === text.length && matched > (found?.length ?? 0)) found = text;
    }
    return found;
  }
}

/** For each prefix, the length of its longest proper prefix that is also its suffix. */
function fallbacks(text: string): Int32Array {
  const table = new Int32Array(text.length);
  for (let i = 1, matched = 0; i < text.length; i++) {
    while (matched > 0 && text.charCodeAt(i) !== text.charCodeAt(matched)) matched = table[matched - 1]!;
    if (text.charCodeAt(i) === text.charCodeAt(matched)) matched++;
    table[i] = matched;
  }
  return table;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
