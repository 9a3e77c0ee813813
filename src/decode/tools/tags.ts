/**
 * Calls whose parameters stand in tags, as Qwen3-Coder and Qwen3.5 write them:
 * `<tool_call>`, `<function=name>`, and for each parameter `<parameter=key>`, a line with its value, `</parameter>`. Strings
 * stand as they are, other values as JSON: only the schema tells them apart.
 */
import type { Grammar } from "../grammar/index.ts";
import {
  argumentsGrammar,
  callsGrammar,
  DEFAULTS,
  type ToolDefinition,
  type ToolDialect,
  upTo,
} from "./dialect.ts";
import { asSchema, membersOf, refusedKeyword } from "./notation.ts";

const NAME = "Qwen3-Coder";
const CLOSE = "\n</parameter>";

export const tags: ToolDialect = {
  ...DEFAULTS,
  name: "qwen3-coder",
  opens: ["<tool_call>"],
  marks: ["<tool_call>", "</tool_call>"],
  *read(cursor, sink) {
    yield* cursor.space();
    if (!(yield* cursor.literal("<function="))) return false;
    const name = yield* cursor.while(/[^>\s]/);
    const tool = sink.find(name);
    if (tool === undefined || !(yield* cursor.literal(">"))) return false;
    sink.begin(name);
    sink.arguments("{");
    for (let first = true; ; first = false) {
      yield* cursor.space();
      if (!(yield* cursor.literal("<parameter="))) break;
      const key = yield* cursor.while(/[^>\n]/);
      yield* cursor.literal(">");
      yield* cursor.literal("\n");
      sink.arguments(`${first ? "" : ", "}${JSON.stringify(key)}: `);
      if (isText(tool, key)) {
        sink.arguments('"');
        yield* cursor.until(CLOSE, (text) => sink.arguments(JSON.stringify(text).slice(1, -1)));
        sink.arguments('"');
      } else {
        let text = "";
        yield* cursor.until(CLOSE, (piece) => (text += piece));
        sink.arguments(isJson(text) ? text.trim() : JSON.stringify(text));
      }
    }
    sink.arguments("}");
    yield* cursor.literal("</function>");
    yield* cursor.space();
    yield* cursor.literal("</tool_call>");
    return true;
  },
  grammar: (tools, parallel, mark) =>
    callsGrammar(
      tools.map((tool) => ({
        sequence: [
          mark("<tool_call>"),
          { text: `\n<function=${tool.name}>\n` },
          ...parameters(tool),
          { text: "</function>\n" },
          mark("</tool_call>"),
        ],
      })),
      parallel ? { text: "\n" } : undefined,
    ),
};

const schemaOf = ({ parameters }: ToolDefinition) => asSchema({ name: NAME }, parameters, "");

function isText(tool: ToolDefinition, key: string): boolean {
  const found = membersOf(schemaOf(tool)).find((member) => member.key === key);
  if (found === undefined || typeof found.schema !== "object" || found.schema === null) return false;
  const { type } = found.schema as { type?: unknown };
  return type === "string";
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parameters(tool: ToolDefinition): Grammar[] {
  const schema = schemaOf(tool);
  for (const keyword of Object.keys(schema))
    if (["anyOf", "oneOf", "allOf", "not", "if", "$ref", "patternProperties"].includes(keyword))
      throw refusedKeyword(NAME, "", keyword);
  return membersOf(schema).map(({ key, schema: own, needed }) => {
    const whole: Grammar = {
      sequence: [
        { text: `<parameter=${key}>\n` },
        ...(isText(tool, key)
          ? textGrammar(own, key)
          : [argumentsGrammar(withDefinitions(own, schema)), { text: CLOSE }]),
        { text: "\n" },
      ],
    };
    return needed ? whole : { choice: [whole, { text: "" }] };
  });
}

/** A string and what ends it. It stands without quotes: only what it is as a whole can be asked for. */
function textGrammar(schema: unknown, key: string): Grammar[] {
  const own = asSchema({ name: NAME }, schema, `/properties/${key}`);
  const values = "const" in own ? [own.const] : own.enum;
  if (Array.isArray(values))
    return [{ choice: values.map((value) => ({ text: String(value) })) }, { text: CLOSE }];
  const bound = [
    "pattern",
    "format",
    "minLength",
    "maxLength",
    "not",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
  ].find((keyword) => keyword in own);
  if (bound !== undefined) throw refusedKeyword(NAME, `/properties/${key}`, bound);
  return [upTo(CLOSE, (text) => ({ text }))];
}

/** A part of a schema can point to definitions of the whole. */
const withDefinitions = (own: unknown, { $defs, definitions }: Readonly<Record<string, unknown>>): unknown =>
  typeof own === "object" && own !== null
    ? { ...own, ...($defs ? { $defs } : {}), ...(definitions ? { definitions } : {}) }
    : own;
