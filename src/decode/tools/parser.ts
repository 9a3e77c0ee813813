/**
 * Finds calls of tools in a text as it is written: what is text and what is a call, name first and arguments piece
 * by piece. What looks like a call and is none is text after all; nothing is lost. Knows dialects, not tokens.
 */
import { Cursor, overlap, type Reading } from "./cursor.ts";
import type { CallSink, ToolDefinition, ToolDialect } from "./dialect.ts";

export type ToolEvent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "call"; readonly index: number; readonly name: string; readonly id?: string }
  | { readonly kind: "arguments"; readonly index: number; readonly text: string };

export class ToolParser {
  readonly #dialect: ToolDialect;
  readonly #cursor = new Cursor();
  readonly #sink: CallSink;
  readonly #reading: Reading<void>;
  #events: ToolEvent[] = [];
  /** Calls told so far, the current one included. */
  #count = 0;
  /** Whether any text but white space was there. */
  #wrote = false;

  /** @param single whether only the first call is told; further ones are neither calls nor text */
  constructor(dialect: ToolDialect, tools: readonly ToolDefinition[], single = false) {
    this.#dialect = dialect;
    let told = true;
    const byName = new Map(tools.map((tool) => [tool.name, tool]));
    this.#sink = {
      find: (name) => byName.get(name),
      begin: (name, id) => {
        told = !single || this.#count === 0;
        if (!told) return;
        this.#events.push({ kind: "call", index: this.#count++, name, ...(id === undefined ? {} : { id }) });
      },
      arguments: (text) => {
        if (!told) return;
        this.#events.push({ kind: "arguments", index: this.#count - 1, text });
      },
    };
    this.#reading = this.#all();
  }

  get calls(): number {
    return this.#count;
  }

  push(text: string): ToolEvent[] {
    this.#cursor.push(text);
    return this.#go();
  }

  /** The text has ended: what was held back was text. */
  flush(): ToolEvent[] {
    this.#cursor.end();
    return this.#go();
  }

  #go(): ToolEvent[] {
    this.#reading.next();
    const events = this.#events;
    this.#events = [];
    return events;
  }

  *#all(): Reading<void> {
    const { bare, read } = this.#dialect;
    const cursor = this.#cursor;
    // Without a mark only the whole answer can be a call.
    if (bare) {
      yield* cursor.space();
      const from = cursor.at;
      if (cursor.rest.startsWith("{") && !(yield* read(cursor, this.#sink))) cursor.at = from;
      if (this.#count === 0) cursor.at = 0;
    }
    for (;;) {
      const mark = yield* this.#text();
      if (mark === undefined) return;
      const from = cursor.at;
      cursor.at += mark.length;
      if (yield* read(cursor, this.#sink)) cursor.commit();
      else {
        cursor.at = from;
        this.#emit(cursor.skip(mark.length));
      }
    }
  }

  /** Gives out text up to a mark that opens calls, and leaves the mark; undefined where the text ends. */
  *#text(): Reading<string | undefined> {
    const cursor = this.#cursor;
    const { opens } = this.#dialect;
    for (;;) {
      cursor.commit();
      const { rest } = cursor;
      const found = opens
        .map((mark) => ({ mark, at: rest.indexOf(mark) }))
        .filter(({ at }) => at >= 0)
        .sort((a, b) => a.at - b.at)[0];
      if (found) {
        const before = rest.slice(0, found.at);
        this.#emit(before.trimEnd());
        // What is no call after all begins with its white space.
        cursor.at = before.trimEnd().length;
        return rest.slice(cursor.at, found.at + found.mark.length);
      }
      if (cursor.ended) {
        this.#emit(cursor.skip(rest.length));
        return undefined;
      }
      // White space, and what may be the beginning of a mark, wait.
      const part = Math.max(0, ...opens.map((mark) => overlap(rest, mark)));
      this.#emit(cursor.skip(rest.slice(0, rest.length - part).trimEnd().length));
      yield;
    }
  }

  #emit(text: string): void {
    // White space around calls is theirs.
    if (text === "" || (text.trim() === "" && (this.#count > 0 || (!this.#wrote && !this.#cursor.ended))))
      return;
    this.#wrote = true;
    this.#events.push({ kind: "text", text });
  }
}
