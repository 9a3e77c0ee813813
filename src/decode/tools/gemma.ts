/**
 * Calls of Gemma's own notation, `call:name{key:value,...}`: keys are bare, strings stand between marks of their own.
 * FunctionGemma and Gemma 4 differ in the marks. The reader turns it into JSON as it comes.
 */
import type { Cursor, Emit, Reading } from "./cursor.ts";
import { callsGrammar, DEFAULTS, type Mark, type ToolDialect, upTo } from "./dialect.ts";
import { type Notation, valueGrammar } from "./notation.ts";

interface Marks {
  readonly open: string;
  readonly close: string;
  readonly quote: string;
}

export function gemma(name: string, { open, close, quote }: Marks): ToolDialect {
  return {
    ...DEFAULTS,
    name,
    opens: [open],
    marks: [open, close, quote],
    *read(cursor, sink) {
      yield* cursor.space();
      if (!(yield* cursor.literal("call:"))) return false;
      const called = yield* cursor.while(/[\w.-]/);
      if (sink.find(called) === undefined) return false;
      if (cursor.rest === "" || cursor.rest[0] !== "{") return false;
      sink.begin(called);
      yield* value(cursor, quote, (text) => sink.arguments(text));
      yield* cursor.space();
      yield* cursor.literal(close);
      return true;
    },
    grammar: (tools, parallel, mark) =>
      callsGrammar(
        tools.map((tool) => ({
          sequence: [
            ...[mark(open), { text: `call:${tool.name}` }],
            valueGrammar(notation(mark, quote), tool.parameters),
            mark(close),
          ],
        })),
        parallel ? { text: "" } : undefined,
      ),
  };
}

/** One value, as JSON. */
function* value(cursor: Cursor, quote: string, emit: Emit): Reading<void> {
  yield* cursor.space();
  if (yield* cursor.literal(quote)) {
    emit('"');
    yield* cursor.until(quote, (text) => emit(JSON.stringify(text).slice(1, -1)));
    emit('"');
    return;
  }
  const open = yield* cursor.oneOf(["{", "["]);
  if (open === undefined) {
    const word = (yield* cursor.while(/[^,}\]]/)).trim();
    emit(
      /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/.test(word) ? word : JSON.stringify(word),
    );
    return;
  }
  const shut = open === "{" ? "}" : "]";
  emit(open);
  for (let first = true; ; first = false) {
    yield* cursor.space();
    if ((yield* cursor.literal(shut)) || cursor.rest === "") break;
    if (!first) {
      if (!(yield* cursor.literal(","))) break;
      yield* cursor.space();
      // A comma behind the last one is none of JSON's.
      if ((yield* cursor.literal(shut)) || cursor.rest === "") break;
    }
    let key = "";
    if (open === "{") {
      if (yield* cursor.literal(quote)) yield* cursor.until(quote, (text) => (key += text));
      else key = (yield* cursor.while(/[^:,{}[\]]/)).trim();
      if (!(yield* cursor.literal(":"))) break;
    }
    if (!first) emit(",");
    if (open === "{") emit(`${JSON.stringify(key)}:`);
    yield* value(cursor, quote, emit);
  }
  emit(shut);
}

const notation = (mark: Mark, quote: string): Notation => {
  const quoted = mark(quote);
  return {
    name: "Gemma",
    text: { sequence: [quoted, upTo(quote, mark)] },
    constant: (text) => ({ sequence: [quoted, { text }, quoted] }),
    // A key is bare: it cannot have what ends one.
    key: (key) => (/^[^:,{}[\]\s]+$/.test(key) ? { text: `${key}:` } : undefined),
  };
};
