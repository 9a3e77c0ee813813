/** Attention within a batch and its derivative, in plain loops: whole rows of scores, no tiles. */
import type { OpOf } from "./attention.ts";
import type { Floats, Memory } from "./memory.ts";

type Within = OpOf<"attend_within" | "attend_within_grad">;

/** Sequences as [first row, row after the last]; refuses offsets that are none. */
function sequencesOf({ kind, q, offsets, longest }: Within, memory: Memory): (readonly [number, number])[] {
  const marks = memory.i32(offsets);
  const sequences = Array.from({ length: marks.length - 1 }, (_, t) => [marks[t]!, marks[t + 1]!] as const);
  const wrong =
    marks[0] !== 0 ||
    marks.at(-1) !== q.dim(0) ||
    sequences.some(([from, to]) => to < from || to - from > longest);
  if (wrong)
    throw memory.error(`${kind}: offsets [${marks}] do not fit ${q} and sequences of ${longest} at most`);
  return sequences;
}

/** The rows that row i of [from, to) sees: from the first to before the second. */
function seenBy({ window, causal }: Within, i: number, from: number, to: number): readonly [number, number] {
  const reach = window || Number.POSITIVE_INFINITY;
  return [Math.max(from, i - reach + 1), Math.min(causal ? i + 1 : to, i + reach)];
}

function dot(a: Floats, i: number, b: Floats, j: number, d: number): number {
  let total = 0;
  for (let c = 0; c < d; c++) total += a[i + c]! * b[j + c]!;
  return total;
}

/** Calls `visit` with each query of each head, its place among the rows of q, and the score of a key that it sees. */
function eachQuery(
  op: Within,
  memory: Memory,
  visit: (at: number, keys: readonly number[], scores: Float64Array) => void,
): void {
  const [q, k] = [memory.f32(op.q), memory.f32(op.k)];
  const [, heads = 0, d = 0] = op.q.shape;
  const kvHeads = op.k.dim(1);
  for (const [from, to] of sequencesOf(op, memory))
    for (let i = from; i < to; i++)
      for (let h = 0; h < heads; h++) {
        const [first, end] = seenBy(op, i, from, to);
        const group = Math.floor((h * kvHeads) / heads);
        const keys = Array.from({ length: end - first }, (_, j) => (first + j) * kvHeads + group);
        const scores = Float64Array.from(keys, (key) => {
          const score = op.scale * dot(q, (i * heads + h) * d, k, key * d, d);
          return op.softcap ? op.softcap * Math.tanh(score / op.softcap) : score;
        });
        visit(i * heads + h, keys, scores);
      }
}

export function attendWithin(op: OpOf<"attend_within">, memory: Memory): void {
  const [v, y, lse] = [memory.f32(op.v), memory.f32Out(op.y), memory.f32Out(op.lse)];
  const width = op.v.dim(2);
  eachQuery(op, memory, (at, keys, scores) => {
    const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const total = scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
    lse[at] = most + Math.log(total);
    const to = new Float64Array(width);
    keys.forEach((key, j) => {
      const p = Math.exp(scores[j]! - most) / total;
      for (let c = 0; c < width; c++) to[c]! += p * v[key * width + c]!;
    });
    y.set(to, at * width);
  });
}

export function attendWithinGrad(op: OpOf<"attend_within_grad">, memory: Memory): void {
  const [q, k, v, y] = [memory.f32(op.q), memory.f32(op.k), memory.f32(op.v), memory.f32(op.y)];
  const [lse, dy] = [memory.f32(op.lse), memory.f32(op.dy)];
  const [d, width] = [op.q.dim(2), op.v.dim(2)];
  const [dq, dk, dv] = [op.q, op.k, op.v].map(({ elements }) => new Float64Array(elements)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  eachQuery(op, memory, (at, keys, scores) => {
    const delta = dot(dy, at * width, y, at * width, width);
    keys.forEach((key, j) => {
      const p = Math.exp(scores[j]! - lse[at]!);
      const slope = op.softcap ? 1 - (scores[j]! / op.softcap) ** 2 : 1;
      const t = op.scale * p * (dot(dy, at * width, v, key * width, width) - delta) * slope;
      for (let c = 0; c < d; c++) {
        dq[at * d + c]! += t * k[key * d + c]!;
        dk[key * d + c]! += t * q[at * d + c]!;
      }
      for (let c = 0; c < width; c++) dv[key * width + c]! += p * dy[at * width + c]!;
    });
  });
  memory.f32Out(op.dq).set(dq);
  memory.f32Out(op.dk).set(dk);
  memory.f32Out(op.dv).set(dv);
}
