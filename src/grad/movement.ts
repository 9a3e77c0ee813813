/** Adjoints of ops that move values, and of sums: each is the other's way back. */
import { gather, matmul, scatterAdd, type Tensor } from "../ops/index.ts";
import type { Adjoint, Backward } from "./adjoint.ts";

export const gatherAdjoint: Adjoint<"gather"> = ({ x, index, y }, back) => {
  const dy = back.of(y);
  back.add(x, (dx, c) => scatterAdd(back.s, dy, index, x.dim(0), { y: dx, c }));
};

export const copyAdjoint: Adjoint<"copy"> = ({ x, y }, back) => back.pass(x, back.of(y));

/** Rounding is taken for the identity: a gradient is f32, whatever the format of what it is the gradient of. */
export const castAdjoint: Adjoint<"cast"> = ({ x, y }, back) => back.pass(x, back.of(y));

/** [p, q] to [n, d], where p is n or 1 and q is d or 1. */
function broadcast({ s }: Backward, x: Tensor, n: number, d: number): Tensor {
  const rows = x.dim(0) === n ? x : gather(s, x, s.constant(new Int32Array(n)));
  return x.dim(1) === d
    ? rows
    : matmul(s, rows, s.constant(new Float32Array(d).fill(1), [1, d]), { precision: "f32" });
}

export const sumAdjoint: Adjoint<"sum"> = ({ x, c, y }, back) => {
  const dy = back.of(y);
  if (back.wants(x)) back.pass(x, broadcast(back, dy, x.dim(0), x.dim(1)));
  if (back.wants(c)) back.pass(c, dy);
};

export const scatterAddAdjoint: Adjoint<"scatter_add"> = ({ x, index, c, y }, back) => {
  const dy = back.of(y);
  if (back.wants(x)) back.pass(x, gather(back.s, dy, index));
  if (back.wants(c)) back.pass(c, dy);
};
