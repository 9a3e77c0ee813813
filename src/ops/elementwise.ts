/** Ops that treat each element, or pair of elements, alone. All f32. */
import { expectTensor, F32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The functions of {@link Activation} and {@link Gated}: `silu` x·σ(x); `gelu` x·Φ(x) with the error
 * function; `gelu_tanh` its approximation by tanh (Hendrycks and Gimpel 2016); `quick_gelu` x·σ(1.702 x);
 * `relu` max(x, 0); `relu2` its square; `tanh`; `sigmoid`. `relu` and `relu2` are correctly
 * rounded; of the others the absolute error of a device is at most 4·2⁻²⁴·max(1, |x|).
 */
export const activations = [
  "silu",
  "gelu",
  "gelu_tanh",
  "quick_gelu",
  "relu",
  "relu2",
  "tanh",
  "sigmoid",
] as const;
export type ActivationName = (typeof activations)[number];

/** `y = fn(x)`; x, y f32 [n, d]. */
export interface Activation {
  readonly kind: "activation";
  readonly x: Tensor;
  readonly y: Tensor;
  readonly fn: ActivationName;
}

/** `y = fn(gate) · up`; all f32 [n, d] (Shazeer 2020). */
export interface Gated {
  readonly kind: "gated";
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly y: Tensor;
  readonly fn: ActivationName;
}

/** `y = a + b`; a, y f32 [n, d]; b f32 [n, d], [1, d] (the same for each row) or [n, 1]. */
export interface Add {
  readonly kind: "add";
  readonly a: Tensor;
  readonly b: Tensor;
  readonly y: Tensor;
}

/** `y = a · b`, element by element; shapes as {@link Add}. */
export interface Mul {
  readonly kind: "mul";
  readonly a: Tensor;
  readonly b: Tensor;
  readonly y: Tensor;
}

/** `y = factor · x`; x, y f32 [n, d]. */
export interface Scale {
  readonly kind: "scale";
  readonly x: Tensor;
  readonly y: Tensor;
  readonly factor: number;
}

/** `y = cap · tanh(x / cap)`; x, y f32 [n, d] (Gemma 2, section 2). */
export interface Softcap {
  readonly kind: "softcap";
  readonly x: Tensor;
  readonly y: Tensor;
  readonly cap: number;
}

function same(kind: string, first: Tensor, others: Readonly<Record<string, Tensor>>): void {
  expectTensor(kind, "first operand", first, F32, [undefined, undefined]);
  for (const [field, tensor] of Object.entries(others)) expectTensor(kind, field, tensor, F32, first.shape);
}

function checkPair({ kind, a, b, y }: Add | Mul): void {
  same(kind, a, { y });
  expectTensor(kind, "b", b, F32, [undefined, undefined]);
  const [n, d] = a.shape;
  const [p, q] = b.shape;
  require(kind, (p === n && q === d) || (p === 1 && q === d) || (p === n && q === 1), () =>
    `b is ${b}, which does not fit a, ${a}`);
}

const shape = { reads: ["x"], writes: ["y"], numbers: [], words: {}, inPlace: true };

export const activationDefinition: OpDefinition<Activation> = {
  ...shape,
  kind: "activation",
  words: { fn: activations },
  check: ({ x, y }) => same("activation", x, { y }),
  operations: ({ x }) => 8 * x.elements,
};

export const gatedDefinition: OpDefinition<Gated> = {
  ...shape,
  kind: "gated",
  reads: ["gate", "up"],
  words: { fn: activations },
  check: ({ gate, up, y }) => same("gated", gate, { up, y }),
  operations: ({ y }) => 9 * y.elements,
};

export const addDefinition: OpDefinition<Add> = {
  ...shape,
  kind: "add",
  reads: ["a", "b"],
  check: checkPair,
  operations: ({ y }) => y.elements,
};

export const mulDefinition: OpDefinition<Mul> = {
  ...shape,
  kind: "mul",
  reads: ["a", "b"],
  check: checkPair,
  operations: ({ y }) => y.elements,
};

export const scaleDefinition: OpDefinition<Scale> = {
  ...shape,
  kind: "scale",
  numbers: ["factor"],
  check({ x, y, factor }) {
    same("scale", x, { y });
    require("scale", Number.isFinite(factor), () => `factor is ${factor}, but must be finite`);
  },
  operations: ({ x }) => x.elements,
};

export const softcapDefinition: OpDefinition<Softcap> = {
  ...shape,
  kind: "softcap",
  numbers: ["cap"],
  check({ x, y, cap }) {
    same("softcap", x, { y });
    require("softcap", cap > 0 && cap < Infinity, () => `cap is ${cap}, but must be positive and finite`);
  },
  operations: ({ x }) => 8 * x.elements,
};

/** See {@link Activation}. */
export function activation(s: Stream, x: Tensor, fn: ActivationName): Tensor {
  const y = s.empty("f32", x.shape);
  s.push({ kind: "activation", x, y, fn });
  return y;
}

/** See {@link Gated}. */
export function gated(s: Stream, gate: Tensor, up: Tensor, fn: ActivationName): Tensor {
  const y = s.empty("f32", gate.shape);
  s.push({ kind: "gated", gate, up, y, fn });
  return y;
}

/** See {@link Add}. */
export function add(s: Stream, a: Tensor, b: Tensor): Tensor {
  const y = s.empty("f32", a.shape);
  s.push({ kind: "add", a, b, y });
  return y;
}

/** See {@link Mul}. */
export function mul(s: Stream, a: Tensor, b: Tensor): Tensor {
  const y = s.empty("f32", a.shape);
  s.push({ kind: "mul", a, b, y });
  return y;
}

/** See {@link Scale}. */
export function scale(s: Stream, x: Tensor, factor: number): Tensor {
  const y = s.empty("f32", x.shape);
  s.push({ kind: "scale", x, y, factor });
  return y;
}

/** See {@link Softcap}. */
export function softcap(s: Stream, x: Tensor, cap: number): Tensor {
  const y = s.empty("f32", x.shape);
  s.push({ kind: "softcap", x, y, cap });
  return y;
}
