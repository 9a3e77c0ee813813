/**
 * Reads the header of a GGUF file from front to back through a small window. Every length is checked against
 * what is left of the file before anything is read or allocated for it.
 */
import { CheckpointError } from "../base/errors.ts";
import {
  GgufArray,
  type GgufScalarType,
  type GgufValue,
  ggufTypeBytes,
  ggufTypes,
  scalarAt,
} from "./gguf-values.ts";
import type { ByteSource } from "./source.ts";
import { decodeText } from "./text.ts";

/** Bytes read at a time. */
const window = 1 << 20;

export class GgufCursor {
  /** Offset in the file of the next byte. */
  at = 0;
  readonly #source: ByteSource;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Offset in the file of the window's first byte. */
  #start = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  fail(problem: string, field?: string, offset: number = this.at): never {
    throw new CheckpointError(
      this.#source.name,
      problem,
      field === undefined ? { offset } : { field, offset },
    );
  }

  /** Index in the window of the next `count` bytes, which are passed over. */
  #take(count: number): number {
    let p = this.at - this.#start;
    if (p + count > this.#bytes.length) {
      const left = this.#source.size - this.at;
      // Reading past the end is refused by the source, with this offset.
      this.#bytes = this.#source.read(this.at, Math.max(count, Math.min(window, left)));
      this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
      this.#start = this.at;
      p = 0;
    }
    this.at += count;
    return p;
  }

  u32(): number {
    const p = this.#take(4);
    return this.#view.getUint32(p, true);
  }

  /** An unsigned number of 64 bits; one beyond 2^53 is refused. */
  u64(field: string): number {
    const p = this.#take(8);
    const value = this.#view.getUint32(p, true) + this.#view.getUint32(p + 4, true) * 2 ** 32;
    if (!Number.isSafeInteger(value)) this.fail("a number beyond 2^53", field, this.at - 8);
    return value;
  }

  /** A count of things that take at least `least` bytes each: more than the file can hold are refused. */
  length(field: string, least: number): number {
    const count = this.u64(field);
    const left = this.#source.size - this.at;
    if (count > left / least)
      this.fail(
        `${count} do not fit into the ${left} bytes that follow; it is cut off or broken`,
        field,
        this.at - 8,
      );
    return count;
  }

  string(field: string, longest: number = Infinity): string {
    const length = this.length(field, 1);
    if (length > longest)
      this.fail(`has ${length} bytes; at most ${longest} are possible`, field, this.at - 8);
    const offset = this.at;
    const p = this.#take(length);
    return decodeText(this.#source.name, this.#bytes.subarray(p, p + length), { field, offset });
  }

  /** A metadata value with its type; of an array, the type of its elements. */
  value(key: string): { type: GgufScalarType; value: GgufValue } {
    const type = this.#type(key);
    if (type !== "array") return { type, value: this.#scalar(type, key) };
    const elements = this.#type(key);
    if (elements === "array") return this.fail("an array of arrays is not read", key, this.at - 4);
    return { type: elements, value: this.#array(elements, key) };
  }

  #type(key: string): GgufScalarType | "array" {
    const id = this.u32();
    return ggufTypes[id] ?? this.fail(`has the unknown value type ${id}`, key, this.at - 4);
  }

  #scalar(type: GgufScalarType, key: string): GgufValue {
    if (type === "string") return this.string(key);
    const p = this.#take(ggufTypeBytes[type]);
    return scalarAt(this.#view, type, p) ?? this.fail("a boolean is neither 0 nor 1", key, this.at - 1);
  }

  #array(type: GgufScalarType, key: string): GgufArray {
    const size = ggufTypeBytes[type];
    const count = this.length(key, size);
    const offset = this.at;
    if (type !== "string") this.at += count * size;
    else
      for (let i = 0; i < count; i++) {
        const bytes = this.length(key, 1);
        this.at += bytes;
      }
    const length = this.at - offset;
    const source = this.#source;
    return new GgufArray(type, count, { file: source.name, key, offset }, () => source.read(offset, length));
  }
}
