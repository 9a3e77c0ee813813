/** Adjoints of rotary positions and of attention within a batch. */
import { OpError } from "../base/errors.ts";
import { rope } from "../ops/index.ts";
import type { Adjoint } from "./adjoint.ts";

/** A rotation is undone by that of the negative angle; where it also stretches, that is still the transpose. */
export const ropeAdjoint: Adjoint<"rope"> = ({ x, cos, sin, y, style }, back) => {
  if (back.wants(cos) || back.wants(sin)) throw new OpError("rope", "has no derivative by its angles");
  back.pass(x, rope(back.s, back.of(y), back.value(cos), back.negative(back.value(sin)), style));
};

export const attendWithinAdjoint: Adjoint<"attend_within"> = (op, back) => {
  if (back.has(op.lse)) throw new OpError("attend_within", "has no derivative of lse");
  const { s } = back;
  const [q, k, v, y] = [back.value(op.q), back.value(op.k), back.value(op.v), back.value(op.y)];
  const [dq, dk, dv] = [q, k, v].map(({ shape }) => s.empty("f32", shape)) as [typeof q, typeof k, typeof v];
  const { offsets, scale, window, softcap, causal, longest, precision } = op;
  s.push({
    kind: "attend_within_grad",
    ...{ q, k, v, offsets, y, lse: back.value(op.lse), dy: back.of(op.y), dq, dk, dv },
    ...{ scale, window, softcap, causal, longest, precision },
  });
  if (back.wants(op.q)) back.pass(op.q, dq);
  if (back.wants(op.k)) back.pass(op.k, dk);
  if (back.wants(op.v)) back.pass(op.v, dv);
};
