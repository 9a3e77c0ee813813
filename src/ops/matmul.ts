/** The product of two matrices that are both activations (or gradients), either of them transposed. */
import { expectTensor, F32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `y[i, r, j] = c[i, r, j] + Σ_k op(a[i])[r, k] · op(b[i])[k, j]`, op being the transpose where its number is 1
 *
 * a f32 or bf16 [batch, n, k], or [batch, k, n] when transposeA is 1; b f32 or bf16 [batch, k, m], or
 * [batch, m, k] when transposeB is 1; either may have one matrix for all of the batch. c, where given, and y
 * f32 [batch, n, m]; c may be y itself, to add to a gradient, but must not overlap it otherwise.
 *
 * Sums are f32 or wider; a result's order of summation depends on k alone. With the precision `f32` the numbers
 * are multiplied exactly as given, and the error is at most `γ · (|c| + Σ|a||b|)` with γ that of k + 2 roundings.
 *
 * With `bf16`, a and b are first rounded to bf16 (to nearest, ties to even), whichever format they come in; that
 * bound holds for the rounded ones, but a device may take any operand, product or sum of less than 2⁻¹²⁶, where
 * numbers are denormal, for zero.
 */
export interface Matmul {
  readonly kind: "matmul";
  readonly a: Tensor;
  readonly b: Tensor;
  readonly c?: Tensor | undefined;
  readonly y: Tensor;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly precision: Precision;
}

/** What the operands of a {@link Matmul} are rounded to. */
export const precisions = ["f32", "bf16"] as const;
export type Precision = (typeof precisions)[number];

const FLOATS = ["f32", "bf16"] as const;
const ANY = [undefined, undefined, undefined] as const;

/** Rows and columns of an operand, after its transpose. */
const sizes = (x: Tensor, transpose: number): readonly [number, number] =>
  transpose === 1 ? [x.dim(2), x.dim(1)] : [x.dim(1), x.dim(2)];

export const matmulDefinition: OpDefinition<Matmul> = {
  kind: "matmul",
  reads: ["a", "b", "c?"],
  writes: ["y"],
  numbers: ["transposeA", "transposeB"],
  words: { precision: precisions },
  check({ a, b, c, y, transposeA, transposeB }) {
    for (const [field, value] of Object.entries({ transposeA, transposeB }))
      require("matmul", value === 0 || value === 1, () => `${field} is ${value}, but must be 0 or 1`);
    expectTensor("matmul", "a", a, FLOATS, ANY);
    expectTensor("matmul", "b", b, FLOATS, ANY);
    const [[n, k], [depth, m]] = [sizes(a, transposeA), sizes(b, transposeB)];
    require("matmul", k === depth, () => `a, ${a}, sums over ${k}, but b, ${b}, over ${depth}`);
    const batch = a.dim(0) === 1 ? b.dim(0) : a.dim(0);
    require("matmul", b.dim(0) === batch || b.dim(0) === 1, () =>
      `a, ${a}, and b, ${b}, have batches of different sizes, and neither is 1`);
    expectTensor("matmul", "y", y, F32, [batch, n, m]);
    if (c) expectTensor("matmul", "c", c, F32, [batch, n, m]);
  },
  operations: ({ a, y, transposeA }) => 2 * y.elements * sizes(a, transposeA)[1],
};

export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Of the operands; by default that of the stream. */
  readonly precision?: Precision | undefined;
  /** Is added to the product. */
  readonly c?: Tensor | undefined;
  /** Takes the result; by default new memory of the step. */
  readonly y?: Tensor | undefined;
}

/** See {@link Matmul}; a matrix without a batch is one for all, and two of them give one. */
export function matmul(s: Stream, a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const [transposeA, transposeB] = [Number(options.transposeA ?? false), Number(options.transposeB ?? false)];
  const flat = a.shape.length === 2 && b.shape.length === 2;
  const batched = (x: Tensor): Tensor => (x.shape.length === 2 ? x.reshape(1, ...x.shape) : x);
  const [left, right] = [batched(a), batched(b)];
  const batch = left.dim(0) === 1 ? right.dim(0) : left.dim(0);
  const shape = [left.dim(transposeA === 1 ? 2 : 1), right.dim(transposeB === 1 ? 1 : 2)];
  const y = options.y ?? s.empty("f32", flat ? shape : [batch, ...shape]);
  const c = options.c && batched(options.c);
  const precision = options.precision ?? s.precision;
  s.push({ kind: "matmul", a: left, b: right, c, y: batched(y), transposeA, transposeB, precision });
  return y;
}
