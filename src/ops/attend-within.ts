/** Attention of a batch's rows to each other, without a cache, and its derivative: for training and for encoders. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import { type Precision, precisions } from "./matmul.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/** What both ops are told of the shape of attention. */
export interface WithinOptions {
  /** Factor of the scores. */
  readonly scale: number;
  /** Keys that a query sees, as {@link Attend} counts them; 0: no limit. */
  readonly window: number;
  /** `softcap · tanh(score / softcap)`; 0: none. */
  readonly softcap: number;
  /** 1: no key behind the query; 0: all keys of its sequence. */
  readonly causal: number;
  /** A bound on the rows of a sequence (for the price and for scratch memory). */
  readonly longest: number;
  /**
   * With `bf16`, a device may round what it multiplies (q·scale, k, v, dy, and the weights and slopes of scores) to
   * bf16, and take denormal numbers for zeros; sums and the softmax stay f32. Default `f32`.
   */
  readonly precision?: Precision | undefined;
}

/**
 * Attention within the sequences of a ragged batch; the rows `offsets[t]` to `offsets[t + 1]` are sequence t:
 *
 * `s[i, h, j] = cap(scale · q[i, h] · k[j, g])`, `lse[i, h] = log Σ_j exp(s[i, h, j])`,
 * `y[i, h] = Σ_j exp(s[i, h, j] − lse[i, h]) · v[j, g]`, g = ⌊h · kvHeads / heads⌋,
 * over the rows j of i's sequence that it sees: `i − window < j ≤ i` when `causal` is 1, `|j − i| < window` when it is 0,
 * `window` 0 setting no limit. `cap(x) = softcap · tanh(x / softcap)`, or x when softcap is 0. It is what `attend` gives
 * when a cache holds these keys and values alone.
 *
 * q f32 [n, heads, d]; k f32 [n, kvHeads, d]; v f32 [n, kvHeads, dv]; offsets i32 [s + 1], rising from 0 to n (the caller
 * checks); y f32 [n, heads, dv]; lse f32 [n, heads].
 *
 * The order of a row's sums depends on its place in its sequence and on that sequence's length alone, never on the
 * batch or on threads. Keys may be taken in tiles, each with its own maximum, merged in order. The error is that of
 * `attend`.
 */
export interface AttendWithin extends WithinOptions {
  readonly kind: "attend_within";
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly offsets: Tensor;
  readonly y: Tensor;
  readonly lse: Tensor;
}

/**
 * The derivatives of {@link AttendWithin}, from its results and without the scores (Dao 2023, section 3.1). With
 * `p[i, h, j] = exp(s[i, h, j] − lse[i, h])` and `δ[i, h] = Σ_c dy[i, h, c] · y[i, h, c]`:
 *
 * `t[i, h, j] = scale · p[i, h, j] · (dy[i, h] · v[j, g] − δ[i, h]) · cap′`, cap′ = 1 − (s[i, h, j] / softcap)², or 1;
 * `dq[i, h] = Σ_j t[i, h, j] · k[j, g]`; `dk[j, g] = Σ_(h of g) Σ_i t[i, h, j] · q[i, h]`;
 * `dv[j, g] = Σ_(h of g) Σ_i p[i, h, j] · dy[i, h]`.
 *
 * Shapes as there; dy as y, dq, dk, dv as q, k, v; no operand overlaps a result. Sums are f32 or wider; the order of a
 * row's sums (over j for dq; over h and i for dk and dv) depends on its place in its sequence, that sequence's length
 * and the heads alone, never on the batch or on threads. Scores are f32, with an error of γ_{d+3}·scale·Σ|q||k|, by
 * which p is off relatively; the sums add theirs.
 */
export interface AttendWithinGrad extends WithinOptions {
  readonly kind: "attend_within_grad";
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly offsets: Tensor;
  readonly y: Tensor;
  readonly lse: Tensor;
  readonly dy: Tensor;
  readonly dq: Tensor;
  readonly dk: Tensor;
  readonly dv: Tensor;
}

const NUMBERS = ["scale", "window", "softcap", "causal", "longest"] as const;

function check(op: AttendWithin | AttendWithinGrad): void {
  const { kind, q, k, v, offsets, y, lse, scale, window, softcap, causal, longest } = op;
  expectTensor(kind, "q", q, F32, [undefined, undefined, undefined]);
  const [n = 0, heads = 0, d] = q.shape;
  expectTensor(kind, "k", k, F32, [n, undefined, d]);
  const kvHeads = k.dim(1);
  expectTensor(kind, "v", v, F32, [n, kvHeads, undefined]);
  expectTensor(kind, "offsets", offsets, I32, [undefined]);
  require(kind, offsets.dim(0) > 0, () =>
    `offsets is ${offsets}, but has one entry more than there are sequences`);
  expectTensor(kind, "y", y, F32, [n, heads, v.dim(2)]);
  expectTensor(kind, "lse", lse, F32, [n, heads]);
  require(kind, kvHeads > 0 && heads % kvHeads === 0, () =>
    `${heads} heads share ${kvHeads} key heads unevenly`);
  require(kind, Number.isFinite(scale), () => `scale is ${scale}`);
  require(kind, Number.isSafeInteger(window) && window >= 0, () =>
    `window is ${window}, but must be a whole number, 0 for none`);
  require(kind, softcap >= 0 && softcap < Infinity, () =>
    `softcap is ${softcap}, but must be finite and not negative`);
  require(kind, causal === 0 || causal === 1, () => `causal is ${causal}, but must be 1 or 0`);
  require(kind, Number.isSafeInteger(longest) && longest >= 0 && longest <= n, () =>
    `longest is ${longest}, but there are ${n} rows`);
}

/** Pairs of a query and a key that it sees, at most. */
function pairs({ q, window, causal, longest }: AttendWithin | AttendWithinGrad): number {
  const seen = causal ? (longest + 1) / 2 : longest;
  return q.dim(0) * q.dim(1) * (window ? Math.min(causal ? window : 2 * window - 1, seen) : seen);
}

export const attendWithinDefinition: OpDefinition<AttendWithin> = {
  kind: "attend_within",
  reads: ["q", "k", "v", "offsets"],
  writes: ["y", "lse"],
  numbers: NUMBERS,
  words: { precision: precisions },
  check,
  operations: (op) => 2 * (op.q.dim(2) + op.v.dim(2)) * pairs(op),
};

export const attendWithinGradDefinition: OpDefinition<AttendWithinGrad> = {
  kind: "attend_within_grad",
  reads: ["q", "k", "v", "offsets", "y", "lse", "dy"],
  writes: ["dq", "dk", "dv"],
  numbers: NUMBERS,
  words: { precision: precisions },
  check(op) {
    check(op);
    expectTensor("attend_within_grad", "dy", op.dy, F32, op.y.shape);
    for (const [field, of] of [
      ["dq", op.q],
      ["dk", op.k],
      ["dv", op.v],
    ] as const)
      expectTensor("attend_within_grad", field, op[field], F32, of.shape);
  },
  operations: (op) => 2 * (3 * op.q.dim(2) + 2 * op.v.dim(2)) * pairs(op),
};

/** See {@link AttendWithin}. */
export function attendWithin(
  s: Stream,
  { q, k, v }: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  offsets: Tensor,
  options: WithinOptions,
): { y: Tensor; lse: Tensor } {
  const y = s.empty("f32", [q.dim(0), q.dim(1), v.dim(2)]);
  const lse = s.empty("f32", [q.dim(0), q.dim(1)]);
  s.push({ kind: "attend_within", q, k, v, offsets, y, lse, precision: s.precision, ...options });
  return { y, lse };
}
