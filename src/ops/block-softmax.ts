/** What a draw must know of each block of a row of logits, so that it need not read them all. */
import { expectTensor, F32, type OpDefinition } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/** Columns of a block; the last of a row may have fewer. */
export const SOFTMAX_BLOCK = 64;

/**
 * The largest element of each block b of 64 columns of a row, and, for each of the row's scales, the sum of the block's
 * exponentials around it:
 *
 * `y[i, 0, b] = max_j x[i, j]`; `y[i, 1 + t, b] = Σ_j exp(scales[i, t] · (x[i, j] − y[i, 0, b]))`, j in b
 *
 * A scale of 0 asks for no sum: 0 is written. So it is in a block of nothing but −∞. A block with NaN has NaN as its
 * largest element, and sums of no meaning; so has one with +∞ sums of no meaning.
 *
 * x f32 [n, d]; scales f32 [n, s], from 0 to 1e38 (the caller checks); y f32 [n, 1 + s, ⌈d / 64⌉]. The maximum is exact.
 * Sums are f32 or wider, in an order that the device alone decides. With z the exponents, their error is at most
 * `Σ (γ + γ' |z|) · exp(z)`, γ that of 16 roundings and γ' that of 4, and a number that is not normal for each element.
 */
export interface BlockSoftmax {
  readonly kind: "block_softmax";
  readonly x: Tensor;
  readonly scales: Tensor;
  readonly y: Tensor;
}

const blocksOf = (x: Tensor): number => Math.ceil(x.dim(1) / SOFTMAX_BLOCK);

export const blockSoftmaxDefinition: OpDefinition<BlockSoftmax> = {
  kind: "block_softmax",
  reads: ["x", "scales"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, scales, y }) {
    expectTensor("block_softmax", "x", x, F32, [undefined, undefined]);
    expectTensor("block_softmax", "scales", scales, F32, [x.dim(0), undefined]);
    expectTensor("block_softmax", "y", y, F32, [x.dim(0), 1 + scales.dim(1), blocksOf(x)]);
  },
  operations: ({ x, scales }) => (1 + 8 * scales.dim(1)) * x.elements,
};

/** See {@link BlockSoftmax}. */
export function blockSoftmax(s: Stream, x: Tensor, scales: Tensor): Tensor {
  const y = s.empty("f32", [x.dim(0), 1 + scales.dim(1), blocksOf(x)]);
  s.push({ kind: "block_softmax", x, scales, y });
  return y;
}
