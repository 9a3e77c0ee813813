/** Checksums of memory, by which damage of what was kept in a file is found. They guard against nobody's intent. */
import { expectTensor, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/** Bytes that have a sum of their own. */
export const CHECKSUM_BYTES = 1 << 18;
const CHUNK = CHECKSUM_BYTES / 4;

/**
 * Two words for each 65,536 words of x, by arithmetic modulo 2^32 with `turn(v, b)` turning bits to the left:
 *
 * 64 lanes begin with a_l = l + 1; word i of the chunk makes `a_l ← turn((a_l ⊕ x_i) · 0x9e3779b1, 15)` of lane
 * l = i mod 64. The sums begin with the chunk's number of words; each lane in order makes
 * `y_0 ← turn((y_0 ⊕ a_l) · 0x9e3779b1, 15)` and `y_1 ← turn((y_1 + a_l) · 0x85ebca77, 13)`.
 *
 * Every step can be undone, so a change of one word, or of words of one lane that leave its end changed, is
 * always seen. x i32 [n], n a multiple of 16; y i32 [⌈n / 65536⌉, 2].
 */
export interface Checksum {
  readonly kind: "checksum";
  readonly x: Tensor;
  readonly y: Tensor;
}

export const checksumDefinition: OpDefinition<Checksum> = {
  kind: "checksum",
  reads: ["x"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, y }) {
    expectTensor("checksum", "x", x, I32, [undefined]);
    require("checksum", x.dim(0) % 16 === 0, () => `x is ${x}, but must have a multiple of 16 words`);
    expectTensor("checksum", "y", y, I32, [Math.ceil(x.dim(0) / CHUNK), 2]);
  },
  operations: ({ x }) => 3 * x.elements,
};

/** See {@link Checksum}. */
export function checksum(s: Stream, x: Tensor): Tensor {
  const y = s.empty("i32", [Math.ceil(x.dim(0) / CHUNK), 2]);
  s.push({ kind: "checksum", x, y });
  return y;
}
