/** The derivatives of both norms, by what goes in and by the weight. (That of the bias is a sum of rows.) */
import { expectTensor, F32, type OpDefinition, require } from "./define.ts";
import type { Tensor } from "./tensor.ts";

/** `rms` is that of {@link RmsNorm}, `layer` that of {@link LayerNorm}. */
export const norms = ["rms", "layer"] as const;
export type NormName = (typeof norms)[number];

/**
 * The derivative of a norm by what goes in. For each row i, with w = weight[i mod g], means over the row's d elements:
 *
 * `dx[i] = c[i] + ρ · (w·dy[i] − mean(w·dy[i]) − x̂ · mean(w·dy[i]·x̂))`, where
 * - `layer`: μ = mean(x[i]), ρ = 1 / √(mean((x[i] − μ)²) + eps), x̂ = (x[i] − μ)·ρ;
 * - `rms`: ρ = 1 / √(mean(x[i]²) + eps), x̂ = x[i]·ρ, and the term mean(w·dy[i]) is left out.
 *
 * x, dy, dx f32 [n, d]; weight f32 [g, d]; c, where given, f32 [n, d]: what has come back to x by other ways (the
 * residual stream). The statistics are computed anew from x. A row's element is written after all that is read of
 * that row's places, so dx may take the place of x, dy or c. Sums are f32 or wider in an order that d decides; the
 * error is at most `γ · ρ · (|w·dy| + mean|w·dy| + |x̂|·mean|w·dy·x̂|) + 2⁻²⁴·|c|`, γ that of 2d + 12 roundings, where
 * for `layer` |x̂| stands for |x̂| + mean|x|·ρ.
 */
export interface NormGrad {
  readonly kind: "norm_grad";
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly dy: Tensor;
  readonly c?: Tensor | undefined;
  readonly dx: Tensor;
  readonly eps: number;
  readonly norm: NormName;
}

function checkRows(kind: string, rows: Readonly<Record<string, Tensor>>, weight: Tensor, eps: number): void {
  const { x } = rows;
  for (const [field, tensor] of Object.entries(rows))
    expectTensor(kind, field, tensor, F32, tensor === x ? [undefined, undefined] : x!.shape);
  expectTensor(kind, "the weight", weight, F32, [undefined, x!.dim(1)]);
  require(kind, weight.dim(0) > 0 && x!.dim(0) % weight.dim(0) === 0, () =>
    `${x!.dim(0)} rows of x are no multiple of the ${weight.dim(0)} rows of the weight`);
  require(kind, eps >= 0 && Number.isFinite(eps), () => `eps is ${eps}, but must be finite and not negative`);
}

export const normGradDefinition: OpDefinition<NormGrad> = {
  kind: "norm_grad",
  reads: ["x", "weight", "dy", "c?"],
  writes: ["dx"],
  numbers: ["eps"],
  words: { norm: norms },
  inPlace: true,
  check({ x, weight, dy, c, dx, eps }) {
    checkRows("norm_grad", { x, dy, ...(c && { c }), dx }, weight, eps);
  },
  operations: ({ x }) => 12 * x.elements,
};

/**
 * The derivative of a norm by its weight: `dweight[r] = c[r] + Σ dy[i]·x̂[i]` over the rows i with i mod g = r, with
 * x̂ as in {@link NormGrad}.
 *
 * x, dy f32 [n, d]; c, where given, and dweight f32 [g, d]; c may be dweight itself, but must not overlap it
 * otherwise. Sums over rows are f32 or wider, in an order that n, d and g decide; the error is at most
 * `γ · (|c| + Σ|dy·x̂|)`, γ that of n/g + d + 8 roundings.
 */
export interface NormWeightGrad {
  readonly kind: "norm_weight_grad";
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly c?: Tensor | undefined;
  readonly dweight: Tensor;
  readonly eps: number;
  readonly norm: NormName;
}

export const normWeightGradDefinition: OpDefinition<NormWeightGrad> = {
  kind: "norm_weight_grad",
  reads: ["x", "dy", "c?"],
  writes: ["dweight"],
  numbers: ["eps"],
  words: { norm: norms },
  check({ x, dy, c, dweight, eps }) {
    checkRows("norm_weight_grad", { x, dy }, dweight, eps);
    if (c) expectTensor("norm_weight_grad", "c", c, F32, dweight.shape);
  },
  operations: ({ x }) => 7 * x.elements,
};
