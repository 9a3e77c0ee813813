/**
 * Where the pieces of rendered Markdown stand in its source, so that tokens of the source can be found in what is shown.
 * A piece that cannot be found (an entity, a line whose indent was taken away) has no place, and the next one has again.
 */
export class Places {
  readonly #source: string;
  #at: number;
  readonly #end: number;

  /** @param start of the block in the source */
  constructor(source: string, start: number, end: number) {
    this.#source = source;
    this.#at = start;
    this.#end = end;
  }

  /** Runs `inside` at the place of something written as `raw`, and goes on behind it. */
  within<T>(raw: string, inside: () => T): T {
    const start = this.#find(raw);
    if (start !== undefined) this.#at = start;
    const result = inside();
    if (start !== undefined) this.#at = start + raw.length;
    return result;
  }

  /** Where this text, as it is shown, begins in the source. */
  take(text: string): number | undefined {
    const start = this.#find(text);
    if (start !== undefined) this.#at = start + text.length;
    return start;
  }

  #find(text: string): number | undefined {
    const start = this.#source.indexOf(text, this.#at);
    return start < 0 || start + text.length > this.#end ? undefined : start;
  }
}
