/**
 * The formats without blocks: f32, f16, bf16 (little endian). Knows bits only.
 */
import { ParameterError } from "../base/errors.ts";
import { checkLengths, type FormatName, type NumberFormat } from "./format.ts";
import { halfBits, halfFromBits } from "./half.ts";

const bitsOf = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

/** The bytes as 16-bit words: a view where they are aligned, a copy where not. */
const words = (bytes: Uint8Array): Uint16Array => {
  const at = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(at.buffer, at.byteOffset, at.length >> 1);
};

const tooLarge = (name: FormatName, x: number, i: number): never => {
  throw new ParameterError(
    name,
    `element ${i} is ${x}, beyond what ${name} reaches; use ${name === "f16" ? "bf16 or " : ""}f32`,
  );
};

export const f32: NumberFormat = {
  name: "f32",
  block: 1,
  blockBytes: 4,
  rowBytes: 0,
  float: true,
  ggufType: 0,
  unpack(src, dst) {
    checkLengths(f32, dst.length, src.length);
    new Uint8Array(dst.buffer, dst.byteOffset, dst.byteLength).set(src);
  },
  pack(src, dst) {
    checkLengths(f32, src.length, dst.length);
    dst.set(new Uint8Array(src.buffer, src.byteOffset, src.byteLength));
  },
};

export const f16: NumberFormat = {
  name: "f16",
  block: 1,
  blockBytes: 2,
  rowBytes: 0,
  float: true,
  ggufType: 1,
  unpack(src, dst) {
    checkLengths(f16, dst.length, src.length);
    const from = words(src);
    const to = bitsOf(dst);
    for (let i = 0; i < to.length; i++) to[i] = halfBits[from[i] as number] as number;
  },
  pack(src, dst) {
    checkLengths(f16, src.length, dst.length);
    const from = bitsOf(src);
    for (let i = 0, p = 0; i < from.length; i++, p += 2) {
      const b = from[i] as number;
      const h = halfFromBits(b);
      if ((h & 0x7fff) === 0x7c00 && (b & 0x7fffffff) < 0x7f800000) tooLarge("f16", src[i] as number, i);
      dst[p] = h;
      dst[p + 1] = h >>> 8;
    }
  },
};

export const bf16: NumberFormat = {
  name: "bf16",
  block: 1,
  blockBytes: 2,
  rowBytes: 0,
  float: true,
  ggufType: 30,
  unpack(src, dst) {
    checkLengths(bf16, dst.length, src.length);
    const from = words(src);
    const to = bitsOf(dst);
    for (let i = 0; i < to.length; i++) to[i] = (from[i] as number) << 16;
  },
  pack(src, dst) {
    checkLengths(bf16, src.length, dst.length);
    const from = bitsOf(src);
    for (let i = 0, p = 0; i < from.length; i++, p += 2) {
      const b = from[i] as number;
      const a = b & 0x7fffffff;
      // A NaN keeps its upper bits and becomes quiet; rounding it could carry into infinity.
      const h = a > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
      if ((h & 0x7fff) === 0x7f80 && a < 0x7f800000) tooLarge("bf16", src[i] as number, i);
      dst[p] = h;
      dst[p + 1] = h >>> 8;
    }
  },
};
