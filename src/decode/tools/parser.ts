/**
 * Finds calls of tools in a text as it is written: what is text and what is a call, name first and arguments piece
 * by piece. What looks like a call and is none is text after all; nothing is lost. Knows dialects, not tokens.
 */
import type { ToolDialect } from "./dialect.ts";

export type ToolEvent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "call"; readonly index: number; readonly name: string }
  | { readonly kind: "arguments"; readonly index: number; readonly text: string };

const STRING = '"(?:[^"\\\\]|\\\\.)*"';

export class ToolParser {
  readonly #names: ReadonlySet<string>;
  readonly #head: RegExp;
  readonly #mark: string;
  readonly #endMark: string;
  /** What is not decided yet. */
  #held = "";
  #state: "text" | "head" | "arguments" | "tail" = "text";
  /** Calls so far, the current one included. */
  #count = 0;
  /** White space before the mark of what may be a call. */
  #gap = "";
  /** Whether any text but white space was there. */
  #wrote = false;
  readonly #json = new JsonValue();

  constructor(dialect: ToolDialect, names: Iterable<string>) {
    this.#names = new Set(names);
    this.#mark = dialect.open.trim();
    this.#endMark = dialect.close.trim();
    this.#head = new RegExp(
      `^\\s*\\{\\s*"name"\\s*:\\s*(${STRING})\\s*,\\s*"(?:arguments|parameters)"\\s*:\\s*(?=\\S)`,
    );
  }

  get calls(): number {
    return this.#count;
  }

  push(text: string): ToolEvent[] {
    this.#held += text;
    const events: ToolEvent[] = [];
    while (this.#advance(events));
    return events;
  }

  /** The text has ended: what was held back was text. */
  flush(): ToolEvent[] {
    const rest =
      this.#state === "head" ? this.#gap + this.#mark + this.#held : this.#state === "tail" ? "" : this.#held;
    this.#held = "";
    this.#state = "text";
    return rest.trim() === "" && (this.#count > 0 || rest === "") ? [] : [{ kind: "text", text: rest }];
  }

  /** One step; false when more text is needed. */
  #advance(events: ToolEvent[]): boolean {
    switch (this.#state) {
      case "text":
        return this.#mark === "" ? this.#bare(events) : this.#marked(events);
      case "head":
        return this.#readHead(events);
      case "arguments": {
        const taken = this.#json.push(this.#held);
        if (taken > 0)
          events.push({ kind: "arguments", index: this.#count - 1, text: this.#held.slice(0, taken) });
        this.#held = this.#held.slice(taken);
        if (!this.#json.complete) return false;
        this.#state = "tail";
        return true;
      }
      default:
        return this.#readTail();
    }
  }

  #emit(events: ToolEvent[], text: string): void {
    // White space around calls is theirs.
    if (text === "" || (text.trim() === "" && (this.#count > 0 || !this.#wrote))) return;
    this.#wrote = true;
    events.push({ kind: "text", text });
  }

  #marked(events: ToolEvent[]): boolean {
    const at = this.#held.indexOf(this.#mark);
    if (at >= 0) {
      const before = this.#held.slice(0, at).trimEnd();
      this.#gap = this.#held.slice(before.length, at);
      this.#emit(events, before);
      this.#held = this.#held.slice(at + this.#mark.length);
      this.#state = "head";
      return true;
    }
    // White space, and what may be the beginning of a mark, wait.
    const waiting = /\s*$/.exec(this.#held)![0].length;
    let keep = waiting;
    for (let length = Math.min(this.#mark.length - 1, this.#held.length); length > 0; length--)
      if (this.#held.endsWith(this.#mark.slice(0, length))) {
        keep = length + /\s*$/.exec(this.#held.slice(0, -length))![0].length;
        break;
      }
    this.#emit(events, this.#held.slice(0, this.#held.length - keep));
    this.#held = this.#held.slice(this.#held.length - keep);
    return false;
  }

  /** A call without marks is the whole answer. */
  #bare(events: ToolEvent[]): boolean {
    if (!this.#wrote && this.#count === 0) {
      const first = this.#held.trimStart();
      if (first === "") return false;
      if (first.startsWith("{")) {
        this.#state = "head";
        return true;
      }
    }
    this.#emit(events, this.#held);
    this.#held = "";
    return false;
  }

  #readHead(events: ToolEvent[]): boolean {
    const found = this.#head.exec(this.#held);
    if (found) {
      const name = parsedName(found[1]!);
      if (name !== undefined && this.#names.has(name)) {
        this.#held = this.#held.slice(found[0].length);
        events.push({ kind: "call", index: this.#count++, name });
        this.#json.reset();
        this.#state = "arguments";
        return true;
      }
    } else if (couldBeHead(this.#held)) return false;
    // No call after all.
    this.#wrote = true;
    events.push({ kind: "text", text: this.#gap + this.#mark + this.#held });
    this.#held = "";
    this.#state = "text";
    return false;
  }

  #readTail(): boolean {
    const end = this.#endMark;
    const rest = this.#held.trimStart();
    if (rest === "") return false;
    let after = rest.startsWith("}") ? rest.slice(1).trimStart() : rest;
    if (end !== "") {
      if (after.length < end.length && end.startsWith(after)) return false;
      if (after.startsWith(end)) after = after.slice(end.length);
    }
    this.#held = after;
    this.#state = "text";
    return true;
  }
}

function parsedName(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}

/** Whether more text could make this the beginning of a call. */
function couldBeHead(text: string): boolean {
  const parts = ["{", '"name"', ":", undefined, ",", '"arguments"', ":"];
  let rest = text.trimStart();
  for (const part of parts) {
    if (rest === "") return true;
    if (part === undefined) {
      const name = new RegExp(`^${STRING}`).exec(rest);
      if (!name) return rest.startsWith('"');
      rest = rest.slice(name[0].length);
    } else {
      const other = part === '"arguments"' ? '"parameters"' : part;
      const fitting = [part, other].find((p) => rest.startsWith(p));
      if (fitting === undefined) return part.startsWith(rest) || other.startsWith(rest);
      rest = rest.slice(fitting.length);
    }
    rest = rest.trimStart();
  }
  return true;
}

/** Follows one JSON value through pieces of text. */
class JsonValue {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #begun = false;
  complete = false;

  reset(): void {
    this.#depth = 0;
    this.#inString = this.#escaped = this.#begun = this.complete = false;
  }

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
      } else if (this.#depth === 0 && this.#begun && /[\s,]/.test(c)) return this.#end(i);
      else if (!/\s/.test(c)) this.#begun = true;
    }
    return text.length;
  }

  #end(taken: number): number {
    this.complete = true;
    return taken;
  }
}
