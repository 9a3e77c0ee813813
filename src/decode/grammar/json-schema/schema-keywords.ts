/** Takes the keywords of one schema one by one, each with its type checked. Knows no meanings. */
import { isObject, refusal, type Schema, type SchemaDocument, type SchemaObject } from "./document.ts";

export class SchemaKeywords {
  readonly place: Schema;
  readonly read = new Set<string>();
  readonly #value: SchemaObject;
  readonly #document: SchemaDocument;

  constructor(document: SchemaDocument, schema: Schema) {
    this.place = schema;
    this.#value = schema.value as SchemaObject;
    this.#document = document;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#value, key);
  }

  value(key: string): unknown {
    return this.has(key) ? this.#value[key] : undefined;
  }

  take(key: string): unknown {
    this.read.add(key);
    return this.value(key);
  }

  refuse(key: string, problem: string): never {
    throw refusal(`${this.place.pointer}/${key}`, problem);
  }

  number(key: string): number | undefined {
    const value = this.take(key);
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    return this.refuse(key, "must be a number");
  }

  count(key: string): number | undefined {
    const value = this.number(key);
    if (value === undefined || (Number.isInteger(value) && value >= 0)) return value;
    return this.refuse(key, "must be a whole number from 0");
  }

  string(key: string): string | undefined {
    const value = this.take(key);
    if (value === undefined || typeof value === "string") return value;
    return this.refuse(key, "must be a string");
  }

  object(key: string): SchemaObject {
    const value = this.take(key) ?? {};
    return isObject(value) ? value : this.refuse(key, "must be an object");
  }

  schema(key: string): Schema | undefined {
    const value = this.take(key);
    return value === undefined ? undefined : this.#document.child(this.place, value, key);
  }

  schemas(key: string): Schema[] {
    const value = this.take(key);
    if (!Array.isArray(value)) return this.refuse(key, "must be a list of schemas");
    return value.map((item, i) => this.#document.child(this.place, item, key, i));
  }
}
