/** Reads the keywords of a schema that are claims on the value itself, type by type, as facts. */
import type { Expr } from "../regex/expressions.ts";
import { type Claim, refusal, type Schema, type SchemaDocument } from "./document.ts";
import {
  ARRAY,
  BOOLEAN,
  EVERY_TYPE,
  type Facts,
  FRACTION,
  INTEGER,
  NULL,
  NUMBER,
  OBJECT,
  STRING,
  sameValue,
  withLower,
  withUpper,
} from "./facts.ts";
import { INTERNAL } from "./keywords.ts";
import type { SchemaKeywords } from "./schema-keywords.ts";

/** Patterns and formats as expressions over the content of strings. */
export interface StringPatterns {
  pattern(source: string, pointer: string): Expr;
  /** Undefined for a format that is not known. */
  format(name: string): Expr | undefined;
  not(content: Expr): Expr;
}

const TYPES: Readonly<Record<string, number>> = {
  null: NULL,
  boolean: BOOLEAN,
  integer: INTEGER,
  number: NUMBER,
  string: STRING,
  array: ARRAY,
  object: OBJECT,
  any: EVERY_TYPE,
};

export const pass = (schema: Schema): Claim => ({ schema, holds: true });

export class FactReader {
  readonly #document: SchemaDocument;
  readonly #strings: StringPatterns;

  constructor(document: SchemaDocument, strings: StringPatterns) {
    this.#document = document;
    this.#strings = strings;
  }

  /** Adds what the schema claims to what is known already. */
  read(own: SchemaKeywords, start: Facts): Facts {
    const facts = this.#object(own, this.#array(own, this.#string(own, this.#number(own, start))));
    return this.#types(own, facts);
  }

