/** Ops that move values and compute nothing. */
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
