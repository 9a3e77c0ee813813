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
      if (isText(propertyOf(tool, key))) {
        sink.arguments('"');
        yield* cursor.until(CLOSE, (text) => sink.arguments(JSON.stringify(text).slice(1, -1)));
        sink.arguments('"');
      } else {
        let text = "";
        yield* cursor.until(CLOSE, (piece) => (text += piece));
        sink.arguments(asJson(propertyOf(tool, key), text));
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

function propertyOf({ parameters }: ToolDefinition, key: string): unknown {
  const { properties } = parameters as { properties?: Readonly<Record<string, unknown>> };
  return properties && Object.hasOwn(properties, key) ? properties[key] : undefined;
}

const isText = (schema: unknown): boolean => (schema as { type?: unknown } | undefined)?.type === "string";

/** A value of a parameter that need not be a string: what is no JSON, or of no type that the schema names, is one. */
function asJson(schema: unknown, text: string): string {
  const kind = kindOfJson(text);
  if (kind === undefined) return JSON.stringify(text);
  const types = kind === "number" ? ["number", "integer"] : [kind];
  const isJson = types.some((type) => takes(schema, type)) || !takes(schema, "string");
  return isJson ? text.trim() : JSON.stringify(text);
}

/** The type of a JSON text, as schemas name it; undefined where it is no JSON. */
function kindOfJson(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  } catch {
    return undefined;
  }
}

/** Whether a schema names a type. */
function takes(schema: unknown, type: string): boolean {
  const { type: own, anyOf, oneOf } = (schema ?? {}) as Readonly<Record<string, unknown>>;
  if (own === type || (Array.isArray(own) && own.includes(type))) return true;
  return [anyOf, oneOf].some((all) => Array.isArray(all) && all.some((one) => takes(one, type)));
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
        ...(isText(own)
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
