/**
 * A small reader for objects of settings (config.json, GGUF metadata) that refuses what does not fit, naming
 * file and field. Knows how to check a value; must not know which settings exist.
 */
import { CheckpointError } from "../base/errors.ts";
import { GgufArray, type GgufValue } from "./gguf-values.ts";
import type { Json } from "./text.ts";

type Value = Json | GgufValue | undefined;

export interface IntegerRange {
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}

/** Fields of an object. A field that is null counts as absent; an absent one without a default is refused. */
export class Fields {
  readonly file: string;
  readonly #values: ReadonlyMap<string, Value>;
  /** Path of this object inside the file: "" or "rope_scaling.". */
  readonly #prefix: string;

  constructor(
    file: string,
    object: Readonly<Record<string, Value>> | ReadonlyMap<string, Value>,
    prefix = "",
  ) {
    this.file = file;
    this.#values = object instanceof Map ? object : new Map(Object.entries(object));
    this.#prefix = prefix;
  }

  /** Refuses the field, for checks that only the caller can make. */
  fail(name: string, problem: string): never {
    throw new CheckpointError(this.file, problem, { field: this.#prefix + name });
  }

  has(name: string): boolean {
    const value = this.#values.get(name);
    return value !== undefined && value !== null;
  }

  /** Whether the file sets the field to null, for fields where that says something else than absence. */
  isNull(name: string): boolean {
    return this.#values.get(name) === null;
  }

  names(): string[] {
    return [...this.#values.keys()].filter((name) => this.has(name));
  }

  #get(name: string): Exclude<Value, undefined | null> | undefined {
    return this.#values.get(name) ?? undefined;
  }

  #absent<T>(name: string, fallback: T | undefined): T {
    return fallback ?? this.fail(name, "is missing");
  }

  /** A whole number. */
  int(name: string, { default: fallback, min = -Infinity, max = Infinity }: IntegerRange = {}): number {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    if (typeof value !== "number" || !Number.isSafeInteger(value))
      return this.fail(name, `must be a whole number, not ${show(value)}`);
    if (value < min || value > max) return this.fail(name, `must lie in ${min} to ${max}, not be ${value}`);
    return value;
  }

  /** A finite number. */
  number(name: string, { default: fallback, min = -Infinity, max = Infinity }: IntegerRange = {}): number {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    if (typeof value !== "number" || !Number.isFinite(value))
      return this.fail(name, `must be a number, not ${show(value)}`);
    if (value < min || value > max) return this.fail(name, `must lie in ${min} to ${max}, not be ${value}`);
    return value;
  }

  bool(name: string, { default: fallback }: { default?: boolean } = {}): boolean {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    return typeof value === "boolean" ? value : this.fail(name, `must be true or false, not ${show(value)}`);
  }

  string(name: string, { default: fallback }: { default?: string } = {}): string {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    return typeof value === "string" ? value : this.fail(name, `must be a string, not ${show(value)}`);
  }

  /** One of the strings `values`. */
  oneOf<T extends string>(
    name: string,
    values: readonly T[],
    { default: fallback }: { default?: T } = {},
  ): T {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    return (
      values.find((v) => v === value) ??
      this.fail(name, `must be one of ${values.join(", ")}, not ${show(value)}`)
    );
  }

  /** A list of whole numbers. */
  ints(name: string, options: { default?: readonly number[] } = {}): readonly number[] {
    return this.#list(name, options.default, "whole numbers", Number.isSafeInteger);
  }

  /** A whole number, or a list of them. */
  intOrInts(name: string): readonly number[] {
    return Array.isArray(this.#get(name)) ? this.ints(name) : [this.int(name)];
  }

  /** A list of finite numbers. */
  numbers(name: string, options: { default?: readonly number[] } = {}): readonly number[] {
    return this.#list(name, options.default, "numbers", Number.isFinite);
  }

  #list(
    name: string,
    fallback: readonly number[] | undefined,
    kind: string,
    fits: (x: unknown) => boolean,
  ): readonly number[] {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    const list = value instanceof GgufArray ? Array.from(value.numbers()) : value;
    if (!Array.isArray(list) || !list.every((x): x is number => fits(x)))
      return this.fail(name, `must be a list of ${kind}, not ${show(value)}`);
    return list;
  }

  /** A list of strings. */
  strings(name: string, { default: fallback }: { default?: readonly string[] } = {}): readonly string[] {
    const value = this.#get(name);
    if (value === undefined) return this.#absent(name, fallback);
    const list = value instanceof GgufArray ? value.strings() : value;
    if (!Array.isArray(list) || !list.every((x) => typeof x === "string"))
      return this.fail(name, `must be a list of strings, not ${show(value)}`);
    return list;
  }

  /** An object inside this one; undefined when absent. */
  object(name: string): Fields | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value !== "object" || Array.isArray(value) || value instanceof GgufArray)
      return this.fail(name, `must be an object, not ${show(value)}`);
    return new Fields(this.file, value, `${this.#prefix}${name}.`);
  }
}

/** A value for an error message, cut short. */
function show(value: Exclude<Value, undefined>): string {
  if (value instanceof GgufArray) return `an array of ${value.length} ${value.type}`;
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  const text = typeof value === "object" ? "an object" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
