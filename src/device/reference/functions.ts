/** The functions inside the ops, in f64: activations and the softmax. Knows no memory and no shapes. */
import type { ActivationName } from "../../ops/index.ts";

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

/** The bits of an f32 as those of the nearest bf16, ties to even; a NaN becomes quiet. */
export function bf16Bits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Softmax of the first `count` numbers. */
export function softmax(scores: Float32Array | Float64Array, count: number): Float64Array {
  let max = -Infinity;
  for (let j = 0; j < count; j++) max = Math.max(max, scores[j]!);
  const result = new Float64Array(count);
  let sum = 0;
  for (let j = 0; j < count; j++) sum += result[j] = Math.exp(scores[j]! - max);
  for (let j = 0; j < count; j++) result[j]! /= sum;
  return result;
}
