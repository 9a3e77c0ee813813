/**
 * Grammars of values by a JSON Schema in notations that are not JSON. They know the plain part of JSON Schema: types,
 * properties, required, items, counts, enum, const, anyOf; numbers with all their bounds. What a notation cannot be
 * held to is refused by name.
 */
import { ParameterError } from "../../base/errors.ts";
import type { Grammar } from "../grammar/index.ts";

export interface Notation {
  readonly name: string;
  /** Any string, and a certain one. */
  readonly text: Grammar;
  constant(text: string): Grammar;
  /** A key with what separates it from its value; undefined where it cannot be written. */
  key(key: string): Grammar | undefined;
}

type Schema = Readonly<Record<string, unknown>>;

/** Keywords that have no effect on what is valid. */
const ANNOTATIONS = [
  ...["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema"],
  ...["$comment", "$id", "$defs", "definitions"],
];
const SHARED = ["type", "enum", "const", "anyOf", "nullable", ...ANNOTATIONS];
const OWN: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
  string: [],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
};

export function refusedKeyword(notation: string, pointer: string, keyword: string): ParameterError {
  return new ParameterError(
    "grammar",
    `${pointer}/${keyword}: calls in the form of ${notation} cannot be held to the keyword "${keyword}"; leave it out, or let the model decide whether to call`,
  );
}

export const valueGrammar = (notation: Notation, schema: unknown, pointer = ""): Grammar =>
  typed(notation, asSchema(notation, schema, pointer), pointer);

export function asSchema(notation: { readonly name: string }, schema: unknown, pointer: string): Schema {
  if (schema === true) return {};
  if (typeof schema !== "object" || schema === null || Array.isArray(schema))
    throw new ParameterError(
      "grammar",
      `${pointer}: calls in the form of ${notation.name} need a schema here`,
    );
  return schema as Schema;
}

function listOf(schema: Schema, keyword: string, pointer: string): readonly unknown[] | undefined {
  const { [keyword]: list } = schema;
  if (list === undefined || Array.isArray(list)) return list;
  throw new ParameterError("grammar", `${pointer}/${keyword}: must be a list`);
}

/** Types that a schema allows, `integer` among the numbers. */
function typesOf(schema: Schema): readonly string[] {
  const { type } = schema;
  const types =
    type === undefined ? guessed(schema) : Array.isArray(type) ? (type as string[]) : [String(type)];
  return schema.nullable === true ? [...types, "null"] : types;
}

function guessed(schema: Schema): readonly string[] {
  if ("properties" in schema) return ["object"];
  if ("items" in schema) return ["array"];
  return ["string", "number", "boolean", "null"];
}

function typed(notation: Notation, schema: Schema, pointer: string): Grammar {
  if (Array.isArray(schema.anyOf)) {
    const other = Object.keys(schema).find(
      (keyword) => keyword !== "anyOf" && !ANNOTATIONS.includes(keyword),
    );
    if (other !== undefined) throw refusedKeyword(notation.name, pointer, other);
    return { choice: schema.anyOf.map((one, i) => valueGrammar(notation, one, `${pointer}/anyOf/${i}`)) };
  }
  const types = typesOf(schema);
  const known = [...SHARED, ...types.flatMap((type) => OWN[type === "integer" ? "number" : type] ?? [])];
  const unknown = Object.keys(schema).find((keyword) => !known.includes(keyword));
  if (unknown !== undefined) throw refusedKeyword(notation.name, pointer, unknown);
  const values = "const" in schema ? [schema.const] : listOf(schema, "enum", pointer);
  if (values !== undefined)
    return {
      choice: values.map((value) => {
        if (typeof value === "string") return notation.constant(value);
        if (typeof value === "object" && value !== null)
          throw refusedKeyword(notation.name, pointer, "const" in schema ? "const" : "enum");
        return { text: String(value) };
      }),
    };
  return { choice: types.map((type) => one(notation, schema, type, pointer)) };
}

function one(notation: Notation, schema: Schema, type: string, pointer: string): Grammar {
  switch (type) {
    case "string":
      return notation.text;
    case "object":
      return objectGrammar(notation, schema, pointer);
    case "array":
      return arrayGrammar(notation, schema, pointer);
    case "boolean":
    case "null":
      return { jsonSchema: { type } };
    case "integer":
    case "number": {
      const bounds = Object.fromEntries(Object.entries(schema).filter(([k]) => OWN.number!.includes(k)));
      return { jsonSchema: { type, ...bounds } };
    }
    default:
      throw new ParameterError("grammar", `${pointer}/type: "${type}" is no type`);
  }
}

function arrayGrammar(
  notation: Notation,
  { items = true, minItems = 0, maxItems }: Schema,
  pointer: string,
): Grammar {
  const item = valueGrammar(notation, items, `${pointer}/items`);
  const [min, max] = [Number(minItems), Number(maxItems ?? Number.POSITIVE_INFINITY)];
  const more = (least: number): Grammar => ({
    sequence: [
      ...[{ text: "[" }, item],
      {
        repeat: { sequence: [{ text: "," }, item] },
        min: least - 1,
        ...(max === Number.POSITIVE_INFINITY ? {} : { max: max - 1 }),
      },
      { text: "]" },
    ],
  });
  if (max === 0) return { text: "[]" };
  return min > 0 ? more(min) : { choice: [{ text: "[]" }, more(1)] };
}

/** Each property with its place, in the order of the schema: values as the schema has them, and no others. */
export function membersOf(
  schema: Schema,
  pointer = "",
): { readonly key: string; readonly schema: unknown; readonly needed: boolean }[] {
  const required = (listOf(schema, "required", pointer) ?? []) as readonly string[];
  const properties = (schema.properties ?? {}) as Schema;
  const all = [...Object.keys(properties), ...required.filter((key) => !Object.hasOwn(properties, key))];
  return all.map((key) => ({
    key,
    schema: Object.hasOwn(properties, key) ? properties[key] : true,
    needed: required.includes(key),
  }));
}

function objectGrammar(notation: Notation, schema: Schema, pointer: string): Grammar {
  const members = membersOf(schema, pointer).map(({ key, schema: own, needed }) => {
    const name = notation.key(key);
    if (name === undefined) throw refusedKeyword(notation.name, pointer, "properties");
    return {
      needed,
      grammar: { sequence: [name, valueGrammar(notation, own, `${pointer}/properties/${key}`)] },
    };
  });
  const nothing: Grammar = { text: "" };
  /** All from this one on, each behind a comma. */
  const behind = (from: number): Grammar[] =>
    members.slice(from).map(({ needed, grammar }) => {
      const next = { sequence: [{ text: "," }, grammar] };
      return needed ? next : { choice: [next, nothing] };
    });
  const first = members.findIndex(({ needed }) => needed);
  const starts = members.slice(0, first < 0 ? members.length : first + 1);
  const choices: Grammar[] = starts.map(({ grammar }, i) => ({ sequence: [grammar, ...behind(i + 1)] }));
  if (first < 0) choices.push(nothing);
  return { sequence: [{ text: "{" }, { choice: choices }, { text: "}" }] };
}
