/**
 * A place in a text that is still being written. What reads at it is a generator, which yields whenever it cannot go on
 * without more text: so readers are written as if all of the text were there. Knows JSON's outline, not calls.
 */

/** Yields to wait for more text, or for the end. */
export type Reading<T> = Generator<undefined, T, undefined>;
export type Emit = (text: string) => void;

export class Cursor {
  /** What was not given up yet, and the place in it. */
  #text = "";
  at = 0;
  #ended = false;

  push(text: string): void {
    this.#text += text;
  }

  end(): void {
    this.#ended = true;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get rest(): string {
    return this.#text.slice(this.at);
  }

  /** Nobody goes back before this place any more. */
  commit(): void {
    this.#text = this.rest;
    this.at = 0;
  }

  skip(length: number): string {
    const taken = this.#text.slice(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  /** Whether the text goes on with this; taken if so. */
  *literal(wanted: string): Reading<boolean> {
    for (;;) {
      const { rest } = this;
      if (rest.startsWith(wanted)) {
        this.at += wanted.length;
        return true;
      }
      if (this.#ended || !wanted.startsWith(rest)) return false;
      yield;
    }
  }

  /** One of these, the first that fits. */
  *oneOf(wanted: readonly string[]): Reading<string | undefined> {
    for (const text of wanted) if (yield* this.literal(text)) return text;
    return undefined;
  }

  /** Passes over white space, to the first character behind it. */
  *space(): Reading<void> {
    for (;;) {
      const { rest } = this;
      this.at += rest.length - rest.trimStart().length;
      if (this.rest !== "" || this.#ended) return;
      yield;
    }
  }

  /** Characters as long as the pattern has them, at the place of the text where they end. */
  *while(pattern: RegExp): Reading<string> {
    const from = this.at;
    for (;;) {
      while (this.at < this.#text.length && pattern.test(this.#text.charAt(this.at))) this.at++;
      if (this.at < this.#text.length || this.#ended) return this.#text.slice(from, this.at);
      yield;
    }
  }

  /** Everything before the mark, piece by piece, and the mark, which is not given out; false where it never came. */
  *until(mark: string, emit: Emit): Reading<boolean> {
    for (;;) {
      const { rest } = this;
      const found = rest.indexOf(mark);
      const length = found >= 0 ? found : this.#ended ? rest.length : rest.length - overlap(rest, mark);
      if (length > 0) emit(this.skip(length));
      if (found >= 0) this.at += mark.length;
      if (found >= 0 || this.#ended) return found >= 0;
      yield;
    }
  }

  /** A string of JSON, as its value; undefined where there is none. */
  *string(): Reading<string | undefined> {
    let text = "";
    while (this.rest === "" && !this.#ended) yield;
    if (!this.rest.startsWith('"')) return undefined;
    if (!(yield* this.json((piece) => (text += piece)))) return undefined;
    try {
      return JSON.parse(text) as string;
    } catch {
      return undefined;
    }
  }

  /** One value of JSON, piece by piece; false where it was not complete. It is followed, not checked. */
  *json(emit: Emit): Reading<boolean> {
    const value = new JsonValue();
    for (;;) {
      const taken = value.push(this.rest);
      if (taken > 0) emit(this.skip(taken));
      if (value.complete || this.#ended) return value.complete;
      yield;
    }
  }
}

/** How many characters at the end of the text may be the beginning of the mark. */
export function overlap(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--)
    if (text.endsWith(mark.slice(0, length))) return length;
  return 0;
}

/** Follows one JSON value through pieces of text. */
class JsonValue {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #begun = false;
  complete = false;

  /** How much of the text belongs to the value. */
  push(text: string): number {
    for (let i = 0; i < text.length; i++) {
      const c = text[i]!;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (c === "\\") this.#escaped = true;
        else if (c === '"') {
          this.#inString = false;
          if (this.#depth === 0) return this.#end(i + 1);
        }
      } else if (c === '"') this.#inString = this.#begun = true;
      else if (c === "{" || c === "[") {
        this.#depth++;
        this.#begun = true;
      } else if (c === "}" || c === "]") {
        // A number or a word that is the whole value ends before what follows.
        if (this.#depth === 0) return this.#end(i);
        if (--this.#depth === 0) return this.#end(i + 1);
      } else if (this.#depth === 0 && this.#begun && /[\s,<]/.test(c)) return this.#end(i);
      else if (!/\s/.test(c)) this.#begun = true;
    }
    return text.length;
  }

  #end(taken: number): number {
    this.complete = true;
    return taken;
  }
}
