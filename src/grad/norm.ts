/** Adjoints of the norms. */
import { type NormName, sum } from "../ops/index.ts";
import type { Adjoint, Backward, OpOf } from "./adjoint.ts";

function throughNorm(op: OpOf<"rmsnorm" | "layernorm">, norm: NormName, back: Backward): void {
  const { s } = back;
  const { eps } = op;
  const [x, weight, dy] = [back.value(op.x), back.value(op.weight), back.of(op.y)];
  if (back.wants(op.x))
    back.add(op.x, (dx, c) => s.push({ kind: "norm_grad", x, weight, dy, c, dx, eps, norm }));
  if (back.wants(op.weight))
    back.add(op.weight, (dweight, c) => s.push({ kind: "norm_weight_grad", x, dy, c, dweight, eps, norm }));
}

export const rmsNormAdjoint: Adjoint<"rmsnorm"> = (op, back) => throughNorm(op, "rms", back);

export const layerNormAdjoint: Adjoint<"layernorm"> = (op, back) => {
  throughNorm(op, "layer", back);
  const { bias, y } = op;
  if (!back.wants(bias)) return;
  // Row i has row i mod g of the bias: g rows side by side have all of it.
  const width = bias.elements;
  const dy = back.of(y).reshape(y.elements / width, width);
  back.add(bias, (db, c) =>
    sum(back.s, dy, [1, width], { y: db.reshape(1, width), c: c?.reshape(1, width) }),
  );
};
