/** Sums over rows, over columns, and over the rows that share an index: what broadcasts and look-ups turn back into. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `y[p, q] = c[p, q] + Σ x[i, j]` over the i and j that y does not tell apart: y is [1, d] (the sum of the rows),
 * [n, 1] (the sum of each row), [1, 1] (of all) or, as nothing is to be summed, [n, d].
 *
 * x f32 [n, d]; c, where given, and y f32; c may be y itself, to add to a gradient, but must not overlap it otherwise.
 * Sums are f32 or wider; their order depends on n and d alone, so its error is at most `γ · (|c| + Σ|x|)` with γ that
 * of as many roundings as there are terms.
 */
export interface Sum {
  readonly kind: "sum";
  readonly x: Tensor;
  readonly c?: Tensor | undefined;
  readonly y: Tensor;
}

export const sumDefinition: OpDefinition<Sum> = {
  kind: "sum",
  reads: ["x", "c?"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, c, y }) {
    expectTensor("sum", "x", x, F32, [undefined, undefined]);
    expectTensor("sum", "y", y, F32, [undefined, undefined]);
    const [[n, d], [p, q]] = [x.shape, y.shape];
    require("sum", (p === n || p === 1) && (q === d || q === 1), () =>
      `y is ${y}, to which ${x} cannot be summed`);
    if (c) expectTensor("sum", "c", c, F32, y.shape);
  },
  operations: ({ x }) => x.elements,
};

export interface SumOptions {
  /** Is added to the sums. */
  readonly c?: Tensor | undefined;
  /** Takes the result; by default new memory of the step. */
  readonly y?: Tensor | undefined;
}

/** See {@link Sum}; `shape` is that of y. */
export function sum(
  s: Stream,
  x: Tensor,
  shape: readonly [number, number],
  { c, y = s.empty("f32", shape) }: SumOptions = {},
): Tensor {
  s.push({ kind: "sum", x, c, y });
  return y;
}

/**
 * `y[r] = c[r] + Σ x[i]` over the i with index[i] = r, in increasing order, beginning with c (0 where c is absent)
 *
 * x f32 [n, d]; index i32 [n], each in [0, m) (the caller checks: a device leaves out a row whose index is out of
 * range, and never touches memory outside y); c, where given, and y f32 [m, d]; c may be y itself, to add to a
 * gradient, but must not overlap it otherwise. Sums are f32 or wider. Without c all of y is written, with zeros where
 * no index points; with c the same as y, only the rows that an index points at need be touched.
 */
export interface ScatterAdd {
  readonly kind: "scatter_add";
  readonly x: Tensor;
  readonly index: Tensor;
  readonly c?: Tensor | undefined;
  readonly y: Tensor;
}

export const scatterAddDefinition: OpDefinition<ScatterAdd> = {
  kind: "scatter_add",
  reads: ["x", "index", "c?"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, index, c, y }) {
    expectTensor("scatter_add", "x", x, F32, [undefined, undefined]);
    expectTensor("scatter_add", "index", index, I32, [x.dim(0)]);
    expectTensor("scatter_add", "y", y, F32, [undefined, x.dim(1)]);
    if (c) expectTensor("scatter_add", "c", c, F32, y.shape);
  },
  operations: ({ x }) => x.elements,
  bytes({ x, index, c, y }) {
    const inPlace = c !== undefined && c.storage === y.storage && c.offset === y.offset;
    return index.bytes + x.bytes + (inPlace ? 2 * x.bytes : y.bytes + (c?.bytes ?? 0));
  },
};

/** See {@link ScatterAdd}; y has `rows` rows. */
export function scatterAdd(
  s: Stream,
  x: Tensor,
  index: Tensor,
  rows: number,
  { c, y = s.empty("f32", [rows, x.dim(1)]) }: SumOptions = {},
): Tensor {
  s.push({ kind: "scatter_add", x, index, c, y });
  return y;
}
