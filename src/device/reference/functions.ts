/** The functions inside the ops, in f64: activations and the softmax. Knows no memory and no shapes. */
import type { ActivationName } from "../../ops/index.ts";
import type { Floats } from "./memory.ts";

/**
 * The error function, to about 1e-15: `erf(x) = 2/√π · e^(−x²) · Σ_n 2ⁿ x^(2n+1) / (1·3·…·(2n+1))`
 * (Abramowitz and Stegun, 7.1.6), all of whose terms have one sign; beyond 6 it is ±1 in f64.
 */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const functions: Readonly<Record<ActivationName, (x: number) => number>> = {
  silu: (x) => x * sigmoid(x),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(x, 0),
  relu2: (x) => Math.max(x, 0) ** 2,
  tanh: Math.tanh,
  sigmoid,
};

const one = new Float32Array(1);
const bitsOfOne = new Uint32Array(one.buffer);

/** The bits of the bf16 nearest to an f32, ties to even; a NaN becomes quiet. */
export function bf16Bits(x: number): number {
  one[0] = x;
  const bits = bitsOfOne[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The bf16 nearest to an f32. */
export function toBf16(x: number): number {
  bitsOfOne[0] = bf16Bits(x) << 16;
  return one[0]!;
}

/** The density of the normal distribution. */
const bell = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

function slopeOfSilu(x: number): number {
  const s = sigmoid(x);
  return s * (1 + x * (1 - s));
}

function slopeOfGeluTanh(x: number): number {
  const inner = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  const t = Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner;
}

/** Of each function; 0 at the kinks. */
export const derivatives: Readonly<Record<ActivationName, (x: number) => number>> = {
  silu: slopeOfSilu,
  gelu: (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + x * bell(x),
  gelu_tanh: slopeOfGeluTanh,
  quick_gelu: (x) => slopeOfSilu(1.702 * x),
  relu: (x) => (Number.isNaN(x) ? x : Number(x > 0)),
  relu2: (x) => 2 * Math.max(x, 0),
  tanh: (x) => 1 - Math.tanh(x) ** 2,
  sigmoid: (x) => sigmoid(x) * (1 - sigmoid(x)),
};

/** Softmax of the first `count` numbers. */
export function softmax(scores: Floats, count: number): Float64Array {
  let max = -Infinity;
  for (let j = 0; j < count; j++) max = Math.max(max, scores[j]!);
  const result = new Float64Array(count);
  let sum = 0;
  for (let j = 0; j < count; j++) sum += result[j] = Math.exp(scores[j]! - max);
  for (let j = 0; j < count; j++) result[j]! /= sum;
  return result;
}
