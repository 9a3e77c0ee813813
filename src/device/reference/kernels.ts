/**
 * What each kind of op means, in plain loops: values stored as f32, everything between in f64. Where an op
 * leaves a duty to its caller (an index in range, say), the breach is refused rather than guessed at.
 */
import { CHECKSUM_BYTES, type OpKind, SOFTMAX_BLOCK, type Tensor } from "../../ops/index.ts";
import { attendWithin, attendWithinGrad } from "./attend-within.ts";
import { attend, cacheWrite, type OpOf, rope } from "./attention.ts";
import { bf16Bits, functions, softmax, toBf16 } from "./functions.ts";
import { activationGrad, gatedGrad, normGrad, normWeightGrad, scatterAdd, sum } from "./learning.ts";
import { crossEntropy, crossEntropyGrad, klDivergence, klDivergenceGrad } from "./losses.ts";
import type { Floats, Memory } from "./memory.ts";
import { adamw, average, clip, sumSquares } from "./optimizer.ts";

type Kernels = { readonly [K in OpKind]: (op: OpOf<K>, memory: Memory) => void };

function map({ x, y }: { x: Tensor; y: Tensor }, memory: Memory, fn: (x: number) => number): void {
  const from = memory.f32(x);
  const to = memory.f32Out(y);
  for (let i = 0; i < to.length; i++) to[i] = fn(from[i]!);
}

/** `y = fn(a, b)`, b being of a's shape, one row for all, or one number for each row. */
function pair({ a, b, y }: OpOf<"add" | "mul">, memory: Memory, fn: (a: number, b: number) => number): void {
  const [left, right, to] = [memory.f32(a), memory.f32(b), memory.f32Out(y)];
  const [n = 0, d = 0] = a.shape;
  const row = b.dim(0) === n ? b.dim(1) : 0;
  const column = b.dim(1) === d ? 1 : 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < d; j++) to[i * d + j] = fn(left[i * d + j]!, right[i * row + j * column]!);
}

/** Mean of `fn` over the d numbers from `start`. */
function mean(x: Floats, start: number, d: number, fn: (x: number) => number): number {
  let sum = 0;
  for (let j = start; j < start + d; j++) sum += fn(x[j]!);
  return sum / d;
}

function rmsNorm({ x, weight, y, eps }: OpOf<"rmsnorm">, memory: Memory): void {
  const [from, w, to] = [memory.f32(x), memory.f32(weight), memory.f32Out(y)];
  const d = x.dim(1);
  for (let i = 0; i < from.length; i += d) {
    const root = Math.sqrt(mean(from, i, d, (v) => v * v) + eps);
    for (let j = 0; j < d; j++) to[i + j] = (from[i + j]! / root) * w[(i + j) % w.length]!;
  }
}

function layerNorm({ x, weight, bias, y, eps }: OpOf<"layernorm">, memory: Memory): void {
  const [from, w, to] = [memory.f32(x), memory.f32(weight), memory.f32Out(y)];
  const b = bias && memory.f32(bias);
  const d = x.dim(1);
  for (let i = 0; i < from.length; i += d) {
    const center = mean(from, i, d, (v) => v);
    const root = Math.sqrt(mean(from, i, d, (v) => (v - center) ** 2) + eps);
    for (let j = 0; j < d; j++) {
      const g = (i + j) % w.length;
      to[i + j] = ((from[i + j]! - center) / root) * w[g]! + (b ? b[g]! : 0);
    }
  }
}

/** Calls `visit` with each row of a matrix in any format, decoded. */
function eachRow(weight: Tensor, memory: Memory, visit: (row: Floats, index: number) => void): void {
  const k = weight.dim(-1);
  const count = weight.shape.slice(0, -1).reduce((product, size) => product * size, 1);
  for (let j = 0; j < count; j++) visit(memory.decode(weight, j * k, k), j);
}

function dot(x: Floats, start: number, row: Floats): number {
  let sum = 0;
  for (let k = 0; k < row.length; k++) sum += x[start + k]! * row[k]!;
  return sum;
}

