/**
 * The formats in super-blocks of 256 elements: q4_K, q5_K, q6_K, laid out as GGUF files hold them.
 * A super-block has f16 scales, and small integer scales (and minimums) for its sub-blocks.
 * Knows these layouts and nothing else.
 *
 * d·scale·code is exact in f32 (11 + 6 + 5 or 11 + 7 + 5 bits), so decoding rounds once at most.
 */
import { fitAffine, fitScale } from "./fit.ts";
import { blockFormat, type FormatName, type NumberFormat, notFinite } from "./format.ts";
import { loadHalf, storeScale } from "./half.ts";

/** Six-bit scale `j` (of 8) in the 12 bytes at `p`; its minimum is `loadMin`. */
const loadScale = (b: Uint8Array, p: number, j: number): number =>
  j < 4
    ? (b[p + j] as number) & 63
    : ((b[p + j + 4] as number) & 15) | (((b[p + j - 4] as number) >> 6) << 4);

const loadMin = (b: Uint8Array, p: number, j: number): number =>
  j < 4
    ? (b[p + j + 4] as number) & 63
    : ((b[p + j + 4] as number) >> 4) | (((b[p + j] as number) >> 6) << 4);

// Workspace of the super-block being packed; super-blocks are packed one at a time.
const codes = new Uint8Array(256);
const scales = new Float64Array(16);
const mins = new Float64Array(8);
const scaleCodes = new Uint8Array(8);
const minCodes = new Uint8Array(8);
const fitted = new Float64Array(2);

const clamp = (x: number, low: number, high: number): number => (x < low ? low : x > high ? high : x);
const nearest = (x: number): number => Math.floor(x + 0.5);

/**
 * Given the codes that sub-block `j` has at its rounded scale and minimum, moves the two to the neighbours that
 * leave the least error: rounding one of them shifts what is best for the other.
 */
function settle(x: Float32Array, i: number, j: number, d: number, dmin: number, top: number): void {
  const s0 = scaleCodes[j] as number;
  const m0 = minCodes[j] as number;
  if (s0 === 0) return;
  const inverse = 1 / (d * s0);
  const offset = dmin * m0;
  let sumX = 0;
  let sumL = 0;
  let sumLL = 0;
  let sumXL = 0;
  for (let k = i; k < i + 32; k++) {
    const v = x[k] as number;
    let l = ((v + offset) * inverse + 0.5) | 0;
    l = l < 0 ? 0 : l > top ? top : l;
    sumX += v;
    sumL += l;
    sumLL += l * l;
    sumXL += v * l;
  }
  if (sumLL === 0) return;
  let best = Infinity;
  for (let m = Math.max(0, m0 - 2); m <= Math.min(63, m0 + 2); m++) {
    const min = dmin * m;
    const s = clamp(nearest((sumXL + min * sumL) / (sumLL * d)), 1, 63);
    const scale = d * s;
    // The squared error of scale·l - min, less the sum of squares of x.
    const error = scale * (scale * sumLL - 2 * sumXL - 2 * min * sumL) + min * (32 * min + 2 * sumX);
    if (error < best) {
      best = error;
      scaleCodes[j] = s;
      minCodes[j] = m;
    }
  }
}

/**
 * Packs d, dmin and the twelve bytes of scales and minimums at `p` and fills `codes`: x ≈ d·s·l - dmin·m with
 * eight sub-blocks of 32 and codes l in [0, top].
 */
function encodeSubBlocks(
  name: FormatName,
  x: Float32Array,
  i: number,
  top: number,
  bytes: Uint8Array,
  p: number,
) {
  let largestScale = 0;
  let largestMin = 0;
  for (let j = 0; j < 8; j++) {
    fitAffine(x, i + 32 * j, 32, top, true, fitted);
    const s = fitted[0] as number;
    const m = -(fitted[1] as number);
    if (Number.isNaN(s)) notFinite(name, x, i, 256);
    scales[j] = s;
    mins[j] = m;
    if (s > largestScale) largestScale = s;
    if (m > largestMin) largestMin = m;
  }
  const d = storeScale(name, largestScale / 63, bytes, p);
  const dmin = storeScale(name, largestMin / 63, bytes, p + 2);
  for (let j = 0; j < 8; j++) {
    scaleCodes[j] = d > 0 ? clamp(nearest((scales[j] as number) / d), 0, 63) : 0;
    minCodes[j] = dmin > 0 ? clamp(nearest((mins[j] as number) / dmin), 0, 63) : 0;
    settle(x, i + 32 * j, j, d, dmin, top);
    const s = scaleCodes[j] as number;
    const inverse = s > 0 ? 1 / (d * s) : 0;
    const offset = dmin * (minCodes[j] as number);
    for (let k = 32 * j; k < 32 * j + 32; k++) {
      const q = (((x[i + k] as number) + offset) * inverse + 0.5) | 0;
      codes[k] = q < 0 ? 0 : q > top ? top : q;
    }
  }
  for (let j = 0; j < 4; j++) {
    const highScale = scaleCodes[j + 4] as number;
    const highMin = minCodes[j + 4] as number;
    bytes[p + 4 + j] = (scaleCodes[j] as number) | ((highScale >> 4) << 6);
    bytes[p + 8 + j] = (minCodes[j] as number) | ((highMin >> 4) << 6);
    bytes[p + 12 + j] = (highScale & 15) | ((highMin & 15) << 4);
  }
}

/** The low four bits of 256 codes: of each 64, the first 32 in the low halves of 32 bytes, the rest in the high. */
const storeNibbles = (bytes: Uint8Array, p: number): void => {
  for (let g = 0; g < 4; g++)
    for (let k = 0; k < 32; k++)
      bytes[p + 32 * g + k] =
        ((codes[64 * g + k] as number) & 15) | (((codes[64 * g + 32 + k] as number) & 15) << 4);
};

