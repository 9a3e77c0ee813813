/** Random weights in any format: the bytes, the values they decode to, and the size of what is added up. */
import { type FormatName, formats, shapedBytes } from "../../src/format/index.ts";
import type { Random } from "./random.ts";

export interface Weight {
  readonly bytes: Uint8Array;
  readonly values: Float32Array;
  /**
   * |scale · quant| + |offset| for formats that have both, else |value|: a kernel may add the two parts up
   * apart, so its rounding errors are relative to these.
   */
  readonly sizes: Float32Array;
}

/** Bytes of a block before the quants, in the formats whose values have an offset of their own. */
const headers: Partial<Record<FormatName, number>> = { q4_1: 4, q5_1: 4, q4_K: 16, q5_K: 16 };

/** The weight that packed bytes are, in `rows` rows; how many matters for formats with a scale for each. */
export function weightFrom(format: FormatName, bytes: Uint8Array, rows = 1): Weight {
  const { block, blockBytes, rowBytes, unpack } = formats[format];
  const values = new Float32Array(((bytes.length - rows * rowBytes) / blockBytes) * block);
  unpack(bytes, values);
  const header = headers[format];
  if (header === undefined) return { bytes, values, sizes: values.map(Math.abs) };
  // With all quants at 0, what is left is the offset.
  const offsets = new Float32Array(values.length);
  unpack(
    bytes.map((byte, i) => (i % blockBytes < header ? byte : 0)),
    offsets,
  );
  return { bytes, values, sizes: values.map((v, i) => Math.abs(v - offsets[i]!) + Math.abs(offsets[i]!)) };
}

export function weightOf(format: FormatName, values: Float32Array, rows = 1): Weight {
  const bytes = new Uint8Array(shapedBytes(format, [rows, values.length / rows]));
  formats[format].pack(values, bytes);
  return weightFrom(format, bytes, rows);
}

export function randomWeight(random: Random, format: FormatName, shape: readonly number[]): Weight {
  const rows = shape.slice(0, -1).reduce((product, d) => product * d, 1);
  return weightOf(format, random.normals(rows * shape.at(-1)!, 0.5), rows);
}