function linear({ x, weight, bias, y, precision }: OpOf<"linear">, memory: Memory): void {
  const as = (values: Floats): Floats => (precision === "bf16" ? values.map(toBf16) : values);
  const [from, to] = [as(memory.f32(x)), memory.f32Out(y)];
  const b = bias && memory.f32(bias);
  const [m = 0, k = 0] = weight.shape;
  const n = x.dim(0);
  eachRow(weight, memory, (row, j) => {
    const weights = as(row);
    for (let i = 0; i < n; i++) to[i * m + j] = dot(from, i * k, weights) + (b ? b[j]! : 0);
  });
}

function expertLinear({ x, weight, experts, bias, y }: OpOf<"expert_linear">, memory: Memory): void {
  const [e = 0, m = 0, k = 0] = weight.shape;
  const picks = memory.indices(experts, e, "expert_linear: experts");
  const [from, to] = [memory.f32(x), memory.f32Out(y)];
  const b = bias && memory.f32(bias);
  const share = picks.length / x.dim(0);
  eachRow(weight, memory, (row, index) => {
    const [expert, j] = [Math.floor(index / m), index % m];
    for (let i = 0; i < picks.length; i++)
      if (picks[i] === expert)
        to[i * m + j] = dot(from, Math.floor(i / share) * k, row) + (b ? b[index]! : 0);
  });
}

function matmul({ a, b, c, y, transposeA, transposeB, precision }: OpOf<"matmul">, memory: Memory): void {
  const as = (x: Floats): Floats => (precision === "bf16" ? x.map(toBf16) : x);
  const [left, right, to] = [as(memory.decode(a)), as(memory.decode(b)), memory.f32Out(y)];
  const start = c && memory.f32(c);
  const [batch = 0, n = 0, m = 0] = y.shape;
  const k = a.dim(transposeA === 1 ? 1 : 2);
  const [rowA, stepA] = transposeA === 1 ? [1, n] : [k, 1];
  const [columnB, stepB] = transposeB === 1 ? [k, 1] : [1, m];
  for (let i = 0; i < batch; i++) {
    const [fromA, fromB] = [a.dim(0) === 1 ? 0 : i * n * k, b.dim(0) === 1 ? 0 : i * k * m];
    for (let r = 0; r < n; r++)
      for (let j = 0; j < m; j++) {
        const at = (i * n + r) * m + j;
        let sum = start ? start[at]! : 0;
        for (let q = 0; q < k; q++)
          sum += left[fromA + r * rowA + q * stepA]! * right[fromB + j * columnB + q * stepB]!;
        to[at] = sum;
      }
  }
}

function embed({ table, ids, y }: OpOf<"embed">, memory: Memory): void {
  const to = memory.f32Out(y);
  const [v = 0, d = 0] = table.shape;
  memory.i32(ids).forEach((id, i) => {
    to.set(memory.decode(table, d * (id >= 0 && id < v ? id : 0), d), i * d);
  });
}

/** NaN sorts as −∞, so that the picks are always different experts. */
function route({ logits, experts, weights, normalize }: OpOf<"route">, memory: Memory): void {
  const from = memory.f32(logits);
  const [to, index] = [memory.f32Out(weights), memory.i32Out(experts)];
  const [n = 0, e = 0] = logits.shape;
  const p = experts.dim(1);
  for (let i = 0; i < n; i++) {
    const row = from.subarray(i * e, (i + 1) * e);
    const exps = softmax(row, e);
    const key = (j: number): number => (Number.isNaN(row[j]) ? -Infinity : row[j]!);
    const order = Array.from(row, (_, j) => j);
    order.sort((a, b) => (key(a) === key(b) ? a - b : key(b) - key(a)));
    const picks = order.slice(0, p);
    const total = normalize ? picks.reduce((sum, j) => sum + exps[j]!, 0) : 1;
    picks.forEach((expert, j) => {
      index[i * p + j] = expert;
      to[i * p + j] = exps[expert]! / total;
    });
  }
}

function combine({ x, weights, y }: OpOf<"combine">, memory: Memory): void {
  const [from, w, to] = [memory.f32(x), memory.f32(weights), memory.f32Out(y)];
  const [n = 0, p = 0] = weights.shape;
  const d = x.dim(1);
  for (let i = 0; i < n; i++)
    for (let c = 0; c < d; c++) {
      let sum = 0;
      for (let j = i * p; j < (i + 1) * p; j++) sum += w[j]! * from[j * d + c]!;
      to[i * d + c] = sum;
    }
}

