/**
 * A long list of strings as ranges of one buffer, with a hash table made when first needed. Opening a
 * vocabulary of a hundred thousand tokens this way makes no hundred thousand objects. Knows nothing of tokens.
 */

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { ignoreBOM: true });

export class ByteStrings {
  readonly length: number;
  readonly #bytes: Uint8Array;
  /** The string `i` is bytes[starts[i], ends[i]); a start below 0 says that there is none. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  /** Index + 1 by hash, 0 where free. */
  #table: Int32Array | undefined;
  #query = new Uint8Array(256);

  constructor(bytes: Uint8Array, starts: Int32Array, ends: Int32Array) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#ends = ends;
    this.length = starts.length;
  }

  static from(strings: readonly (string | undefined)[]): ByteStrings {
    const starts = new Int32Array(strings.length).fill(-1);
    const ends = new Int32Array(strings.length);
    let room = 0;
    for (const string of strings) room += 3 * (string?.length ?? 0);
    const bytes = new Uint8Array(room);
    let at = 0;
    for (const [i, string] of strings.entries()) {
      if (string === undefined) continue;
      starts[i] = at;
      at += utf8.encodeInto(string, bytes.subarray(at)).written;
      ends[i] = at;
    }
    return new ByteStrings(bytes.slice(0, at), starts, ends);
  }

  has(i: number): boolean {
    return (this.#starts[i] ?? -1) >= 0;
  }

  bytes(i: number): Uint8Array {
    return this.has(i) ? this.#bytes.subarray(this.#starts[i], this.#ends[i]) : new Uint8Array(0);
  }

  /** Undefined where the list has no string. */
  at(i: number): string | undefined {
    return this.has(i) ? text.decode(this.bytes(i)) : undefined;
  }

  /** The index of the string, the first of equal ones, or -1. */
  find(string: string): number {
    this.#table ??= this.#makeTable();
    if (this.#query.length < 3 * string.length) this.#query = new Uint8Array(6 * string.length);
    const { written } = utf8.encodeInto(string, this.#query);
    return (this.#table[this.#slot(this.#table, this.#query, 0, written)] as number) - 1;
  }

  #makeTable(): Int32Array {
    const table = new Int32Array(2 ** Math.ceil(Math.log2(this.length * 2 + 2)));
    for (let i = 0; i < this.length; i++) {
      const start = this.#starts[i] as number;
      if (start < 0) continue;
      const slot = this.#slot(table, this.#bytes, start, this.#ends[i] as number);
      if (table[slot] === 0) table[slot] = i + 1;
    }
    return table;
  }

  /** Where bytes[start, end) stands in the table, or the free place where it would. */
  #slot(table: Int32Array, bytes: Uint8Array, start: number, end: number): number {
    let hash = end - start;
    for (let p = start; p < end; p++)
      hash = Math.imul(hash ^ (bytes[p] as number), 0x9e3779b1) ^ (hash >>> 15);
    let slot = (hash ^ (hash >>> 16)) & (table.length - 1);
    for (let held = table[slot] as number; held !== 0; held = table[slot] as number) {
      if (this.#equals(held - 1, bytes, start, end)) break;
      slot = (slot + 1) & (table.length - 1);
    }
    return slot;
  }

  #equals(i: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.#starts[i] as number;
    if ((this.#ends[i] as number) - from !== end - start) return false;
    for (let p = start, q = from; p < end; p++, q++) if (bytes[p] !== this.#bytes[q]) return false;
    return true;
  }
}
