/**
 * Adjoints of mixtures of experts, made of the ops that there are. That of the experts' weights takes a product over all
 * rows for each expert: right for any number of them, and quick for few.
 */
import { OpError } from "../base/errors.ts";
import {
  add,
  combine,
  embed,
  expertLinear,
  gather,
  matmul,
  mul,
  type Stream,
  scale,
  scatterAdd,
  sum,
  type Tensor,
} from "../ops/index.ts";
import type { Adjoint, Backward } from "./adjoint.ts";

/** The square matrix with ones on its diagonal. */
function identity(s: Stream, size: number): Tensor {
  const values = new Float32Array(size * size);
  for (let i = 0; i < size; i++) values[i * (size + 1)] = 1;
  return s.constant(values, [size, size]);
}

/** Rows [n, d] as those of their picks, [n·p, d]. */
const forPicks = (s: Stream, x: Tensor, picks: number): Tensor =>
  gather(s, x, s.constant(Int32Array.from({ length: x.dim(0) * picks }, (_, i) => Math.floor(i / picks))));

/** A number for each of a row's picks [n, p] as a row with a place for each expert [n, e]. */
const spread = (s: Stream, values: Tensor, experts: Tensor, count: number): Tensor =>
  combine(s, embed(s, identity(s, count), experts.reshape(experts.elements)), values);

export const combineAdjoint: Adjoint<"combine"> = ({ x, weights, y }, back) => {
  const { s } = back;
  const [n = 0, p = 0] = weights.shape;
  const dy = forPicks(s, back.of(y), p);
  if (back.wants(x)) back.pass(x, mul(s, dy, back.value(weights).reshape(n * p, 1)));
  if (back.wants(weights)) back.pass(weights, sum(s, mul(s, dy, back.value(x)), [n * p, 1]));
};

/**
 * With w the weights, p the softmax of all logits and t = w·dw: where the weights are divided by their sum, they are the
 * softmax of the picked logits, and to those comes back `t − w·Σt`; where not, to all logits `t − p·Σt`.
 */
export const routeAdjoint: Adjoint<"route"> = (op, back) => {
  const { s } = back;
  const [n = 0, e = 0] = op.logits.shape;
  const [experts, weights, logits] = [back.value(op.experts), back.value(op.weights), back.value(op.logits)];
  const terms = mul(s, weights, back.of(op.weights));
  const lost = scale(s, sum(s, terms, [n, 1]), -1);
  if (op.normalize === 1) {
    back.pass(op.logits, spread(s, add(s, terms, mul(s, weights, lost)), experts, e));
    return;
  }
  // The derivative of a cross-entropy is the softmax, but for the class 0: that is added again.
  const [loss, lse, dlogits] = [s.empty("f32", [n, 1]), s.empty("f32", [n, 1]), s.empty("f32", [n, e])];
  const classes = { targets: s.constant(new Int32Array(n)), smoothing: 0, ignore: -1 };
  s.push({ kind: "cross_entropy", logits, loss, lse, ...classes });
  s.push({ kind: "cross_entropy_grad", logits, lse, dloss: lost, dlogits, ...classes });
  const first = Float32Array.from({ length: e }, (_, j) => Number(j === 0));
  const lifted = matmul(s, lost, s.constant(first, [1, e]), { c: dlogits, precision: "f32" });
  back.pass(op.logits, add(s, lifted, spread(s, terms, experts, e)));
};

/** The matrices [e, m, k] turned round, [e, k, m], in f32. */
function turned({ s, value }: Backward, weight: Tensor): Tensor {
  if (weight.layout !== "rows")
    throw new OpError("expert_linear", `weight is ${weight}: a gradient passes through experts in rows only`);
  const [e = 0, m = 0, k = 0] = weight.shape;
  const plain = weight.dtype === "f32" || weight.dtype === "bf16";
  const rows = Int32Array.from({ length: plain ? 0 : e * m }, (_, row) => row);
  const matrices = plain ? value(weight) : embed(s, weight.reshape(e * m, k), s.constant(rows));
  return matmul(s, matrices.reshape(e, m, k), identity(s, m), { transposeA: true, precision: "f32" });
}

export const expertLinearAdjoint: Adjoint<"expert_linear"> = ({ x, weight, experts, bias, y }, back) => {
  const { s } = back;
  const [[e = 0, m = 0, k = 0], [n = 0, p = 0]] = [weight.shape, experts.shape];
  const [dy, picks] = [back.of(y), back.value(experts)];
  const shared = x.dim(0) === n && p > 1;
  if (back.wants(x)) {
    // A row for each pick, each with one expert.
    const dx = expertLinear(s, dy, turned(back, weight), picks.reshape(n * p, 1));
    const ones = (): Tensor => s.constant(new Float32Array(n * p).fill(1), [n, p]);
    back.pass(x, shared ? combine(s, dx, ones()) : dx);
  }
  const ids = picks.reshape(n * p);
  if (back.wants(weight)) {
    const rows = shared ? forPicks(s, back.value(x), p) : back.value(x);
    for (let expert = 0; expert < e; expert++) {
      const chosen = s.constant(
        Float32Array.from({ length: e }, (_, i) => Number(i === expert)),
        [e, 1],
      );
      const mine = mul(s, dy, embed(s, chosen, ids));
      back.add(weight.rows(expert, expert + 1).reshape(m, k), (dw, c) =>
        matmul(s, mine, rows, { transposeA: true, y: dw, c }),
      );
    }
  }
  if (back.wants(bias)) back.add(bias, (db, c) => scatterAdd(s, dy, ids, e, { y: db, c }));
};
