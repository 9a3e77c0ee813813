/**
 * Reads the keywords of one schema: those that are claims on the value itself become facts (read-facts.ts), those that
 * combine schemas become alternatives. Refuses keywords that are not supported by name and place.
 */
import { type Claim, refusal, type Schema, type SchemaDocument, type SchemaObject } from "./document.ts";
import type { Facts } from "./facts.ts";
import { ANNOTATIONS, REFUSED } from "./keywords.ts";
import { FactReader, pass, type StringPatterns } from "./read-facts.ts";
import { SchemaKeywords } from "./schema-keywords.ts";

export interface ReadOptions {
  readonly unknownKeywords: "refuse" | "ignore";
}

/** One of these lists of claims must hold. */
export type Alternatives = readonly (readonly Claim[])[];

export interface Reading {
  readonly facts: Facts;
  readonly alternatives: readonly Alternatives[];
  /** Branches of which exactly one must hold. */
  readonly exclusive: readonly (readonly Schema[])[];
}

const fail = (schema: Schema): Claim => ({ schema, holds: false });

export class SchemaReader {
  readonly #document: SchemaDocument;
  readonly #facts: FactReader;
  readonly #options: ReadOptions;

  constructor(document: SchemaDocument, strings: StringPatterns, options: ReadOptions) {
    this.#document = document;
    this.#facts = new FactReader(document, strings);
    this.#options = options;
  }

  read(schema: Schema, start: Facts): Reading {
    const value = schema.value as SchemaObject;
    const own = new SchemaKeywords(this.#document, schema);
    const facts = this.#facts.read(own, start);
    const alternatives: Alternatives[] = [];
    const exclusive: Schema[][] = [];
    for (const key of Object.keys(value)) {
      switch (key) {
        case "$ref":
          alternatives.push([[pass(this.#document.resolve(schema, value.$ref))]]);
          break;
        case "allOf":
          alternatives.push([own.schemas("allOf").map(pass)]);
          break;
        case "anyOf":
          alternatives.push(own.schemas("anyOf").map((branch) => [pass(branch)]));
          break;
        case "oneOf":
          exclusive.push(own.schemas("oneOf"));
          break;
        case "not":
          alternatives.push([[fail(own.schema("not")!)]]);
          break;
        case "if": {
          const [test, then, otherwise] = [own.schema("if")!, own.schema("then"), own.schema("else")];
          if (then === undefined && otherwise === undefined) break;
          alternatives.push([
            [pass(test), ...(then ? [pass(then)] : [])],
            [fail(test), ...(otherwise ? [pass(otherwise)] : [])],
          ]);
          break;
        }
        case "dependentRequired":
        case "dependentSchemas":
        case "dependencies":
          for (const [name, dependent] of Object.entries(own.object(key)))
            alternatives.push(this.#dependent(schema, key, name, dependent));
          break;
        default:
          this.#other(own, key);
      }
    }
    return { facts, alternatives, exclusive };
  }

  #other(own: SchemaKeywords, key: string): void {
    if (own.read.has(key) || ANNOTATIONS.has(key) || key.startsWith("x-") || key === "then" || key === "else")
      return;
    const value = own.value(key);
    if (key === "uniqueItems" && value === false) return;
    if (
      key === "uniqueItems" &&
      typeof own.value("maxItems") === "number" &&
      (own.value("maxItems") as number) <= 1
    )
      return;
    if ((key === "unevaluatedProperties" || key === "unevaluatedItems") && value === true) return;
    if (key === "minContains" && value === 1) return;
    const reason = Object.hasOwn(REFUSED, key) ? REFUSED[key]! : undefined;
    if (reason === undefined && this.#options.unknownKeywords === "ignore") return;
    throw refusal(
      `${own.place.pointer}/${key}`,
      reason === undefined
        ? `the keyword "${key}" is not known; leave it out, or have unknown keywords ignored`
        : `the keyword "${key}" ${reason.startsWith("an ") ? `is not supported: ${reason}` : reason}`,
    );
  }

  #dependent(schema: Schema, key: string, name: string, dependent: unknown): Alternatives {
    const place = (value: SchemaObject, what: string): Schema =>
      this.#document.child(schema, value, key, name, `~${what}`);
    const absent = pass(place({ properties: { [name]: false } }, "absent"));
    if (Array.isArray(dependent))
      return [[absent], [pass(place({ required: [name, ...dependent] }, "present"))]];
    return [
      [absent],
      [
        pass(place({ required: [name] }, "present")),
        pass(this.#document.child(schema, dependent, key, name)),
      ],
    ];
  }
}
