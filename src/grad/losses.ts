/** Adjoints of the losses. */
import { OpError } from "../base/errors.ts";
import type { Adjoint } from "./adjoint.ts";

export const crossEntropyAdjoint: Adjoint<"cross_entropy"> = (op, back) => {
  if (back.has(op.lse)) throw new OpError("cross_entropy", "has no derivative of lse");
  const { targets, smoothing, ignore } = op;
  const [logits, lse, dloss] = [back.value(op.logits), back.value(op.lse), back.of(op.loss)];
  const dlogits = back.s.empty("f32", logits.shape);
  back.s.push({ kind: "cross_entropy_grad", logits, targets, lse, dloss, dlogits, smoothing, ignore });
  back.pass(op.logits, dlogits);
};

export const klDivergenceAdjoint: Adjoint<"kl_divergence"> = (op, back) => {
  if (back.has(op.lse)) throw new OpError("kl_divergence", "has no derivative of lse");
  if (back.wants(op.teacher))
    throw new OpError("kl_divergence", "has no derivative by its teacher: freeze that");
  const { temperature } = op;
  const [logits, teacher, lse] = [back.value(op.logits), back.value(op.teacher), back.value(op.lse)];
  const [dloss, dlogits] = [back.of(op.loss), back.s.empty("f32", logits.shape)];
  back.s.push({ kind: "kl_divergence_grad", logits, teacher, lse, dloss, dlogits, temperature });
  back.pass(op.logits, dlogits);
};
