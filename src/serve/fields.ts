/**
 * Reads the fields of a JSON object one by one and refuses, by name, what has a wrong type, a value out of
 * range, or is no field at all. Knows JSON; must not know what the fields mean.
 *
 * `null` counts as left out, as it does for the optional fields of the OpenAI API.
 */
import { ApiError, invalid } from "./errors.ts";

export interface NumberRule {
  readonly min?: number;
  readonly max?: number;
  readonly integer?: boolean;
}

export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #known = new Set<string>();

  /** @param path of the object inside the body, for messages; "" is the body itself */
  constructor(value: unknown, path = "") {
    if (value === null || typeof value !== "object" || Array.isArray(value))
      throw path === ""
        ? new ApiError(400, "the body must be a JSON object", { code: "invalid_json" })
        : invalid(path, "must be an object");
    this.#object = value as Readonly<Record<string, unknown>>;
    this.#path = path;
  }

  /** The full name of a field, as in `messages[0].content`. */
  name(field: string): string {
    return this.#path === "" ? field : `${this.#path}.${field}`;
  }

  /** The value as it stands, or undefined. */
  take(field: string): unknown {
    this.#known.add(field);
    return Object.hasOwn(this.#object, field) ? (this.#object[field] ?? undefined) : undefined;
  }

  number(field: string, { min = -Infinity, max = Infinity, integer = false }: NumberRule = {}) {
    const value = this.take(field);
    if (value === undefined) return undefined;
    if (
      typeof value === "number" &&
      value >= min &&
      value <= max &&
      (!integer || Number.isSafeInteger(value))
    )
      return value;
    const range =
      min > -Infinity && max < Infinity
        ? ` from ${min} to ${max}`
        : min > -Infinity
          ? ` from ${min}`
          : max < Infinity
            ? ` up to ${max}`
            : "";
    throw invalid(
      this.name(field),
      `must be ${integer ? "an integer" : "a number"}${range}, not ${shown(value)}`,
    );
  }

  boolean(field: string): boolean | undefined {
    const value = this.take(field);
    if (value === undefined || typeof value === "boolean") return value;
    throw invalid(this.name(field), `must be true or false, not ${shown(value)}`);
  }

  string(field: string): string | undefined {
    const value = this.take(field);
    if (value === undefined || typeof value === "string") return value;
    throw invalid(this.name(field), `must be a string, not ${shown(value)}`);
  }

  object(field: string): Fields | undefined {
    const value = this.take(field);
    return value === undefined ? undefined : new Fields(value, this.name(field));
  }

  /** The keys and values of an object whose keys are free. */
  entries(field: string): [string, unknown][] {
    const value = this.take(field);
    if (value === undefined) return [];
    if (typeof value !== "object" || Array.isArray(value))
      throw invalid(this.name(field), `must be an object, not ${shown(value)}`);
    return Object.entries(value as object);
  }

  /** A field of the standard that is served only with the values that change nothing. */
  only(field: string, allowed: readonly unknown[], reason: string): void {
    const value = this.take(field);
    if (value !== undefined && !allowed.some((a) => JSON.stringify(a) === JSON.stringify(value)))
      throw invalid(this.name(field), reason, "unsupported_value");
  }

  /** Refuses a field of the standard that is not served here. */
  refuse(field: string, reason: string): void {
    if (this.take(field) !== undefined) throw invalid(this.name(field), reason, "unsupported_parameter");
  }

  /** Refuses what was not asked for by any of the calls before. */
  done(): void {
    for (const field of Object.keys(this.#object))
      if (!this.#known.has(field)) throw invalid(this.name(field), "no such field", "unknown_parameter");
  }
}

/** A value for an error message, short. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