function gather({ x, index, y }: OpOf<"gather">, memory: Memory): void {
  const [from, to] = [memory.f32(x), memory.f32Out(y)];
  const [m = 0, d = 0] = x.shape;
  memory.indices(index, m, "gather: index").forEach((row, i) => {
    to.set(from.subarray(row * d, (row + 1) * d), i * d);
  });
}

function checksum({ x, y }: OpOf<"checksum">, memory: Memory): void {
  const [words, to] = [memory.i32(x), memory.i32Out(y)];
  const turn = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));
  const chunk = CHECKSUM_BYTES / 4;
  for (let c = 0; c < y.dim(0); c++) {
    const part = words.subarray(c * chunk, (c + 1) * chunk);
    const lanes = Int32Array.from({ length: 64 }, (_, l) => l + 1);
    for (let i = 0; i < part.length; i++)
      lanes[i % 64] = turn(Math.imul(lanes[i % 64]! ^ part[i]!, 0x9e3779b1), 15);
    let [first, second] = [part.length, part.length];
    for (const lane of lanes) {
      first = turn(Math.imul(first ^ lane, 0x9e3779b1), 15);
      second = turn(Math.imul((second + lane) | 0, 0x85ebca77), 13);
    }
    to.set([first, second], 2 * c);
  }
}

function cast({ x, y }: OpOf<"cast">, memory: Memory): void {
  if (x.dtype === "bf16") memory.f32Out(y).set(memory.decode(x));
  else memory.f16Out(y).set(Uint16Array.from(memory.f32(x), bf16Bits));
}

function blockSoftmax({ x, scales, y }: OpOf<"block_softmax">, memory: Memory): void {
  const [from, factors, to] = [memory.f32(x), memory.f32(scales), memory.f32Out(y)];
  const [n = 0, d = 0] = x.shape;
  const [, rows = 0, blocks = 0] = y.shape;
  for (let i = 0; i < n; i++)
    for (let b = 0; b < blocks; b++) {
      const end = i * d + Math.min((b + 1) * SOFTMAX_BLOCK, d);
      const block = from.subarray(i * d + b * SOFTMAX_BLOCK, end);
      const most = Math.max(...block);
      to[i * rows * blocks + b] = most;
      for (let t = 1; t < rows; t++) {
        const factor = factors[i * (rows - 1) + t - 1]!;
        let total = 0;
        if (factor !== 0 && most !== -Infinity) for (const v of block) total += Math.exp(factor * (v - most));
        to[(i * rows + t) * blocks + b] = total;
      }
    }
}

export const kernels: Kernels = {
  activation: (op, memory) => map(op, memory, functions[op.fn]),
  activation_grad: activationGrad,
  adamw,
  add: (op, memory) => pair(op, memory, (a, b) => a + b),
  attend,
  attend_within: attendWithin,
  attend_within_grad: attendWithinGrad,
  average,
  block_softmax: blockSoftmax,
  cache_write: cacheWrite,
  cast,
  checksum,
  clip,
  combine,
  copy: ({ x, y }, memory) => memory.copy(x, y),
  cross_entropy: crossEntropy,
  cross_entropy_grad: crossEntropyGrad,
  embed,
  expert_linear: expertLinear,
  gated({ gate, up, y, fn }, memory) {
    const factor = memory.f32(up);
    const [from, to] = [memory.f32(gate), memory.f32Out(y)];
    for (let i = 0; i < to.length; i++) to[i] = functions[fn](from[i]!) * factor[i]!;
  },
  gated_grad: gatedGrad,
  gather,
  kl_divergence: klDivergence,
  kl_divergence_grad: klDivergenceGrad,
  layernorm: layerNorm,
  linear,
  matmul,
  mul: (op, memory) => pair(op, memory, (a, b) => a * b),
  norm_grad: normGrad,
  norm_weight_grad: normWeightGrad,
  pack({ y }, memory) {
    throw memory.error(`pack: ${y}: this device has no panels`);
  },
  rmsnorm: rmsNorm,
  rope,
  route,
  scale: (op, memory) => map(op, memory, (x) => op.factor * x),
  scatter_add: scatterAdd,
  softcap: (op, memory) => map(op, memory, (x) => op.cap * Math.tanh(x / op.cap)),
  sum,
  sum_squares: sumSquares,
};
