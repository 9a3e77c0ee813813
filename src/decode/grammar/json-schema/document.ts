/**
 * A schema document: its parts by their JSON pointers, and what a `$ref` points to. Knows JSON and references, not
 * what keywords mean.
 */
import { ParameterError } from "../../../base/errors.ts";

export type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema with the place where it stands; the place is its identity. */
export interface Schema {
  readonly value: boolean | SchemaObject;
  readonly pointer: string;
}

/** A schema that must hold, or must not. */
export interface Claim {
  readonly schema: Schema;
  readonly holds: boolean;
}

export const refusal = (pointer: string, problem: string): ParameterError =>
  new ParameterError("grammar", `the schema at ${pointer === "" ? "its root" : pointer}: ${problem}`);

export const isObject = (value: unknown): value is SchemaObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const escaped = (token: string): string => token.replaceAll("~", "~0").replaceAll("/", "~1");

export class SchemaDocument {
  readonly root: Schema;
  /** Schemas by `$anchor`, and by `$id` where one is written. */
  readonly #names = new Map<string, Schema>();
  readonly #interned = new Map<string, Schema>();

  constructor(value: unknown) {
    this.root = this.at(value, "");
    this.#collectNames(value, "", 0);
  }

  /** @throws ParameterError when this is no schema */
  at(value: unknown, pointer: string): Schema {
    const known = this.#interned.get(pointer);
    if (known !== undefined) return known;
    if (typeof value !== "boolean" && !isObject(value))
      throw refusal(pointer, "a schema must be an object, true or false");
    const schema = { value, pointer };
    this.#interned.set(pointer, schema);
    return schema;
  }

  /** A schema below another one. */
  child(parent: Schema, value: unknown, ...path: (string | number)[]): Schema {
    return this.at(value, [parent.pointer, ...path.map((step) => escaped(String(step)))].join("/"));
  }

  resolve(from: Schema, reference: unknown): Schema {
    const fail = (why: string): never => {
      throw refusal(`${from.pointer}/$ref`, why);
    };
    if (typeof reference !== "string") return fail("must be a string");
    const named = this.#names.get(reference);
    if (named !== undefined) return named;
    if (reference === "#" || reference === "") return this.root;
    if (!reference.startsWith("#/"))
      return fail(
        `${JSON.stringify(reference)} is not in this document; only its own parts can be referred to`,
      );
    let value: unknown = this.root.value;
    for (const step of reference.slice(2).split("/")) {
      const key = decoded(step).replaceAll("~1", "/").replaceAll("~0", "~");
      const next: unknown =
        (isObject(value) || Array.isArray(value)) && Object.hasOwn(value, key)
          ? (value as SchemaObject)[key]
          : undefined;
      if (next === undefined) return fail(`${JSON.stringify(reference)} points to nothing`);
      value = next;
    }
    return this.at(value, decoded(reference.slice(1)));
  }

  #collectNames(value: unknown, pointer: string, depth: number): void {
    if (depth > 500) throw refusal(pointer.slice(0, 80), "is nested too deeply");
    if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) this.#collectNames(item, `${pointer}/${i}`, depth + 1);
      return;
    }
    if (!isObject(value)) return;
    const { $anchor, $id, id } = value;
    if (typeof $anchor === "string") this.#names.set(`#${$anchor}`, this.at(value, pointer));
    for (const name of [$id, id])
      if (typeof name === "string" && pointer !== "" && isSchemaPlace(pointer))
        this.#names.set(name, this.at(value, pointer));
      else if (typeof name === "string" && pointer === "") {
        this.#names.set(name, this.root);
        this.#names.set(`${name}#`, this.root);
      }
    for (const [key, item] of Object.entries(value))
      if (key !== "enum" && key !== "const" && key !== "default" && key !== "examples")
        this.#collectNames(item, `${pointer}/${escaped(key)}`, depth + 1);
  }
}

/** A property may be called `id`; a definition has one. */
const isSchemaPlace = (pointer: string): boolean => /\/(?:\$defs|definitions)\/[^/]*$/.test(pointer);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