export const q4_K: NumberFormat = blockFormat({
  name: "q4_K",
  block: 256,
  blockBytes: 144,
  ggufType: 12,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    const dmin = loadHalf(bytes, p + 2);
    for (let g = 0; g < 4; g++) {
      const d1 = d * loadScale(bytes, p + 4, 2 * g);
      const m1 = dmin * loadMin(bytes, p + 4, 2 * g);
      const d2 = d * loadScale(bytes, p + 4, 2 * g + 1);
      const m2 = dmin * loadMin(bytes, p + 4, 2 * g + 1);
      const from = p + 16 + 32 * g;
      const to = i + 64 * g;
      for (let k = 0; k < 32; k++) {
        const b = bytes[from + k] as number;
        floats[to + k] = d1 * (b & 15) - m1;
        floats[to + 32 + k] = d2 * (b >> 4) - m2;
      }
    }
  },
  encode(floats, i, bytes, p) {
    encodeSubBlocks("q4_K", floats, i, 15, bytes, p);
    storeNibbles(bytes, p + 16);
  },
});

export const q5_K: NumberFormat = blockFormat({
  name: "q5_K",
  block: 256,
  blockBytes: 176,
  ggufType: 13,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p);
    const dmin = loadHalf(bytes, p + 2);
    for (let g = 0; g < 4; g++) {
      const d1 = d * loadScale(bytes, p + 4, 2 * g);
      const m1 = dmin * loadMin(bytes, p + 4, 2 * g);
      const d2 = d * loadScale(bytes, p + 4, 2 * g + 1);
      const m2 = dmin * loadMin(bytes, p + 4, 2 * g + 1);
      const from = p + 48 + 32 * g;
      const to = i + 64 * g;
      for (let k = 0; k < 32; k++) {
        const b = bytes[from + k] as number;
        const fifth = (bytes[p + 16 + k] as number) >> (2 * g);
        floats[to + k] = d1 * ((b & 15) | ((fifth & 1) << 4)) - m1;
        floats[to + 32 + k] = d2 * ((b >> 4) | ((fifth & 2) << 3)) - m2;
      }
    }
  },
  encode(floats, i, bytes, p) {
    encodeSubBlocks("q5_K", floats, i, 31, bytes, p);
    for (let k = 0; k < 32; k++) {
      let fifth = 0;
      for (let j = 0; j < 8; j++) fifth |= ((codes[32 * j + k] as number) >> 4) << j;
      bytes[p + 16 + k] = fifth;
    }
    storeNibbles(bytes, p + 48);
  },
});

/** q6_K, per half of 128: codes k, k+32, k+64, k+96 share low-bit bytes k, k+32 and high-bit byte k. */
export const q6_K: NumberFormat = blockFormat({
  name: "q6_K",
  block: 256,
  blockBytes: 210,
  ggufType: 14,
  decode(bytes, p, floats, i) {
    const d = loadHalf(bytes, p + 208);
    for (let g = 0; g < 16; g++) {
      const scale = d * (((bytes[p + 192 + g] as number) << 24) >> 24);
      const half = g >> 3;
      // Sub-blocks of 16: two for each quarter of 32.
      const quarter = (g >> 1) & 3;
      const k = (g & 1) << 4;
      const low = p + 64 * half + 32 * (quarter & 1) + k;
      const high = p + 128 + 32 * half + k;
      const lowShift = (quarter >> 1) << 2;
      const highShift = quarter << 1;
      const to = i + 16 * g;
      for (let e = 0; e < 16; e++) {
        const q =
          (((bytes[low + e] as number) >> lowShift) & 15) |
          ((((bytes[high + e] as number) >> highShift) & 3) << 4);
        floats[to + e] = scale * (q - 32);
      }
    }
  },
  encode(floats, i, bytes, p) {
    let extreme = 0;
    let reach = 0;
    for (let g = 0; g < 16; g++) {
      const s = fitScale(floats, i + 16 * g, 16, 32);
      if (Number.isNaN(s)) notFinite("q6_K", floats, i, 256);
      scales[g] = s;
      if (Math.abs(s) > reach) {
        reach = Math.abs(s);
        extreme = s;
      }
    }
    // The largest sub-block scale becomes -128, the end of a signed byte that reaches further.
    const d = storeScale("q6_K", extreme / -128, bytes, p + 208);
    for (let g = 0; g < 16; g++) {
      const s = d !== 0 ? clamp(nearest((scales[g] as number) / d), -128, 127) : 0;
      bytes[p + 192 + g] = s;
      const inverse = s !== 0 ? 1 / (d * s) : 0;
      for (let k = 16 * g; k < 16 * g + 16; k++) {
        const q = ((floats[i + k] as number) * inverse + 32.5) | 0;
        codes[k] = q < 0 ? 0 : q > 63 ? 63 : q;
      }
    }
    for (let half = 0; half < 2; half++)
      for (let k = 0; k < 32; k++) {
        const c0 = codes[128 * half + k] as number;
        const c1 = codes[128 * half + 32 + k] as number;
        const c2 = codes[128 * half + 64 + k] as number;
        const c3 = codes[128 * half + 96 + k] as number;
        bytes[p + 64 * half + k] = (c0 & 15) | ((c2 & 15) << 4);
        bytes[p + 64 * half + 32 + k] = (c1 & 15) | ((c3 & 15) << 4);
        bytes[p + 128 + 32 * half + k] = (c0 >> 4) | ((c1 >> 4) << 2) | ((c2 >> 4) << 4) | ((c3 >> 4) << 6);
      }
  },
});
