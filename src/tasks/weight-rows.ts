/**
 * The values of a tensor that is about to be written, a few rows at a time: stacked, with rows rearranged,
 * transposed or shifted as its architecture says.
 */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { elementCount, readF32, requireWeights, tensorOf } from "../checkpoint/checkpoint.ts";
import { type FormatName, formatBytes, formats } from "../format/index.ts";
import type { GgufWeight } from "../models/index.ts";

export interface WeightRows {
  /** Of the weights that it is made from. */
  readonly format: FormatName;
  readonly rows: number;
  /** Elements in a row. */
  readonly k: number;
  /** Values of rows from..to, to be used before the next call. */
  read(from: number, to: number): Float32Array;
  /** The bytes of the tensor as a whole, where the file takes them over unchanged. */
  readonly unchanged: Uint8Array | undefined;
  release(): void;
}

export function weightRows(checkpoint: Checkpoint, weight: GgufWeight): WeightRows {
  const { shape, sources, values, order, transposed = false, plus = 0 } = weight;
  // Vectors are columns here, so that their elements can change places like rows.
  const isVector = shape.length === 1;
  const k = isVector ? 1 : (shape.at(-1) as number);
  const rows = elementCount(shape) / k;
  if (values !== undefined)
    return {
      ...{ format: "f32", rows, k, unchanged: bytesOf(values) },
      read: (from, to) => values.subarray(from * k, to * k),
      release() {},
    };
  const { path, tensors } = checkpoint;
  const infos = sources.map((name) => tensorOf(path, tensors, name));
  for (const info of infos) requireWeights(path, info);
  const format = infos[0]?.format as FormatName;
  if (transposed) return transposedRows(checkpoint, sources[0] as string, format, rows, k);

  const each = rows / sources.length;
  const views = sources.map((name) => checkpoint.bytes(name));
  const rowBytes = formatBytes(format, k);
  let buffer = new Float32Array(0);
  return {
    ...{ format, rows, k },
    unchanged: views.length === 1 && !order && plus === 0 ? views[0] : undefined,
    read(from, to) {
      if (buffer.length < (to - from) * k) buffer = new Float32Array((to - from) * k);
      const result = buffer.subarray(0, (to - from) * k);
      for (let row = from; row < to; ) {
        // As many rows at once as lie together.
        const source = Math.floor(row / each);
        const at = order ? (order[row] as number) : row - source * each;
        const count = order ? 1 : Math.min(to - row, each - at);
        formats[format].unpack(
          (views[source] as Uint8Array).subarray(at * rowBytes, (at + count) * rowBytes),
          result.subarray((row - from) * k, (row - from + count) * k),
        );
        row += count;
      }
      if (plus !== 0) for (let i = 0; i < result.length; i++) result[i] = (result[i] as number) + plus;
      return result;
    },
    release() {
      for (const view of views) checkpoint.release(view);
    },
  };
}

function transposedRows(
  checkpoint: Checkpoint,
  name: string,
  format: FormatName,
  rows: number,
  k: number,
): WeightRows {
  const all = readF32(checkpoint, name);
  return {
    ...{ format, rows, k, unchanged: undefined },
    read(from, to) {
      const result = new Float32Array((to - from) * k);
      for (let row = from, at = 0; row < to; row++)
        for (let j = 0; j < k; j++, at++) result[at] = all[j * rows + row] as number;
      return result;
    },
    release() {},
  };
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
