/** What the ops of an optimizer mean: see src/ops/optimizer.ts. */
import type { OpOf } from "./attention.ts";
import { bf16Bits } from "./functions.ts";
import type { Memory } from "./memory.ts";

export function sumSquares({ x, c, y }: OpOf<"sum_squares">, memory: Memory): void {
  let sum = c ? memory.f32(c)[0]! : 0;
  for (const v of memory.f32(x)) sum += v * v;
  memory.f32Out(y)[0] = sum;
}

export function clip({ squares, y, scale, limit }: OpOf<"clip">, memory: Memory): void {
  const norm = scale * Math.sqrt(memory.f32(squares)[0]!);
  memory.f32Out(y)[0] = norm <= limit ? scale : (scale * limit) / norm;
}

export function adamw(op: OpOf<"adamw">, memory: Memory): void {
  const gradient = memory.f32(op.gradient);
  const [lr = 0, first = 0, second = 0] = memory.f32(op.rates);
  const factor = memory.f32(op.factor)[0]!;
  const [w, m, v] = [memory.f32Out(op.weight), memory.f32Out(op.mean), memory.f32Out(op.square)];
  for (let i = 0; i < w.length; i++) {
    const g = factor * gradient[i]!;
    m[i] = m[i]! + (1 - op.beta1) * (g - m[i]!);
    v[i] = v[i]! + (1 - op.beta2) * (g * g - v[i]!);
    w[i] = w[i]! - lr * ((m[i]! * first) / (Math.sqrt(v[i]! * second) + op.eps) + op.decay * w[i]!);
  }
  if (!op.copy) return;
  memory.f16Out(op.copy).set(Uint16Array.from(w, bf16Bits));
}

export function average({ x, rate, y }: OpOf<"average">, memory: Memory): void {
  const [from, to, r] = [memory.f32(x), memory.f32Out(y), memory.f32(rate)[0]!];
  for (let i = 0; i < to.length; i++) to[i] = to[i]! + r * (from[i]! - to[i]!);
}
