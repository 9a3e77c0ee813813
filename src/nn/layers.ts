/** The small layers: linear maps and norms as functions of (stream, x), made from named weights. */
import { layerNorm, linear, rmsNorm, type Stream, type Tensor } from "../ops/index.ts";
import type { MatrixOptions, Weights } from "./weights.ts";

/** [n, k] to [n, m]. */
export type Layer = (s: Stream, x: Tensor) => Tensor;

export interface LinearOptions extends MatrixOptions {
  /** Whether `name.bias` belongs to it: required, forbidden, or taken when it is there (default). */
  readonly bias?: boolean;
}

/** `name.weight` [m, k] and perhaps `name.bias` [m]. Options as for a matrix; `rows` also cuts the bias. */
export function linearLayer(
  w: Weights,
  name: string,
  m: number,
  k: number,
  { bias = w.has(`${name}.bias`), ...options }: LinearOptions = {},
): Layer {
  const weight = w.matrix(`${name}.weight`, [m, k], options);
  if (!bias) return (s, x) => linear(s, x, weight);
  const vector = w.bias(`${name}.bias`, m, options);
  return (s, x) => linear(s, x, weight, vector);
}

/** RMS norm over d; `plus` is added to the weight (Gemma stores weight − 1). */
export function rmsNormLayer(w: Weights, name: string, d: number, eps: number, plus = 0): Layer {
  const weight = w.vector(`${name}.weight`, d, { plus });
  return (s, x) => rmsNorm(s, x, weight, eps);
}

/** Layer norm over d, with `name.bias` when the checkpoint has it. */
export function layerNormLayer(w: Weights, name: string, d: number, eps: number): Layer {
  const weight = w.vector(`${name}.weight`, d);
  const bias = w.optionalVector(`${name}.bias`, d);
  return (s, x) => layerNorm(s, x, weight, bias, eps);
}

/** Applies a norm over heads of d elements: x [n, h·d] is seen as [n·h, d]. */
export function perHead(norm: Layer, d: number): Layer {
  return (s, x) => norm(s, x.reshape(x.elements / d, d)).reshape(...x.shape);
}

/**
 * Layer norm with weights of its own for each head, without bias: over x [n, heads·d]. Hugging Face files
 * hold `name.norms.H.weight` for each head H, GGUF files one `name.weight` [heads, d].
 */
export function stackedHeadNorm(w: Weights, name: string, heads: number, d: number, eps: number): Layer {
  const one = `${name}.weight`;
  const each = Array.from({ length: heads }, (_, h) => `${name}.norms.${h}.weight`);
  const weight = w.stacked(w.has(one) ? [one] : each, [heads, d]);
  return perHead((s, x) => layerNorm(s, x, weight, undefined, eps), d);
}
