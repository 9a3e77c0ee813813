/** Losses of rows of logits: cross-entropy with given classes, divergence from a teacher; and their derivatives. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/** What both ops of the cross-entropy are told. */
export interface CrossEntropyOptions {
  /** Part of the wanted probability that is spread evenly over all classes; in [0, 1). */
  readonly smoothing: number;
  /** Rows whose target is this number have no loss. */
  readonly ignore: number;
}

/**
 * `lse[i] = log Σ_j exp(logits[i, j])`; `loss[i] = lse[i] − (1 − smoothing) · logits[i, targets[i]] − smoothing · mean_j(logits[i, j])`,
 * 0 where targets[i] is `ignore` (label smoothing: Szegedy et al. 2016, section 7)
 *
 * logits f32 [n, v]; targets i32 [n], each in [0, v) or `ignore` (the caller checks: a device gives NaN for a row with
 * another target, and never reads outside); loss, lse f32 [n, 1]. lse is that of an ignored row too. The largest logit
 * of the row is taken off before the exponential. Sums are f32 or wider, in an order that v decides; the error of both
 * is at most `γ · (|lse| + max|logits| + 1)`, γ that of 8 + ⌈log₂ v⌉ roundings, for sums by halves or in f64.
 */
export interface CrossEntropy extends CrossEntropyOptions {
  readonly kind: "cross_entropy";
  readonly logits: Tensor;
  readonly targets: Tensor;
  readonly loss: Tensor;
  readonly lse: Tensor;
}

/**
 * `dlogits[i, j] = dloss[i] · (exp(logits[i, j] − lse[i]) − (1 − smoothing) · [j = targets[i]] − smoothing / v)`, 0 in the rows
 * where targets[i] is `ignore`
 *
 * Shapes and duties as {@link CrossEntropy}; dloss f32 [n, 1]; dlogits f32 [n, v], which may take the place of logits.
 * An element is off by at most `|dloss| · (p · (8 + |logits| + |lse|) + 2) · 2⁻²⁴`, p the exponential.
 */
export interface CrossEntropyGrad extends CrossEntropyOptions {
  readonly kind: "cross_entropy_grad";
  readonly logits: Tensor;
  readonly targets: Tensor;
  readonly lse: Tensor;
  readonly dloss: Tensor;
  readonly dlogits: Tensor;
}

function checkRows(
  kind: string,
  logits: Tensor,
  columns: Readonly<Record<string, readonly [Tensor, number]>>,
): void {
  expectTensor(kind, "logits", logits, F32, [undefined, undefined]);
  require(kind, logits.dim(1) > 0, () => `logits is ${logits}, but must have a column at least`);
  for (const [field, [tensor, width]] of Object.entries(columns))
    expectTensor(kind, field, tensor, F32, [logits.dim(0), width]);
}

function checkTargets({ kind, logits, targets, smoothing, ignore }: CrossEntropy | CrossEntropyGrad): void {
  expectTensor(kind, "targets", targets, I32, [logits.dim(0)]);
  require(kind, smoothing >= 0 && smoothing < 1, () => `smoothing is ${smoothing}, but must lie in [0, 1)`);
  require(kind, Number.isInteger(ignore) && Math.abs(ignore) < 2 ** 31, () =>
    `ignore is ${ignore}, but must be a whole number of 32 bits`);
}

export const crossEntropyDefinition: OpDefinition<CrossEntropy> = {
  kind: "cross_entropy",
  reads: ["logits", "targets"],
  writes: ["loss", "lse"],
  numbers: ["smoothing", "ignore"],
  words: {},
  check(op) {
    checkRows("cross_entropy", op.logits, { loss: [op.loss, 1], lse: [op.lse, 1] });
    checkTargets(op);
  },
  operations: ({ logits }) => 8 * logits.elements,
};

export const crossEntropyGradDefinition: OpDefinition<CrossEntropyGrad> = {
  kind: "cross_entropy_grad",
  reads: ["logits", "targets", "lse", "dloss"],
  writes: ["dlogits"],
  numbers: ["smoothing", "ignore"],
  words: {},
  inPlace: true,
  check(op) {
    const { logits, lse, dloss, dlogits } = op;
    checkRows("cross_entropy_grad", logits, {
      lse: [lse, 1],
      dloss: [dloss, 1],
      dlogits: [dlogits, logits.dim(1)],
    });
    checkTargets(op);
  },
  operations: ({ logits }) => 8 * logits.elements,
};

