/** Adjoint of the product of two matrices. */
import { matmul, type Tensor } from "../ops/index.ts";
import type { Adjoint, Backward, OpOf } from "./adjoint.ts";

/** A product, of a batch or of each matrix of it, whose first operand is transposed or not. */
type Product = readonly [first: Tensor, transposeA: boolean, second: Tensor, transposeB: boolean];

/** Adds a product to the gradient of x; where x is one matrix for all of the batch, the sum over the batch. */
function addProduct(
  back: Backward,
  x: Tensor,
  [a, transposeA, b, transposeB]: Product,
  { y: { shape }, precision }: OpOf<"matmul">,
): void {
  const batch = shape[0]!;
  const part = (t: Tensor, i: number): Tensor => (t.dim(0) === 1 ? t : t.rows(i, i + 1));
  back.add(x, (y, c) => {
    if (x.dim(0) === batch) matmul(back.s, a, b, { transposeA, transposeB, precision, y, c });
    else
      for (let i = 0; i < batch; i++)
        matmul(back.s, part(a, i), part(b, i), {
          ...{ transposeA, transposeB, precision, y },
          c: i === 0 ? c : y,
        });
  });
}

export const matmulAdjoint: Adjoint<"matmul"> = (op, back) => {
  const { a, b, c, y } = op;
  const [turnedA, turnedB] = [op.transposeA === 1, op.transposeB === 1];
  const dy = back.of(y);
  if (back.wants(a)) {
    const other = back.value(b);
    addProduct(back, a, turnedA ? [other, turnedB, dy, true] : [dy, false, other, !turnedB], op);
  }
  if (back.wants(b)) {
    const other = back.value(a);
    addProduct(back, b, turnedB ? [dy, true, other, turnedA] : [other, !turnedA, dy, false], op);
  }
  if (back.wants(c)) back.pass(c, dy);
};
