/**
 * Ops of training's end of a step: the norm of gradients, the factor that clips them, AdamW, and the average of
 * weights. What changes from step to step comes in small tensors, so that a recorded step can be run again; what
 * is computed on the way stays on the device.
 */
import { expectTensor, F32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `y = c + Σ x²` over all elements; x f32 of any shape; c, where given, and y f32 [1]; c may be y itself.
 *
 * Sums are f32 or wider, in an order that the number of elements alone decides; each element goes through fewer
 * than 1024 roundings.
 */
export interface SumSquares {
  readonly kind: "sum_squares";
  readonly x: Tensor;
  readonly c?: Tensor | undefined;
  readonly y: Tensor;
}

/**
 * `y = scale · min(1, limit / (scale · √squares))`: what gradients are multiplied by, so that those which were
 * summed with the weight 1 / scale have a norm of at most `limit` (Pascanu et al. 2013). squares, y f32 [1].
 * Infinite squares give 0, NaN gives NaN.
 */
export interface Clip {
  readonly kind: "clip";
  readonly squares: Tensor;
  readonly y: Tensor;
  readonly scale: number;
  readonly limit: number;
}

/**
 * AdamW (Loshchilov and Hutter 2019) for every element, with `rates` f32 [3] = [lr, 1/(1 − β1ᵗ), 1/(1 − β2ᵗ)]
 * and `factor` f32 [1], which multiplies the gradient:
 *
 *     g = factor · gradient
 *     mean ← mean + (1 − β1) · (g − mean)
 *     square ← square + (1 − β2) · (g² − square)
 *     weight ← weight − lr · (mean · rates₁ / (√(square · rates₂) + eps) + decay · weight)
 *
 * weight, mean, square and gradient f32 of any shapes with as many elements; the first three are read and
 * written. `copy`, where given, bf16, gets the new weight rounded to nearest even.
 */
export interface Adamw {
  readonly kind: "adamw";
  readonly gradient: Tensor;
  readonly rates: Tensor;
  readonly factor: Tensor;
  readonly weight: Tensor;
  readonly mean: Tensor;
  readonly square: Tensor;
  readonly copy?: Tensor | undefined;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly decay: number;
}

/** `y ← y + rate · (x − y)`: a moving average; x, y f32 of any shapes with as many elements, rate f32 [1]. */
export interface Average {
  readonly kind: "average";
  readonly x: Tensor;
  readonly rate: Tensor;
  readonly y: Tensor;
}

function expectFlat(kind: string, field: string, tensor: Tensor, like: Tensor, dtype: "f32" | "bf16"): void {
  const fits = tensor.dtype === dtype && tensor.layout === "rows" && tensor.elements === like.elements;
  require(kind, fits, () => `${field} is ${tensor}, but must be ${dtype} with ${like.elements} elements`);
}

const within = (kind: string, field: string, value: number, low: number, high: number): void =>
  require(kind, value >= low && value < high, () => `${field} is ${value}, but must be in [${low}, ${high})`);

export const sumSquaresDefinition: OpDefinition<SumSquares> = {
  kind: "sum_squares",
  reads: ["x", "c?"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, c, y }) {
    expectFlat("sum_squares", "x", x, x, "f32");
    if (c) expectTensor("sum_squares", "c", c, F32, [1]);
    expectTensor("sum_squares", "y", y, F32, [1]);
  },
  operations: ({ x }) => 2 * x.elements,
};

export const clipDefinition: OpDefinition<Clip> = {
  kind: "clip",
  reads: ["squares"],
  writes: ["y"],
  numbers: ["scale", "limit"],
  words: {},
  check({ squares, y, scale, limit }) {
    expectTensor("clip", "squares", squares, F32, [1]);
    expectTensor("clip", "y", y, F32, [1]);
    for (const [field, value] of Object.entries({ scale, limit }))
      require("clip", value > 0, () => `${field} is ${value}, but must be positive`);
    require("clip", scale < Infinity, () => `scale is ${scale}, but must be finite`);
  },
  operations: () => 4,
};

export const adamwDefinition: OpDefinition<Adamw> = {
  kind: "adamw",
  reads: ["gradient", "rates", "factor", "weight", "mean", "square"],
  writes: ["weight", "mean", "square", "copy?"],
  numbers: ["beta1", "beta2", "eps", "decay"],
  words: {},
  check({ gradient, rates, factor, weight, mean, square, copy, beta1, beta2, eps, decay }) {
    expectFlat("adamw", "weight", weight, weight, "f32");
    for (const [field, tensor] of Object.entries({ gradient, mean, square }))
      expectFlat("adamw", field, tensor, weight, "f32");
    if (copy) expectFlat("adamw", "copy", copy, weight, "bf16");
    expectTensor("adamw", "rates", rates, F32, [3]);
    expectTensor("adamw", "factor", factor, F32, [1]);
    within("adamw", "beta1", beta1, 0, 1);
    within("adamw", "beta2", beta2, 0, 1);
    within("adamw", "eps", eps, 0, Infinity);
    within("adamw", "decay", decay, 0, Infinity);
  },
  operations: ({ weight }) => 16 * weight.elements,
};

export const averageDefinition: OpDefinition<Average> = {
  kind: "average",
  reads: ["x", "rate", "y"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, rate, y }) {
    expectFlat("average", "y", y, y, "f32");
    expectFlat("average", "x", x, y, "f32");
    expectTensor("average", "rate", rate, F32, [1]);
  },
  operations: ({ y }) => 3 * y.elements,
};

/** See {@link SumSquares}; over several tensors, in the order given. */
export function sumSquares(s: Stream, tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 0) return s.constant(Float32Array.of(0));
  const y = s.empty("f32", [1]);
  for (const [i, x] of tensors.entries()) s.push({ kind: "sum_squares", x, c: i > 0 ? y : undefined, y });
  return y;
}

/** See {@link Clip}; an infinite limit gives the scale alone. */
export function clip(s: Stream, squares: Tensor, limit: number, scale = 1): Tensor {
  const y = s.empty("f32", [1]);
  s.push({ kind: "clip", squares, y, scale, limit });
  return y;
}

/** See {@link Adamw}. */
export function adamw(s: Stream, fields: Omit<Adamw, "kind">): void {
  s.push({ kind: "adamw", ...fields });
}

/** See {@link Average}. */
export function average(s: Stream, x: Tensor, rate: Tensor, y: Tensor): void {
  s.push({ kind: "average", x, rate, y });
}
