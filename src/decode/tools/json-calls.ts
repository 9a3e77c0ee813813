/**
 * Calls as objects of JSON: in `<tool_call>` marks (Hermes, Qwen), bare (Llama 3 and many others), and in Mistral's
 * list. The name comes first and the arguments are given out as they come; another order is read once it is complete.
 */
import type { Grammar } from "../grammar/index.ts";
import type { Cursor, Reading } from "./cursor.ts";
import { argumentsGrammar, type CallSink, callsGrammar, DEFAULTS, type ToolDialect } from "./dialect.ts";

const ARGUMENTS = ["arguments", "parameters"];
/** Keys that calls have besides. */
const OTHERS = ["id", "type", "index", "function"];

function* jsonCall(cursor: Cursor, sink: CallSink): Reading<boolean> {
  yield* cursor.space();
  const from = cursor.at;
  if (!(yield* cursor.literal("{"))) return false;
  yield* cursor.space();
  const first = yield* cursor.string();
  if (first === "name") {
    const begun = yield* nameFirst(cursor, sink);
    if (begun) yield* objectEnd(cursor);
    if (begun !== undefined) return begun;
  } else if (first === undefined || ![...ARGUMENTS, ...OTHERS].includes(first)) return false;
  cursor.at = from;
  return yield* wholeCall(cursor, sink);
}

/** Undefined where another key than the arguments follows the name, or these are JSON within a string. */
function* nameFirst(cursor: Cursor, sink: CallSink): Reading<boolean | undefined> {
  if (!(yield* colon(cursor))) return false;
  const name = yield* cursor.string();
  if (name === undefined || sink.find(name) === undefined) return false;
  yield* cursor.space();
  if (!(yield* cursor.literal(","))) return undefined;
  yield* cursor.space();
  const key = yield* cursor.string();
  if (key === undefined || !ARGUMENTS.includes(key)) return undefined;
  if (!(yield* colon(cursor)) || cursor.rest === "") return false;
  if (cursor.rest.startsWith('"')) return undefined;
  sink.begin(name);
  yield* cursor.json((text) => sink.arguments(text));
  return true;
}

function* colon(cursor: Cursor): Reading<boolean> {
  yield* cursor.space();
  const found = yield* cursor.literal(":");
  yield* cursor.space();
  return found;
}

/** What an object has behind the arguments. */
function* objectEnd(cursor: Cursor): Reading<void> {
  for (;;) {
    yield* cursor.space();
    if (!(yield* cursor.literal(","))) break;
    yield* cursor.space();
    if ((yield* cursor.string()) === undefined || !(yield* colon(cursor))) break;
    yield* cursor.json(() => {});
  }
  yield* cursor.literal("}");
}

function* wholeCall(cursor: Cursor, sink: CallSink): Reading<boolean> {
  let text = "";
  if (!(yield* cursor.json((piece) => (text += piece)))) return false;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return false;
  }
  const { id } = value;
  const made = (typeof value.function === "object" ? value.function : value) as Record<
    string,
    unknown
  > | null;
  const given = made?.arguments ?? made?.parameters ?? {};
  if (typeof made?.name !== "string" || sink.find(made.name) === undefined) return false;
  sink.begin(made.name, typeof id === "string" ? id : undefined);
  sink.arguments(typeof given === "string" ? given : JSON.stringify(given));
  return true;
}

/** An object of JSON that is one call. */
const objectGrammar = (name: string, parameters: unknown, field: string): readonly Grammar[] => [
  { text: `{"name": ${JSON.stringify(name)}, "${field}": ` },
  argumentsGrammar(parameters),
  { text: "}" },
];

export const hermes: ToolDialect = {
  ...DEFAULTS,
  name: "hermes",
  opens: ["<tool_call>"],
  marks: ["<tool_call>", "</tool_call>"],
  *read(cursor, sink) {
    if (!(yield* jsonCall(cursor, sink))) return false;
    yield* cursor.space();
    yield* cursor.literal("</tool_call>");
    return true;
  },
  grammar: (tools, parallel, mark) =>
    callsGrammar(
      tools.map(({ name, parameters }) => ({
        sequence: [
          mark("<tool_call>"),
          { text: "\n" },
          ...objectGrammar(name, parameters, "arguments"),
          { text: "\n" },
          mark("</tool_call>"),
        ],
      })),
      parallel ? { text: "\n" } : undefined,
    ),
};

/** An answer that is one object. */
const bare = (name: string, field: string): ToolDialect => ({
  ...DEFAULTS,
  name,
  bare: true,
  opens: ["<|python_tag|>"],
  marks: ["<|python_tag|>"],
  *read(cursor, sink) {
    if (!(yield* jsonCall(cursor, sink))) return false;
    // Some write several, with a semicolon between them.
    for (;;) {
      const from = cursor.at;
      yield* cursor.space();
      yield* cursor.literal(";");
      if (yield* jsonCall(cursor, sink)) continue;
      cursor.at = from;
      return true;
    }
  },
  grammar: (tools) =>
    callsGrammar(
      tools.map(({ name, parameters }) => ({ sequence: objectGrammar(name, parameters, field) })),
      undefined,
    ),
});

export const llama3 = bare("llama3", "parameters");
export const plainJson = bare("json", "arguments");

/** Mistral writes a list of objects, or from 2025 on a mark, the name, a mark and the arguments for each call. */
export const mistral = (template: string): ToolDialect => ({
  ...DEFAULTS,
  name: "mistral",
  opens: [TOOL_CALLS],
  marks: [TOOL_CALLS, CALL_ID, ARGS],
  shortIds: true,
  *read(cursor, sink) {
    yield* cursor.space();
    if (cursor.rest.startsWith("{")) return yield* jsonCall(cursor, sink);
    if (yield* cursor.literal("[")) {
      let count = 0;
      do {
        if (!(yield* jsonCall(cursor, sink))) break;
        count++;
        yield* cursor.space();
      } while (yield* cursor.literal(","));
      yield* cursor.space();
      yield* cursor.literal("]");
      return count > 0;
    }
    const name = yield* cursor.while(/[\w.-]/);
    if (sink.find(name) === undefined) return false;
    const id = (yield* cursor.literal(CALL_ID)) ? yield* cursor.while(/[a-zA-Z0-9]/) : undefined;
    yield* cursor.literal(ARGS);
    yield* cursor.space();
    if (!cursor.rest.startsWith("{")) return false;
    sink.begin(name, id);
    yield* cursor.json((text) => sink.arguments(text));
    return true;
  },
  grammar(tools, parallel, mark) {
    if (template.includes(ARGS)) {
      const id = template.includes(CALL_ID) ? [mark(CALL_ID), { regex: "[a-zA-Z0-9]{9}" }] : [];
      const calls = tools.map(
        ({ name, parameters }): Grammar => ({
          sequence: [
            ...[mark(TOOL_CALLS), { text: name }, ...id],
            ...[mark(ARGS), argumentsGrammar(parameters)],
          ],
        }),
      );
      return callsGrammar(calls, parallel ? { text: "" } : undefined);
    }
    const calls = tools.map(
      ({ name, parameters }): Grammar => ({ sequence: objectGrammar(name, parameters, "arguments") }),
    );
    const list = callsGrammar(calls, parallel ? { text: ", " } : undefined);
    const open = template.includes(`${TOOL_CALLS} [`) ? " [" : "[";
    return { sequence: [mark(TOOL_CALLS), { text: open }, list, { text: "]" }] };
  },
});

const TOOL_CALLS = "[TOOL_CALLS]";
const CALL_ID = "[CALL_ID]";
const ARGS = "[ARGS]";
