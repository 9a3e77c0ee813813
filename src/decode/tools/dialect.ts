/**
 * What a form in which models write calls of tools consists of, whatever the form: how it is read, how a grammar asks
 * for it, and how its templates want calls back. Knows texts and schemas; not requests.
 */
import type { Grammar } from "../grammar/index.ts";
import type { Cursor, Reading } from "./cursor.ts";

export interface ToolDefinition {
  readonly name: string;
  /** A JSON Schema of the arguments. */
  readonly parameters: unknown;
}

/** Where a reader puts what it finds. */
export interface CallSink {
  /** The tool of this name; undefined where there is none, and then it is no call. */
  find(name: string): ToolDefinition | undefined;
  /** @param id where the model gave the call one */
  begin(name: string, id?: string): void;
  /** A piece of the arguments, as JSON. */
  arguments(text: string): void;
}

/** A mark as a grammar has it: a special token where the vocabulary has one, otherwise text. */
export type Mark = (text: string) => Grammar;

export interface ToolDialect {
  readonly name: string;
  /** What calls begin with. */
  readonly opens: readonly string[];
  /** Whether an answer that begins with a brace is a call, without any mark. */
  readonly bare: boolean;
  /** Marks that a vocabulary may have as special tokens, which no text shows unless it is asked to. */
  readonly marks: readonly string[];
  /** Reads the calls behind a mark; false where there is none after all. */
  read(cursor: Cursor, sink: CallSink): Reading<boolean>;
  /** One call, or where `parallel` any number but none, and nothing else. */
  grammar(tools: readonly ToolDefinition[], parallel: boolean, mark: Mark): Grammar;
  /** Whether templates want ids of nine letters and digits. */
  readonly shortIds: boolean;
  /** Whether templates take the arguments as a text of JSON in place of a value, and no content as null. */
  readonly argumentsAsText: boolean;
  /** What the model must be told of the tools where the template does not tell it. */
  describe?(tools: readonly unknown[]): string;
}

export const DEFAULTS = {
  bare: false,
  marks: [],
  shortIds: false,
  argumentsAsText: false,
} as const satisfies Partial<ToolDialect>;

/** Arguments by their schema, as models write JSON. */
export const argumentsGrammar = (parameters: unknown): Grammar => ({
  jsonSchema: parameters,
  whitespace: "single",
  unknownKeywords: "ignore",
});

/** One of the tools' calls, or several with something between them. */
export function callsGrammar(calls: readonly Grammar[], between: Grammar | undefined): Grammar {
  const call: Grammar = calls.length === 1 ? calls[0]! : { choice: calls };
  return between === undefined ? call : { sequence: [call, { repeat: { sequence: [between, call] } }] };
}

/** Any text up to the mark, and the mark, whose first character must stand nowhere else in it. */
export function upTo(text: string, mark: Mark): Grammar {
  const end = mark(text);
  if ("token" in end) return { sequence: [{ regex: "[\\s\\S]*" }, end] };
  const [first, ...rest] = [...text].map((c) => c.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")) as [
    string,
    ...string[],
  ];
  const begun = rest.map((_, i) => rest.slice(0, i).join(""));
  // A mark that was begun may be begun anew, or be left.
  const again = `${first}(?:(?:${begun.join("|")})${first})*`;
  const leaves = rest.map((c, i) => `${begun[i]}[^${first}${c}]`).join("|");
  return { regex: `(?:[^${first}]|${again}(?:${leaves}))*${again}${rest.join("")}` };
}
