/**
 * Reads untrusted JSON by name, so that each refusal says which file and which field is wrong.
 * Knows nothing of what the fields mean.
 */
import { CheckpointError } from "../../base/errors.ts";

export type JsonObject = Record<string, unknown>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export class Field {
  readonly file: string;
  readonly path: string;
  readonly value: unknown;

  constructor(file: string, path: string, value: unknown) {
    this.file = file;
    this.path = path;
    this.value = value;
  }

  fail(problem: string, cause?: unknown): never {
    throw new CheckpointError(this.file, problem, { field: this.path || "(root)", cause });
  }

  get absent(): boolean {
    return this.value === undefined || this.value === null;
  }

  object(): JsonObject {
    return isObject(this.value) ? this.value : this.fail("must be an object");
  }

  get(name: string): Field {
    const object = this.object();
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    return new Field(this.file, this.path === "" ? name : `${this.path}.${name}`, value);
  }

  list(): unknown[] {
    return Array.isArray(this.value) ? this.value : this.fail("must be a list");
  }

  items(): Field[] {
    return this.list().map((value, i) => new Field(this.file, `${this.path}[${i}]`, value));
  }

  string(): string {
    return typeof this.value === "string" ? this.value : this.fail("must be a string");
  }

  integer(): number {
    const value = this.value;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
      this.fail("must be an integer, 0 or greater");
    return value;
  }

  optionalString(): string | undefined {
    return this.absent ? undefined : this.string();
  }

  optionalInteger(): number | undefined {
    return this.absent ? undefined : this.integer();
  }

  boolean(otherwise: boolean): boolean {
    if (this.absent) return otherwise;
    return typeof this.value === "boolean" ? this.value : this.fail("must be true or false");
  }

  /** A token written as "<s>" or as {"content": "<s>", ...}. */
  tokenText(): string | undefined {
    if (this.absent) return undefined;
    return isObject(this.value) ? this.get("content").string() : this.string();
  }
}