  #types(own: SchemaKeywords, facts: Facts): Facts {
    let { types, values } = facts;
    const type = own.take("type");
    if (type !== undefined) {
      let allowed = 0;
      for (const name of Array.isArray(type) ? (type as unknown[]) : [type]) {
        if (typeof name !== "string" || !Object.hasOwn(TYPES, name))
          own.refuse("type", `${JSON.stringify(name)} is not a type of JSON`);
        allowed |= TYPES[name as string]!;
      }
      if (own.take("nullable") === true) allowed |= NULL;
      types &= allowed;
    } else own.take("nullable");
    if (own.take(INTERNAL.fraction) === true) types &= FRACTION;
    const list = own.take("enum");
    if (list !== undefined && !Array.isArray(list)) own.refuse("enum", "must be a list");
    const constant = own.has("const") ? [own.take("const")] : undefined;
    for (const only of [list as unknown[] | undefined, constant])
      if (only !== undefined)
        values = values === undefined ? only : values.filter((v) => only.some((o) => sameValue(v, o)));
    const excluded = own.take(INTERNAL.excluded) as unknown[] | undefined;
    return { ...facts, types, values, excluded: [...facts.excluded, ...(excluded ?? [])] };
  }

  #number(own: SchemaKeywords, start: Facts): Facts {
    let facts = start;
    const [low, high] = [own.number("minimum"), own.number("maximum")];
    const [exclusiveLow, exclusiveHigh] = [own.take("exclusiveMinimum"), own.take("exclusiveMaximum")];
    if (low !== undefined) facts = withLower(facts, { value: low, exclusive: exclusiveLow === true });
    if (high !== undefined) facts = withUpper(facts, { value: high, exclusive: exclusiveHigh === true });
    // Draft 4 has booleans beside minimum and maximum.
    if (typeof exclusiveLow !== "boolean") {
      const value = own.number("exclusiveMinimum");
      if (value !== undefined) facts = withLower(facts, { value, exclusive: true });
    }
    if (typeof exclusiveHigh !== "boolean") {
      const value = own.number("exclusiveMaximum");
      if (value !== undefined) facts = withUpper(facts, { value, exclusive: true });
    }
    for (const [key, holds] of [
      ["multipleOf", true],
      [INTERNAL.notMultiple, false],
    ] as const) {
      const of = own.number(key);
      if (of === undefined) continue;
      if (of <= 0) own.refuse(key, "must be above 0");
      facts = { ...facts, multiples: [...facts.multiples, { of, holds }] };
    }
    return facts;
  }

  #string(own: SchemaKeywords, facts: Facts): Facts {
    const patterns = [...facts.patterns];
    const pointer = (key: string): string => `${own.place.pointer}/${key}`;
    for (const [key, holds] of [
      ["pattern", true],
      [INTERNAL.notPattern, false],
    ] as const) {
      const source = own.string(key);
      if (source === undefined) continue;
      const e = this.#strings.pattern(source, pointer(key));
      patterns.push(holds ? e : this.#strings.not(e));
    }
    for (const [key, holds] of [
      ["format", true],
      [INTERNAL.notFormat, false],
    ] as const) {
      const name = own.string(key);
      if (name === undefined) continue;
      const e = this.#strings.format(name);
      if (e === undefined) {
        if (["int32", "int64", "float", "double", "byte", "binary", "password"].includes(name)) continue; // OpenAPI's describe
        throw refusal(pointer(key), `the format "${name}" is not supported`);
      }
      patterns.push(holds ? e : this.#strings.not(e));
    }
    return {
      ...facts,
      patterns,
      minLength: Math.max(facts.minLength, own.count("minLength") ?? 0),
      maxLength: Math.min(facts.maxLength, own.count("maxLength") ?? Number.POSITIVE_INFINITY),
    };
  }

  #array(own: SchemaKeywords, facts: Facts): Facts {
    const items = own.take("items");
    const older = Array.isArray(items);
    const prefix = own.has("prefixItems") ? own.schemas("prefixItems") : older ? own.schemas("items") : [];
    const restKey = older ? "additionalItems" : "items";
    const rest = own.schema(restKey);
    own.take("additionalItems"); // without effect unless items is a list
    const contains = own.schema("contains");
    const layer = { prefix: prefix.map(pass), rest: rest && pass(rest) };
    return {
      ...facts,
      minItems: Math.max(facts.minItems, own.count("minItems") ?? 0),
      maxItems: Math.min(facts.maxItems, own.count("maxItems") ?? Number.POSITIVE_INFINITY),
      arrays: prefix.length > 0 || rest !== undefined ? [...facts.arrays, layer] : facts.arrays,
      contains: contains ? [...facts.contains, pass(contains)] : facts.contains,
    };
  }

  #object(own: SchemaKeywords, facts: Facts): Facts {
    const properties = Object.entries(own.object("properties")).map(
      ([name, value]) => [name, pass(this.#document.child(own.place, value, "properties", name))] as const,
    );
    const patterns = Object.entries(own.object("patternProperties")).map(([source, value]) => {
      const schema = this.#document.child(own.place, value, "patternProperties", source);
      return { key: this.#strings.pattern(source, schema.pointer), claim: pass(schema) };
    });
    const combining = ["$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"].some((key) =>
      own.has(key),
    );
    const unevaluated = combining ? undefined : own.schema("unevaluatedProperties");
    const additional = own.schema("additionalProperties") ?? unevaluated;
    const required = own.take("required");
    if (required !== undefined && typeof required !== "boolean" && !isStrings(required))
      own.refuse("required", "must be a list of strings");
    const names = own.schema("propertyNames");
    const layer = { properties: new Map(properties), patterns, additional: additional && pass(additional) };
    const says = properties.length > 0 || patterns.length > 0 || additional !== undefined;
    return {
      ...facts,
      minProperties: Math.max(facts.minProperties, own.count("minProperties") ?? 0),
      maxProperties: Math.min(facts.maxProperties, own.count("maxProperties") ?? Number.POSITIVE_INFINITY),
      required: isStrings(required) ? new Set([...facts.required, ...required]) : facts.required,
      objects: says ? [...facts.objects, layer] : facts.objects,
      propertyNames: names ? [...facts.propertyNames, pass(names)] : facts.propertyNames,
    };
  }
}

const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
