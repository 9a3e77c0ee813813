/**
 * The formats in blocks of 32 elements: q8_0, q4_0, q4_1, q5_0, q5_1, laid out as GGUF files hold them
 * (f16 scale, f16 minimum where there is one, fifth bits, codes). Knows these layouts and nothing else.
 *
 * Products of an f16 scale with a code are exact in f32, so decoding rounds once at most.
 */
import { fitAffine, fitScale } from "./fit.ts";
import { blockFormat, type FormatName, type NumberFormat, notFinite } from "./format.ts";
import { loadHalf, storeScale } from "./half.ts";

export const q8_0: NumberFormat = blockFormat({
  name: "q8_0",
  block: 32,
  blockBytes: 34,
  ggufType: 8,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    for (let k = 0; k < 32; k++) floats[i + k] = d * (((bytes[p + 2 + k] as number) << 24) >> 24);
  },
  encode(floats, i, bytes, p) {
    let reach = 0;
    let finite = 0;
    for (let k = i; k < i + 32; k++) {
      const v = floats[k] as number;
      const a = v < 0 ? -v : v;
      finite += v - v;
      if (a > reach) reach = a;
    }
    if (finite !== 0) notFinite("q8_0", floats, i, 32);
    const d = storeScale("q8_0", reach / 127, bytes, p);
    const inverse = d > 0 ? 1 / d : 0;
    for (let k = 0; k < 32; k++) {
      // Cutting off is rounding down for positive numbers only, hence the 128.
      const q = (((floats[i + k] as number) * inverse + 128.5) | 0) - 128;
      bytes[p + 2 + k] = q < -127 ? -127 : q > 127 ? 127 : q;
    }
  },
});

/** Codes of the block being packed; blocks are packed one at a time. */
const codes = new Uint8Array(32);
const fitted = new Float64Array(2);

/** Packs 32 codes of four bits: element k in the low half of byte k, element k + 16 in its high half. */
const storeNibbles = (bytes: Uint8Array, p: number): void => {
  for (let k = 0; k < 16; k++)
    bytes[p + k] = ((codes[k] as number) & 15) | (((codes[k + 16] as number) & 15) << 4);
};

/** The fifth bits of 32 codes, element k in bit k of a little-endian word. */
const storeFifthBits = (bytes: Uint8Array, p: number): void => {
  for (let b = 0; b < 4; b++) {
    let byte = 0;
    for (let k = 0; k < 8; k++) byte |= ((codes[8 * b + k] as number) >> 4) << k;
    bytes[p + b] = byte;
  }
};

const loadFifthBits = (bytes: Uint8Array, p: number): number =>
  (bytes[p] as number) |
  ((bytes[p + 1] as number) << 8) |
  ((bytes[p + 2] as number) << 16) |
  ((bytes[p + 3] as number) << 24);

/** Stores the fitted scale and fills `codes` with x/d + half. */
function encodeSymmetric(
  name: FormatName,
  floats: Float32Array,
  i: number,
  half: number,
  bytes: Uint8Array,
  p: number,
) {
  const fit = fitScale(floats, i, 32, half);
  if (Number.isNaN(fit)) notFinite(name, floats, i, 32);
  const d = storeScale(name, fit, bytes, p);
  const inverse = d !== 0 ? 1 / d : 0;
  const top = 2 * half - 1;
  for (let k = 0; k < 32; k++) {
    const q = ((floats[i + k] as number) * inverse + half + 0.5) | 0;
    codes[k] = q < 0 ? 0 : q > top ? top : q;
  }
}

/** Stores the fitted scale and minimum and fills `codes` with (x - m)/d. */
function encodeAffine(
  name: FormatName,
  floats: Float32Array,
  i: number,
  top: number,
  bytes: Uint8Array,
  p: number,
) {
  fitAffine(floats, i, 32, top, false, fitted);
  if (Number.isNaN(fitted[0])) notFinite(name, floats, i, 32);
  const d = storeScale(name, fitted[0] as number, bytes, p);
  const m = storeScale(name, fitted[1] as number, bytes, p + 2);
  const inverse = d > 0 ? 1 / d : 0;
  for (let k = 0; k < 32; k++) {
    const q = (((floats[i + k] as number) - m) * inverse + 0.5) | 0;
    codes[k] = q < 0 ? 0 : q > top ? top : q;
  }
}

export const q4_0: NumberFormat = blockFormat({
  name: "q4_0",
  block: 32,
  blockBytes: 18,
  ggufType: 2,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    for (let k = 0; k < 16; k++) {
      const b = bytes[p + 2 + k] as number;
      floats[i + k] = d * ((b & 15) - 8);
      floats[i + 16 + k] = d * ((b >> 4) - 8);
    }
  },
  encode(floats, i, bytes, p) {
    encodeSymmetric("q4_0", floats, i, 8, bytes, p);
    storeNibbles(bytes, p + 2);
  },
});

export const q4_1: NumberFormat = blockFormat({
  name: "q4_1",
  block: 32,
  blockBytes: 20,
  ggufType: 3,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    const m = loadHalf(bytes, p + 2);
    for (let k = 0; k < 16; k++) {
      const b = bytes[p + 4 + k] as number;
      floats[i + k] = d * (b & 15) + m;
      floats[i + 16 + k] = d * (b >> 4) + m;
    }
  },
  encode(floats, i, bytes, p) {
    encodeAffine("q4_1", floats, i, 15, bytes, p);
    storeNibbles(bytes, p + 4);
  },
});

export const q5_0: NumberFormat = blockFormat({
  name: "q5_0",
  block: 32,
  blockBytes: 22,
  ggufType: 6,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    const fifth = loadFifthBits(bytes, p + 2);
    for (let k = 0; k < 16; k++) {
      const b = bytes[p + 6 + k] as number;
      floats[i + k] = d * (((b & 15) | (((fifth >>> k) & 1) << 4)) - 16);
      floats[i + 16 + k] = d * (((b >> 4) | (((fifth >>> (k + 16)) & 1) << 4)) - 16);
    }
  },
  encode(floats, i, bytes, p) {
    encodeSymmetric("q5_0", floats, i, 16, bytes, p);
    storeFifthBits(bytes, p + 2);
    storeNibbles(bytes, p + 6);
  },
});

export const q5_1: NumberFormat = blockFormat({
  name: "q5_1",
  block: 32,
  blockBytes: 24,
  ggufType: 7,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    const m = loadHalf(bytes, p + 2);
    const fifth = loadFifthBits(bytes, p + 4);
    for (let k = 0; k < 16; k++) {
      const b = bytes[p + 8 + k] as number;
      floats[i + k] = d * ((b & 15) | (((fifth >>> k) & 1) << 4)) + m;
      floats[i + 16 + k] = d * ((b >> 4) | (((fifth >>> (k + 16)) & 1) << 4)) + m;
    }
  },
  encode(floats, i, bytes, p) {
    encodeAffine("q5_1", floats, i, 31, bytes, p);
    storeFifthBits(bytes, p + 4);
    storeNibbles(bytes, p + 8);
  },
});
