/**
 * IEEE 754 binary16 to and from binary32, by table one way and by bits the other.
 * Knows bits only.
 */
import { ParameterError } from "../base/errors.ts";

const bitsOfHalf = (h: number): number => {
  const sign = (h & 0x8000) << 16;
  const exponent = (h >>> 10) & 31;
  let mantissa = h & 1023;
  if (exponent === 31) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  // Subnormal: value = mantissa * 2^-24; shift until the leading one sits at bit 10.
  let e = 113;
  while (mantissa < 1024) {
    mantissa <<= 1;
    e--;
  }
  return sign | (e << 23) | ((mantissa & 1023) << 13);
};

/** Bits of the f32 with the value of each f16, indexed by the bits of the f16. */
export const halfBits: Uint32Array = Uint32Array.from({ length: 65536 }, (_, h) => bitsOfHalf(h));

/** Value of each f16, indexed by its bits. */
export const halfValue: Float32Array = new Float32Array(halfBits.buffer);

/** Bits of the f16 nearest to the f32 with bits `b`; ties go to even, values from 65520 on to infinity. */
export function halfFromBits(b: number): number {
  const sign = (b >>> 16) & 0x8000;
  const a = b & 0x7fffffff;
  if (a >= 0x47800000) return sign | (a > 0x7f800000 ? 0x7e00 | ((a >>> 13) & 1023) : 0x7c00);
  if (a >= 0x38800000) {
    const r = a - 0x38000000;
    return sign | ((r + 0xfff + ((r >>> 13) & 1)) >>> 13);
  }
  if (a < 0x33000000) return sign;
  const shift = 126 - (a >>> 23);
  const m = (a & 0x7fffff) | 0x800000;
  const r = m >>> shift;
  const rest = m & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return sign | (rest > tie || (rest === tie && (r & 1) === 1) ? r + 1 : r);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** Bits of the f16 nearest to `x`. */
export function halfFrom(x: number): number {
  scratch[0] = x;
  return halfFromBits(scratchBits[0] as number);
}

/** Writes `x` as an f16 block scale and returns the value that was kept; one beyond 65504 is refused. */
export function storeScale(name: string, x: number, bytes: Uint8Array, p: number): number {
  const h = halfFrom(x);
  if ((h & 0x7c00) === 0x7c00)
    throw new ParameterError(
      name,
      `a block needs the scale ${x}, beyond the 65504 that f16 reaches; use bf16 or f32`,
    );
  bytes[p] = h;
  bytes[p + 1] = h >>> 8;
  return halfValue[h] as number;
}

/** Value of the f16 at byte `p`. */
export const loadHalf = (bytes: Uint8Array, p: number): number =>
  halfValue[(bytes[p] as number) | ((bytes[p + 1] as number) << 8)] as number;
