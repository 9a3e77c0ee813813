/** Losses of rows of logits and their derivatives, in f64. */
import type { OpOf } from "./attention.ts";
import type { Floats, Memory } from "./memory.ts";

/** log Σ exp(x / t) of a row. */
function logSumExp(row: Floats, t = 1): number {
  let [most, total] = [-Infinity, 0];
  for (const x of row) most = Math.max(most, x / t);
  for (const x of row) total += Math.exp(x / t - most);
  return most + Math.log(total);
}

/** The class of each row; undefined for an ignored one. */
function targetsOf(
  { kind, logits, targets, ignore }: OpOf<"cross_entropy" | "cross_entropy_grad">,
  memory: Memory,
): (number | undefined)[] {
  const numbers = Array.from(memory.i32(targets));
  const wrong = numbers.find((t) => t !== ignore && !(t >= 0 && t < logits.dim(1)));
  if (wrong !== undefined)
    throw memory.error(`${kind}: targets holds ${wrong}, outside [0, ${logits.dim(1)}) and not ${ignore}`);
  return numbers.map((t) => (t === ignore ? undefined : t));
}

export function crossEntropy(op: OpOf<"cross_entropy">, memory: Memory): void {
  const [from, loss, lse] = [memory.f32(op.logits), memory.f32Out(op.loss), memory.f32Out(op.lse)];
  const v = op.logits.dim(1);
  targetsOf(op, memory).forEach((target, i) => {
    const row = from.subarray(i * v, (i + 1) * v);
    const whole = logSumExp(row);
    lse[i] = whole;
    if (target === undefined) loss[i] = 0;
    else {
      let total = 0;
      for (const x of row) total += x;
      const smooth = op.smoothing ? (op.smoothing * total) / v : 0;
      loss[i] = whole - (1 - op.smoothing) * row[target]! - smooth;
    }
  });
}

export function crossEntropyGrad(op: OpOf<"cross_entropy_grad">, memory: Memory): void {
  const [from, lse, dloss] = [memory.f32(op.logits), memory.f32(op.lse), memory.f32(op.dloss)];
  const to = memory.f32Out(op.dlogits);
  const v = op.logits.dim(1);
  targetsOf(op, memory).forEach((target, i) => {
    const [whole, back] = [lse[i]!, dloss[i]!];
    for (let j = 0; j < v; j++) {
      const wanted = (j === target ? 1 - op.smoothing : 0) + op.smoothing / v;
      to[i * v + j] = target === undefined ? 0 : back * (Math.exp(from[i * v + j]! - whole) - wanted);
    }
  });
}

export function klDivergence(op: OpOf<"kl_divergence">, memory: Memory): void {
  const [student, teacher] = [memory.f32(op.logits), memory.f32(op.teacher)];
  const [loss, lse] = [memory.f32Out(op.loss), memory.f32Out(op.lse)];
  const [n = 0, v = 0] = op.logits.shape;
  const t = op.temperature;
  for (let i = 0; i < n; i++) {
    const [mine, wanted] = [student, teacher].map((x) => x.subarray(i * v, (i + 1) * v)) as [Floats, Floats];
    const [a, b] = [logSumExp(mine, t), logSumExp(wanted, t)];
    let total = 0;
    for (let j = 0; j < v; j++) {
      const logP = wanted[j]! / t - b;
      total += Math.exp(logP) * (logP - (mine[j]! / t - a));
    }
    [loss[i], lse[2 * i], lse[2 * i + 1]] = [total, a, b];
  }
}

export function klDivergenceGrad(op: OpOf<"kl_divergence_grad">, memory: Memory): void {
  const [student, teacher] = [memory.f32(op.logits), memory.f32(op.teacher)];
  const [lse, dloss, to] = [memory.f32(op.lse), memory.f32(op.dloss), memory.f32Out(op.dlogits)];
  const v = op.logits.dim(1);
  const t = op.temperature;
  for (let at = 0; at < to.length; at++) {
    const i = Math.floor(at / v);
    const q = Math.exp(student[at]! / t - lse[2 * i]!);
    const p = Math.exp(teacher[at]! / t - lse[2 * i + 1]!);
    to[at] = (dloss[i]! / t) * (q - p);
  }
}
