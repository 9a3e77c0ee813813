/** Normalizations over the last dimension. */
import { expectTensor, F32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `y[i] = x[i] / √(mean(x[i]²) + eps) · weight[i mod g]` (Zhang and Sennrich 2019)
 *
 * x, y f32 [n, d]; weight f32 [g, d]: row i uses weight row `i mod g`, so that g heads of one token may each
 * have their own; g is 1 for an ordinary norm.
 */
export interface RmsNorm {
  readonly kind: "rmsnorm";
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly y: Tensor;
  readonly eps: number;
}

/**
 * `y[i] = (x[i] − mean(x[i])) / √(var(x[i]) + eps) · weight[i mod g] + bias[i mod g]` (Ba et al. 2016), with
 * the variance of the whole row. Shapes as {@link RmsNorm}; bias f32 [g, d] or absent.
 */
export interface LayerNorm {
  readonly kind: "layernorm";
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor | undefined;
  readonly y: Tensor;
  readonly eps: number;
}

function check({ kind, x, weight, y, eps }: RmsNorm | LayerNorm): void {
  expectTensor(kind, "x", x, F32, [undefined, undefined]);
  expectTensor(kind, "weight", weight, F32, [undefined, x.dim(1)]);
  expectTensor(kind, "y", y, F32, x.shape);
  require(kind, weight.dim(0) > 0 && x.dim(0) % weight.dim(0) === 0, () =>
    `${x.dim(0)} rows of x are no multiple of the ${weight.dim(0)} rows of weight`);
  require(kind, eps >= 0 && Number.isFinite(eps), () => `eps is ${eps}, but must be finite and not negative`);
}

export const rmsNormDefinition: OpDefinition<RmsNorm> = {
  kind: "rmsnorm",
  reads: ["x", "weight"],
  writes: ["y"],
  numbers: ["eps"],
  words: {},
  check,
  operations: ({ x }) => 4 * x.elements,
};

export const layerNormDefinition: OpDefinition<LayerNorm> = {
  kind: "layernorm",
  reads: ["x", "weight", "bias?"],
  writes: ["y"],
  numbers: ["eps"],
  words: {},
  check(op) {
    check(op);
    if (op.bias) expectTensor("layernorm", "bias", op.bias, F32, op.weight.shape);
  },
  operations: ({ x }) => 7 * x.elements,
};

/** See {@link RmsNorm}. */
export function rmsNorm(s: Stream, x: Tensor, weight: Tensor, eps: number): Tensor {
  const y = s.empty("f32", x.shape);
  s.push({ kind: "rmsnorm", x, weight, y, eps });
  return y;
}

/** See {@link LayerNorm}. */
export function layerNorm(
  s: Stream,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  eps: number,
): Tensor {
  const y = s.empty("f32", x.shape);
  s.push({ kind: "layernorm", x, weight, bias, y, eps });
  return y;
}
