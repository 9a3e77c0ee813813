/** Adjoints of the pointwise ops. */
import { activationGrad, add, gatedGrad, mul, scale, sum, type Tensor } from "../ops/index.ts";
import type { Adjoint, Backward } from "./adjoint.ts";

export const activationAdjoint: Adjoint<"activation"> = ({ x, y, fn }, back) => {
  back.pass(x, activationGrad(back.s, back.value(x), back.of(y), fn));
};

export const gatedAdjoint: Adjoint<"gated"> = ({ gate, up, y, fn }, back) => {
  const { dgate, dup } = gatedGrad(back.s, back.value(gate), back.value(up), back.of(y), fn);
  if (back.wants(gate)) back.pass(gate, dgate);
  if (back.wants(up)) back.pass(up, dup);
};

/** To an operand that is the same for all rows, or for all of a row, comes back the sum over them. */
function passSum(back: Backward, x: Tensor, contribution: Tensor): void {
  const [n = 0, d = 0] = x.shape;
  if (x.elements === contribution.elements) back.pass(x, contribution);
  else back.add(x, (y, c) => sum(back.s, contribution, [n, d], { y, c }));
}

export const addAdjoint: Adjoint<"add"> = ({ a, b, y }, back) => {
  const dy = back.of(y);
  if (back.wants(a)) back.pass(a, dy);
  if (back.wants(b)) passSum(back, b, dy);
};

export const mulAdjoint: Adjoint<"mul"> = ({ a, b, y }, back) => {
  const dy = back.of(y);
  if (back.wants(a)) back.pass(a, mul(back.s, dy, back.value(b)));
  if (back.wants(b)) passSum(back, b, mul(back.s, dy, back.value(a)));
};

export const scaleAdjoint: Adjoint<"scale"> = ({ x, y, factor }, back) => {
  back.pass(x, scale(back.s, back.of(y), factor));
};

/** `dx = dy − dy·(y / cap)²` */
export const softcapAdjoint: Adjoint<"softcap"> = ({ x, y, cap }, back) => {
  const { s } = back;
  const [dy, capped] = [back.of(y), back.value(y)];
  const loss = mul(s, scale(s, mul(s, capped, capped), -1 / cap ** 2), dy);
  back.pass(x, add(s, loss, dy));
};
