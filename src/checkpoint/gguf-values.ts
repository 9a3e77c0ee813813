/**
 * The metadata values of GGUF files: their types, and arrays that stay encoded until they are asked for.
 * Knows the encoding of values; must not know which keys exist.
 * Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { CheckpointError } from "../base/errors.ts";
import { decodeText } from "./text.ts";

export type GgufScalarType =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "f32"
  | "bool"
  | "string"
  | "u64"
  | "i64"
  | "f64";

/** A value; integers of 64 bits are numbers where exact, bigints beyond 2^53. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** By type number. 9 is the array. */
export const ggufTypes: readonly (GgufScalarType | "array")[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
];

/** Bytes of one value; of a string, the least. */
export const ggufTypeBytes: Readonly<Record<GgufScalarType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** Little-endian number of 64 bits, as a number where it is exact. */
function exact(value: bigint): number | bigint {
  const n = Number(value);
  return Number.isSafeInteger(n) ? n : value;
}

/** One number or boolean at `p`. A boolean other than 0 or 1 is undefined. */
export function scalarAt(
  view: DataView,
  type: Exclude<GgufScalarType, "string">,
  p: number,
): number | bigint | boolean | undefined {
  switch (type) {
    case "u8":
      return view.getUint8(p);
    case "i8":
      return view.getInt8(p);
    case "u16":
      return view.getUint16(p, true);
    case "i16":
      return view.getInt16(p, true);
    case "u32":
      return view.getUint32(p, true);
    case "i32":
      return view.getInt32(p, true);
    case "f32":
      return view.getFloat32(p, true);
    case "u64":
      return exact(view.getBigUint64(p, true));
    case "i64":
      return exact(view.getBigInt64(p, true));
    case "f64":
      return view.getFloat64(p, true);
    case "bool": {
      const b = view.getUint8(p);
      return b > 1 ? undefined : b === 1;
    }
  }
}

/** An array of metadata. Its bytes are read again each time it is decoded: callers keep what they need. */
export class GgufArray {
  readonly type: GgufScalarType;
  readonly length: number;
  readonly #where: { file: string; key: string; offset: number };
  readonly #read: () => Uint8Array;

  constructor(
    type: GgufScalarType,
    length: number,
    where: { file: string; key: string; offset: number },
    read: () => Uint8Array,
  ) {
    this.type = type;
    this.length = length;
    this.#where = where;
    this.#read = read;
  }

  #fail(problem: string, offset: number = this.#where.offset): never {
    throw new CheckpointError(this.#where.file, problem, { field: this.#where.key, offset });
  }

  /** The elements as the file holds them. */
  encoded(): Uint8Array {
    return this.#read();
  }

  /** The elements of an array of numbers (booleans as 0 and 1). Integers beyond 2^53 are refused. */
  numbers(): Float64Array {
    const { type } = this;
    if (type === "string") return this.#fail("holds strings where numbers were expected");
    const bytes = this.#read();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const size = ggufTypeBytes[type];
    const values = new Float64Array(this.length);
    for (let i = 0; i < values.length; i++) {
      const value = scalarAt(view, type, i * size);
      if (value === undefined || typeof value === "bigint")
        return this.#fail(
          value === undefined ? "a boolean is neither 0 nor 1" : "an integer lies beyond 2^53",
          this.#where.offset + i * size,
        );
      values[i] = Number(value);
    }
    return values;
  }

  /** The elements of an array of strings. */
  strings(): string[] {
    if (this.type !== "string") return this.#fail(`holds ${this.type} where strings were expected`);
    const bytes = this.#read();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    // A call of the decoder costs more than a short string: the texts are moved together, decoded in one call,
    // and cut by the number of UTF-16 units that each must give.
    const texts = new Uint8Array(bytes.length);
    const units = new Uint32Array(this.length);
    let size = 0;
    for (let i = 0, p = 0; i < units.length; i++) {
      // The lengths were checked against the file when it was opened; this guards against one that changed.
      const length = p + 8 <= bytes.length ? view.getUint32(p, true) : Infinity;
      if (length > bytes.length - p - 8)
        return this.#fail("the file changed while it was open", this.#where.offset + p);
      p += 8;
      if (length > 0 && isContinuation(bytes[p] as number))
        return this.#fail("is not valid UTF-8", this.#where.offset + p);
      let count = 0;
      for (const end = p + length; p < end; p++) {
        const c = bytes[p] as number;
        texts[size++] = c;
        if (!isContinuation(c)) count += c >= 0xf0 ? 2 : 1;
      }
      units[i] = count;
    }
    const { file, key: field, offset } = this.#where;
    const all = decodeText(file, texts.subarray(0, size), { field, offset });
    const values: string[] = new Array(this.length);
    for (let i = 0, at = 0; i < values.length; i++) {
      const end = at + (units[i] as number);
      values[i] = all.slice(at, end);
      at = end;
    }
    return values;
  }
}

/** Whether a byte of UTF-8 goes on with a character that began before it. */
const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;
