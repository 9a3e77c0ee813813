/**
 * i8_row: signed bytes with one f32 scale for each row of a matrix, `[scale][code of k = 0, 1, ...]`, the symmetric
 * "per-row" or "per-channel" weights of int8 inference. A row is the block, of any length; how many rows there are
 * is what the bytes leave over beside one for each element. Knows this layout and nothing else.
 */
import { ParameterError } from "../base/errors.ts";
import { type NumberFormat, notFinite } from "./format.ts";

const HEADER = 4;
/** The code of the largest weight of a row; -128 is not written, but read. */
const TOP = 127;

/** Elements of a row. */
function lengthOfRows(elements: number, bytes: number): number {
  const rows = (bytes - elements) / HEADER;
  const length = elements / rows;
  if (rows === 0 && elements === 0) return 0;
  if (!Number.isInteger(rows) || rows < 1 || !Number.isInteger(length))
    throw new ParameterError(
      "i8_row",
      `${elements} elements and ${bytes} bytes do not fit together: a row of k elements has ${HEADER} + k bytes`,
    );
  return length;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const i8_row: NumberFormat = {
  name: "i8_row",
  block: 1,
  blockBytes: 1,
  rowBytes: HEADER,
  float: false,
  ggufType: undefined,
  unpack(src, dst) {
    const k = lengthOfRows(dst.length, src.length);
    const view = viewOf(src);
    for (let p = 0, i = 0; p < src.length; p += HEADER + k, i += k) {
      const scale = view.getFloat32(p, true);
      for (let j = 0; j < k; j++) dst[i + j] = scale * view.getInt8(p + HEADER + j);
    }
  },
  pack(src, dst) {
    const k = lengthOfRows(src.length, dst.length);
    const view = viewOf(dst);
    for (let p = 0, i = 0; p < dst.length; p += HEADER + k, i += k) {
      let [reach, finite] = [0, 0];
      for (let j = i; j < i + k; j++) {
        const v = src[j] as number;
        const a = v < 0 ? -v : v;
        finite += v - v;
        if (a > reach) reach = a;
      }
      if (finite !== 0) notFinite("i8_row", src, i, k);
      view.setFloat32(p, reach / TOP, true);
      const scale = view.getFloat32(p, true);
      const inverse = scale > 0 ? 1 / scale : 0;
      for (let j = 0; j < k; j++) {
        // Cutting off is rounding down for positive numbers only, hence the 128.
        const q = (((src[i + j] as number) * inverse + 128.5) | 0) - 128;
        dst[p + HEADER + j] = q < -TOP ? -TOP : q > TOP ? TOP : q;
      }
    }
  },
};
