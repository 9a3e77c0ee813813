/** Adjoints of products with weights and of the look-up in a table. */
import { embed, matmul, scatterAdd, sum, type Tensor } from "../ops/index.ts";
import type { Adjoint, Backward } from "./adjoint.ts";

/** A weight as an operand of `matmul`: itself, or what the look-up makes of all rows of a packed or quantized one. */
function dense(back: Backward, weight: Tensor): Tensor {
  const { dtype, layout } = weight;
  if (layout === "rows" && (dtype === "f32" || dtype === "bf16")) return back.value(weight);
  const rows = Int32Array.from({ length: weight.dim(0) }, (_, row) => row);
  return embed(back.s, weight, back.s.constant(rows));
}

export const linearAdjoint: Adjoint<"linear"> = ({ x, weight, bias, y }, back) => {
  const { s } = back;
  const dy = back.of(y);
  if (back.wants(x)) {
    const matrix = dense(back, weight);
    back.add(x, (dx, c) => matmul(s, dy, matrix, { y: dx, c }));
  }
  if (back.wants(weight)) {
    const rows = back.value(x);
    back.add(weight, (dw, c) => matmul(s, dy, rows, { transposeA: true, y: dw, c }));
  }
  if (back.wants(bias))
    back.add(bias, (db, c) => {
      const m = db.elements;
      sum(s, dy, [1, m], { y: db.reshape(1, m), c: c?.reshape(1, m) });
    });
};

export const embedAdjoint: Adjoint<"embed"> = ({ table, ids, y }, back) => {
  const dy = back.of(y);
  back.add(table, (dtable, c) => scatterAdd(back.s, dy, ids, table.dim(0), { y: dtable, c }));
};
