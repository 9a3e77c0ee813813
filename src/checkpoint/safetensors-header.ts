/**
 * Parses the header of a safetensors file: JSON of one fixed shape, read by a strict parser of its own because
 * duplicate names must be seen and every complaint must name its byte. Knows the header, not where it comes from.
 * Layout: https://github.com/huggingface/safetensors#format
 */
import { CheckpointError } from "../base/errors.ts";
import type { FormatName } from "../format/index.ts";
import type { OtherDtype } from "./checkpoint.ts";
import { decodeText } from "./text.ts";

export interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Begin and end, relative to the end of the header. */
  readonly range: readonly [number, number];
  /** Where the entry stands in the file, for errors. */
  readonly at: number;
}

/** Names that safetensors gives to element types, with ours and their bytes. */
export const safetensorsDtypes: Readonly<
  Partial<Record<string, { format: FormatName | OtherDtype; bytes: number }>>
> = {
  F64: { format: "f64", bytes: 8 },
  F32: { format: "f32", bytes: 4 },
  F16: { format: "f16", bytes: 2 },
  BF16: { format: "bf16", bytes: 2 },
  F8_E4M3: { format: "f8_e4m3", bytes: 1 },
  F8_E5M2: { format: "f8_e5m2", bytes: 1 },
  F8_E8M0: { format: "f8_e8m0", bytes: 1 },
  C64: { format: "c64", bytes: 8 },
  I64: { format: "i64", bytes: 8 },
  U64: { format: "u64", bytes: 8 },
  I32: { format: "i32", bytes: 4 },
  U32: { format: "u32", bytes: 4 },
  I16: { format: "i16", bytes: 2 },
  U16: { format: "u16", bytes: 2 },
  I8: { format: "i8", bytes: 1 },
  U8: { format: "u8", bytes: 1 },
  BOOL: { format: "bool", bytes: 1 },
};

/** More dimensions than any tensor has; keeps a hostile shape from being a long list. */
const mostDimensions = 16;

/** Tensors by name from header bytes that begin at byte `base` of the file. */
export function parseHeader(file: string, bytes: Uint8Array, base: number): Map<string, HeaderEntry> {
  const cursor = new Cursor(file, bytes, base);
  const entries = new Map<string, HeaderEntry>();
  let metadata = false;
  cursor.object((name, at) => {
    if (name === "__metadata__") {
      if (metadata) cursor.fail("stands twice", name, at);
      metadata = true;
      cursor.object(() => cursor.string());
      return;
    }
    if (entries.has(name)) cursor.fail("two tensors have this name", name, at);
    entries.set(name, entry(cursor, name, at));
  });
  cursor.end();
  return entries;
}

function entry(cursor: Cursor, name: string, at: number): HeaderEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let range: number[] | undefined;
  cursor.object((key, keyAt) => {
    if (key === "dtype" && dtype === undefined) dtype = cursor.string();
    else if (key === "shape" && shape === undefined) shape = cursor.integers(mostDimensions);
    else if (key === "data_offsets" && range === undefined) range = cursor.integers(2);
    else cursor.fail(`"${key}" stands twice or is no field of a tensor`, name, keyAt);
  });
  if (dtype === undefined) return cursor.fail('"dtype" is missing', name, at);
  if (shape === undefined) return cursor.fail('"shape" is missing', name, at);
  const [begin, end] = range ?? [];
  if (begin === undefined || end === undefined)
    return cursor.fail('"data_offsets" must hold two numbers', name, at);
  return { dtype, shape, range: [begin, end], at };
}

/** Reads the few kinds of JSON value that a header has. Depth is bounded by the callers' shape. */
class Cursor {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #base: number;
  #at = 0;

  constructor(file: string, bytes: Uint8Array, base: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#base = base;
  }

  fail(problem: string, field?: string, offset: number = this.#base + this.#at): never {
    throw new CheckpointError(
      this.#file,
      `broken safetensors header: ${problem}`,
      field === undefined ? { offset } : { field, offset },
    );
  }

  /** The next byte that is not white space; -1 at the end. */
  #peek(): number {
    for (;;) {
      const c = this.#bytes[this.#at];
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return c ?? -1;
      this.#at++;
    }
  }

  #take(c: string): void {
    if (this.#peek() !== c.charCodeAt(0)) this.fail(`expected ${c}`);
    this.#at++;
  }

  #took(c: string): boolean {
    const found = this.#peek() === c.charCodeAt(0);
    if (found) this.#at++;
    return found;
  }

  object(member: (key: string, at: number) => void): void {
    this.#take("{");
    if (this.#took("}")) return;
    do {
      this.#peek();
      const at = this.#base + this.#at;
      const key = this.string();
      this.#take(":");
      member(key, at);
    } while (this.#took(","));
    this.#take("}");
  }

  integers(most: number): number[] {
    const values: number[] = [];
    this.#take("[");
    if (this.#took("]")) return values;
    do {
      if (values.length === most) this.fail(`more than ${most} numbers`);
      values.push(this.#integer());
    } while (this.#took(","));
    this.#take("]");
    return values;
  }

  #integer(): number {
    this.#peek();
    const start = this.#at;
    let value = 0;
    for (;;) {
      const digit = (this.#bytes[this.#at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (value > Number.MAX_SAFE_INTEGER) this.fail("a number beyond 2^53");
      this.#at++;
    }
    if (this.#at === start) this.fail("expected a whole number, not negative");
    if (this.#bytes[start] === 0x30 && this.#at > start + 1) this.fail("a number begins with 0");
    return value;
  }

  string(): string {
    this.#take('"');
    const start = this.#at;
    let escaped = false;
    for (;;) {
      const c = this.#bytes[this.#at];
      if (c === undefined) this.fail("a string does not end");
      if (c < 0x20) this.fail("a control character in a string");
      if (c === 0x22) break;
      if (c === 0x5c) {
        escaped = true;
        this.#at++;
      }
      this.#at++;
    }
    const offset = this.#base + start;
    const text = decodeText(this.#file, this.#bytes.subarray(start, this.#at), { offset });
    this.#at++;
    if (!escaped) return text;
    try {
      return JSON.parse(`"${text}"`) as string;
    } catch {
      return this.fail("a broken escape in a string", undefined, offset);
    }
  }

  end(): void {
    if (this.#peek() !== -1) this.fail("something follows the object");
  }
}
