/** Ops that move values and compute nothing, but for the rounding of a cast. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/** `y[i] = x[index[i]]`; x f32 [m, d]; index i32 [n], each in [0, m) (the caller checks); y f32 [n, d]. */
export interface Gather {
  readonly kind: "gather";
  readonly x: Tensor;
  readonly index: Tensor;
  readonly y: Tensor;
}

export const gatherDefinition: OpDefinition<Gather> = {
  kind: "gather",
  reads: ["x", "index"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, index, y }) {
    expectTensor("gather", "x", x, F32, [undefined, undefined]);
    expectTensor("gather", "index", index, I32, [undefined]);
    require("gather", x.dim(0) > 0 || index.elements === 0, () => `${x} has no rows to read`);
    expectTensor("gather", "y", y, F32, [index.dim(0), x.dim(1)]);
  },
  operations: () => 0,
  bytes: ({ index, y }) => index.bytes + 2 * y.bytes,
};

/** See {@link Gather}. */
export function gather(s: Stream, x: Tensor, index: Tensor): Tensor {
  const y = s.empty("f32", [index.dim(0), x.dim(1)]);
  s.push({ kind: "gather", x, index, y });
  return y;
}

/**
 * `y = x`, byte for byte; the same dtype and number of elements, in rows, not overlapping. Not of i8_row, whose bytes
 * depend on the shape.
 */
export interface Copy {
  readonly kind: "copy";
  readonly x: Tensor;
  readonly y: Tensor;
}

/**
 * `y = x` in another float format; x f32 and y bf16, or the other way round, of any shapes with as many elements.
 * To bf16 it rounds to nearest, ties to even; a NaN stays one.
 */
export interface Cast {
  readonly kind: "cast";
  readonly x: Tensor;
  readonly y: Tensor;
}

export const castDefinition: OpDefinition<Cast> = {
  kind: "cast",
  reads: ["x"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, y }) {
    const [one, other] = [x.dtype === "f32" ? x : y, x.dtype === "f32" ? y : x];
    const fits = one.dtype === "f32" && other.dtype === "bf16" && x.layout === "rows" && y.layout === "rows";
    require("cast", fits && x.elements === y.elements, () => `${x} cannot be cast to ${y}`);
  },
  operations: ({ x }) => x.elements,
};

/** See {@link Cast}. */
export function cast(s: Stream, x: Tensor, dtype: "f32" | "bf16"): Tensor {
  const y = s.empty(dtype, x.shape);
  s.push({ kind: "cast", x, y });
  return y;
}

export const copyDefinition: OpDefinition<Copy> = {
  kind: "copy",
  reads: ["x"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, y }) {
    const fits =
      x.dtype === y.dtype && x.elements === y.elements && x.layout === "rows" && y.layout === "rows";
    require("copy", fits && x.dtype !== "i8_row", () => `${x} cannot be copied to ${y}`);
  },
  operations: () => 0,
};
