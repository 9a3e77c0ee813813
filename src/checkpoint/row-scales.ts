/**
 * Weights of 8 bits with a scale for each row, as safetensors hold them: `NAME` signed bytes [m, k] beside `NAME_scale`
 * [m, 1] or [m] in floats, the layout that compressed-tensors calls int-quantized, by channel. Knows the two names;
 * one that has a `NAME_zero_point` too is left as it is, since its codes mean something else.
 */
import { type FormatName, formats, isFormat, shapedBytes } from "../format/index.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";

export const scaleName = (name: string): string => `${name}_scale`;

/** The same checkpoint, in which such pairs are tensors in i8_row. */
export function withRowScales(checkpoint: Checkpoint): Checkpoint {
  const tensors = new Map<string, TensorInfo>(checkpoint.tensors);
  const pairs = new Map<string, TensorInfo>();
  for (const info of checkpoint.tensors.values()) {
    const scales = scalesOf(checkpoint, info);
    if (scales === undefined) continue;
    pairs.set(info.name, scales);
    tensors.set(info.name, { name: info.name, shape: info.shape, format: "i8_row" });
  }
  if (pairs.size === 0) return checkpoint;
  return {
    ...checkpoint,
    tensors,
    bytes(name) {
      const scales = pairs.get(name);
      if (scales === undefined) return checkpoint.bytes(name);
      return joined(checkpoint, tensors.get(name) as TensorInfo, scales);
    },
  };
}

function scalesOf({ tensors }: Checkpoint, { name, shape, format }: TensorInfo): TensorInfo | undefined {
  const scales = tensors.get(scaleName(name));
  if (format !== "i8" || shape.length !== 2 || tensors.has(`${name}_zero_point`)) return undefined;
  if (scales === undefined || !isFormat(scales.format) || !formats[scales.format].float) return undefined;
  const rows = shape[0] as number;
  return [`${rows}`, `${rows},1`].includes(scales.shape.join()) ? scales : undefined;
}

/** Scale and codes row by row, in memory of their own. */
function joined(checkpoint: Checkpoint, { name, shape }: TensorInfo, scales: TensorInfo): Uint8Array {
  const [m = 0, k = 0] = shape;
  const values = new Float32Array(m);
  formats[scales.format as FormatName].unpack(checkpoint.raw(scales.name), values);
  const codes = checkpoint.raw(name);
  const bytes = new Uint8Array(shapedBytes("i8_row", shape));
  const view = new DataView(bytes.buffer);
  const { rowBytes } = formats.i8_row;
  for (let row = 0, at = 0; row < m; row++, at += rowBytes + k) {
    view.setFloat32(at, values[row] as number, true);
    bytes.set(codes.subarray(row * k, (row + 1) * k), at + rowBytes);
  }
  return bytes;
}

/** The other way: the codes [m, k] and the scales [m] of packed rows. */
export function parted(bytes: Uint8Array, m: number, k: number): { codes: Uint8Array; scales: Uint8Array } {
  const { rowBytes } = formats.i8_row;
  const [codes, scales] = [new Uint8Array(m * k), new Uint8Array(m * rowBytes)];
  for (let row = 0, at = 0; row < m; row++, at += rowBytes + k) {
    scales.set(bytes.subarray(at, at + rowBytes), row * rowBytes);
    codes.set(bytes.subarray(at + rowBytes, at + rowBytes + k), row * k);
  }
  return { codes, scales };
}
