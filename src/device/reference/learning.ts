/** What the derivatives of pointwise ops and norms mean, and the sums: in plain loops, with f64 between. */
import type { ActivationName } from "../../ops/index.ts";
import type { OpOf } from "./attention.ts";
import { derivatives, functions } from "./functions.ts";
import type { Floats, Memory } from "./memory.ts";

export function activationGrad({ x, dy, dx, fn }: OpOf<"activation_grad">, memory: Memory): void {
  const [at, back, to] = [memory.f32(x), memory.f32(dy), memory.f32Out(dx)];
  const slope = derivatives[fn];
  for (let i = 0; i < to.length; i++) to[i] = slope(at[i]!) * back[i]!;
}

export function gatedGrad(op: OpOf<"gated_grad">, memory: Memory): void {
  const [gate, up, dy] = [memory.f32(op.gate), memory.f32(op.up), memory.f32(op.dy)];
  const [dgate, dup] = [memory.f32Out(op.dgate), memory.f32Out(op.dup)];
  const fn: ActivationName = op.fn;
  for (let i = 0; i < dgate.length; i++) {
    dgate[i] = dy[i]! * up[i]! * derivatives[fn](gate[i]!);
    dup[i] = dy[i]! * functions[fn](gate[i]!);
  }
}

export function sum({ x, c, y }: OpOf<"sum">, memory: Memory): void {
  const [from, to] = [memory.f32(x), memory.f32Out(y)];
  const [d, p, q] = [x.dim(1), y.dim(0), y.dim(1)];
  const totals = c ? Float64Array.from(memory.f32(c)) : new Float64Array(y.elements);
  for (let i = 0; i < from.length; i++)
    totals[(p === 1 ? 0 : Math.floor(i / d) * q) + (q === 1 ? 0 : i % d)]! += from[i]!;
  to.set(totals);
}

export function scatterAdd({ x, index, c, y }: OpOf<"scatter_add">, memory: Memory): void {
  const [from, to] = [memory.f32(x), memory.f32Out(y)];
  const [m = 0, d = 0] = y.shape;
  const totals = c ? Float64Array.from(memory.f32(c)) : new Float64Array(y.elements);
  memory.indices(index, m, "scatter_add: index").forEach((row, i) => {
    for (let j = 0; j < d; j++) totals[row * d + j]! += from[i * d + j]!;
  });
  to.set(totals);
}

/** A row without its mean (for `layer`), and what it is multiplied by. */
function normalized(
  x: Floats,
  start: number,
  d: number,
  { eps, norm }: OpOf<"norm_grad" | "norm_weight_grad">,
): { hat: Float64Array; rho: number } {
  const hat = Float64Array.from(x.subarray(start, start + d));
  const mean = norm === "layer" ? hat.reduce((total, v) => total + v, 0) / d : 0;
  const rho = 1 / Math.sqrt(hat.reduce((total, v) => total + (v - mean) ** 2, 0) / d + eps);
  return { hat: hat.map((v) => (v - mean) * rho), rho };
}

export function normGrad(op: OpOf<"norm_grad">, memory: Memory): void {
  const [x, w, dy, to] = [op.x, op.weight, op.dy].map((t) => memory.f32(t)).concat(memory.f32Out(op.dx));
  const c = op.c && memory.f32(op.c);
  const d = op.x.dim(1);
  for (let i = 0; i < x!.length; i += d) {
    const { hat, rho } = normalized(x!, i, d, op);
    const back = hat.map((_, j) => w![(i + j) % w!.length]! * dy![i + j]!);
    const level = op.norm === "layer" ? back.reduce((total, v) => total + v, 0) / d : 0;
    const along = back.reduce((total, v, j) => total + v * hat[j]!, 0) / d;
    for (let j = 0; j < d; j++) to![i + j] = (c ? c[i + j]! : 0) + rho * (back[j]! - level - hat[j]! * along);
  }
}

export function normWeightGrad(op: OpOf<"norm_weight_grad">, memory: Memory): void {
  const [x, dy, to] = [memory.f32(op.x), memory.f32(op.dy), memory.f32Out(op.dweight)];
  const totals = op.c ? Float64Array.from(memory.f32(op.c)) : new Float64Array(to.length);
  const d = op.x.dim(1);
  for (let i = 0; i < x.length; i += d) {
    const { hat } = normalized(x, i, d, op);
    for (let j = 0; j < d; j++) totals[(i + j) % totals.length]! += dy[i + j]! * hat[j]!;
  }
  to.set(totals);
}