/** See {@link CrossEntropy}; the loss of each row, [n, 1]. */
export function crossEntropy(
  s: Stream,
  logits: Tensor,
  targets: Tensor,
  { smoothing = 0, ignore = -100 }: Partial<CrossEntropyOptions> = {},
): Tensor {
  const [loss, lse] = [s.empty("f32", [logits.dim(0), 1]), s.empty("f32", [logits.dim(0), 1])];
  s.push({ kind: "cross_entropy", logits, targets, loss, lse, smoothing, ignore });
  return loss;
}

/**
 * How far the softened distribution of the logits is from a teacher's (Hinton et al. 2015): with
 * p = softmax(teacher[i] / temperature) and q = softmax(logits[i] / temperature),
 *
 * `loss[i] = Σ_j p_j · (log p_j − log q_j)`; `lse[i] = (log Σ_j exp(logits[i, j] / T), log Σ_j exp(teacher[i, j] / T))`
 *
 * logits, teacher f32 [n, v]; loss f32 [n, 1]; lse f32 [n, 2]; temperature T above 0. (The loss of that paper is T² times
 * this.) Sums are f32 or wider, in an order that v decides; the error of the loss is at most
 * `γ · (max|logits| + max|teacher|) / T + γ`, γ that of 12 + ⌈log₂ v⌉ roundings, for sums by halves or in f64.
 */
export interface KlDivergence {
  readonly kind: "kl_divergence";
  readonly logits: Tensor;
  readonly teacher: Tensor;
  readonly loss: Tensor;
  readonly lse: Tensor;
  readonly temperature: number;
}

/**
 * `dlogits[i, j] = dloss[i] / T · (exp(logits[i, j] / T − lse[i, 0]) − exp(teacher[i, j] / T − lse[i, 1]))`
 *
 * Shapes as {@link KlDivergence}; dloss f32 [n, 1]; dlogits f32 [n, v], which may take the place of logits or teacher.
 * There is none by the teacher. An element is off by at most
 * `|dloss| / T · (p + q) · (10 + (|logits| + |teacher|) / T + |lse|) · 2⁻²⁴`, p and q the exponentials.
 */
export interface KlDivergenceGrad {
  readonly kind: "kl_divergence_grad";
  readonly logits: Tensor;
  readonly teacher: Tensor;
  readonly lse: Tensor;
  readonly dloss: Tensor;
  readonly dlogits: Tensor;
  readonly temperature: number;
}

function checkTeacher({ kind, logits, teacher, temperature }: KlDivergence | KlDivergenceGrad): void {
  expectTensor(kind, "teacher", teacher, F32, logits.shape);
  require(kind, temperature > 0 && temperature < Infinity, () =>
    `temperature is ${temperature}, but must be positive and finite`);
}

export const klDivergenceDefinition: OpDefinition<KlDivergence> = {
  kind: "kl_divergence",
  reads: ["logits", "teacher"],
  writes: ["loss", "lse"],
  numbers: ["temperature"],
  words: {},
  check(op) {
    checkRows("kl_divergence", op.logits, { loss: [op.loss, 1], lse: [op.lse, 2] });
    checkTeacher(op);
  },
  operations: ({ logits }) => 20 * logits.elements,
};

export const klDivergenceGradDefinition: OpDefinition<KlDivergenceGrad> = {
  kind: "kl_divergence_grad",
  reads: ["logits", "teacher", "lse", "dloss"],
  writes: ["dlogits"],
  numbers: ["temperature"],
  words: {},
  inPlace: true,
  check(op) {
    const { logits, lse, dloss, dlogits } = op;
    checkRows("kl_divergence_grad", logits, {
      lse: [lse, 2],
      dloss: [dloss, 1],
      dlogits: [dlogits, logits.dim(1)],
    });
    checkTeacher(op);
  },
  operations: ({ logits }) => 16 * logits.elements,
};

/** See {@link KlDivergence}; the divergence of each row, [n, 1]. */
export function klDivergence(s: Stream, logits: Tensor, teacher: Tensor, temperature = 1): Tensor {
  const [loss, lse] = [s.empty("f32", [logits.dim(0), 1]), s.empty("f32", [logits.dim(0), 2])];
  s.push({ kind: "kl_divergence", logits, teacher, loss, lse, temperature });
  return loss;
}
