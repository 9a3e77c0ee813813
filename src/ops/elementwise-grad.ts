/** The derivatives of activations, times what comes back. All f32. */
import { expectTensor, F32, type OpDefinition } from "./define.ts";
import { type ActivationName, activations } from "./elementwise.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `dx = dy · fn′(x)`; x, dy, dx f32 [n, d]; the functions are those of {@link Activation}, and at the kinks of `relu`
 * and `relu2` the derivative is 0.
 *
 * With σ the logistic function and φ, Φ the density and distribution of the normal one: `silu` σ(x)(1 + x(1 − σ(x)));
 * `gelu` Φ(x) + xφ(x); `gelu_tanh` ½(1 + t) + ½x(1 − t²)·√(2/π)(1 + 3·0.044715x²), t the tanh in it; `quick_gelu`
 * σ(z)(1 + z(1 − σ(z))), z = 1.702x; `relu` 1 or 0; `relu2` 2·max(x, 0); `tanh` 1 − tanh²(x); `sigmoid` σ(x)(1 − σ(x)).
 * The error is at most `8 · 2⁻²⁴ · max(1, |x|) · |dy|`; `relu` is exact, `relu2` off by two roundings.
 */
export interface ActivationGrad {
  readonly kind: "activation_grad";
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly dx: Tensor;
  readonly fn: ActivationName;
}

export const activationGradDefinition: OpDefinition<ActivationGrad> = {
  kind: "activation_grad",
  reads: ["x", "dy"],
  writes: ["dx"],
  numbers: [],
  words: { fn: activations },
  inPlace: true,
  check({ x, dy, dx }) {
    expectTensor("activation_grad", "x", x, F32, [undefined, undefined]);
    expectTensor("activation_grad", "dy", dy, F32, x.shape);
    expectTensor("activation_grad", "dx", dx, F32, x.shape);
  },
  operations: ({ x }) => 12 * x.elements,
};

/** See {@link ActivationGrad}. */
export function activationGrad(s: Stream, x: Tensor, dy: Tensor, fn: ActivationName): Tensor {
  const dx = s.empty("f32", x.shape);
  s.push({ kind: "activation_grad", x, dy, dx, fn });
  return dx;
}

/**
 * Both derivatives of {@link Gated} at once: `dgate = dy · up · fn′(gate)`, `dup = dy · fn(gate)`
 *
 * All f32 [n, d]; fn′ as {@link ActivationGrad}. The errors are at most `10 · 2⁻²⁴ · max(1, |gate|) · |dy · up|` and
 * `6 · 2⁻²⁴ · max(1, |gate|) · |dy|`; of dup by `relu2`, three roundings.
 */
export interface GatedGrad {
  readonly kind: "gated_grad";
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly dy: Tensor;
  readonly dgate: Tensor;
  readonly dup: Tensor;
  readonly fn: ActivationName;
}

export const gatedGradDefinition: OpDefinition<GatedGrad> = {
  kind: "gated_grad",
  reads: ["gate", "up", "dy"],
  writes: ["dgate", "dup"],
  numbers: [],
  words: { fn: activations },
  check({ gate, up, dy, dgate, dup }) {
    expectTensor("gated_grad", "gate", gate, F32, [undefined, undefined]);
    for (const [field, tensor] of Object.entries({ up, dy, dgate, dup }))
      expectTensor("gated_grad", field, tensor, F32, gate.shape);
  },
  operations: ({ gate }) => 15 * gate.elements,
};

/** See {@link GatedGrad}. */
export function gatedGrad(
  s: Stream,
  gate: Tensor,
  up: Tensor,
  dy: Tensor,
  fn: ActivationName,
): { dgate: Tensor; dup: Tensor } {
  const [dgate, dup] = [s.empty("f32", gate.shape), s.empty("f32", gate.shape)];
  s.push({ kind: "gated_grad", gate, up, dy, dgate, dup, fn });
  return { dgate, dup };
}
