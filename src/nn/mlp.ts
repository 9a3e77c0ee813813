/** Feed-forward layers: plain, gated, and mixtures of experts. */
import {
  type ActivationName,
  activation,
  add,
  combine,
  expertLinear,
  gated,
  mul,
  route,
  type Tensor,
} from "../ops/index.ts";
import type { Layer } from "./layers.ts";

/** `down(fn(up(x)))` */
export function plainMlp(up: Layer, down: Layer, fn: ActivationName): Layer {
  return (s, x) => down(s, activation(s, up(s, x), fn));
}

/** `down(fn(gate(x)) · up(x))` (Shazeer 2020) */
export function gatedMlp(gate: Layer, up: Layer, down: Layer, fn: ActivationName): Layer {
  return (s, x) => down(s, gated(s, gate(s, x), up(s, x), fn));
}

export interface ExpertsParts {
  /** [n, d] to one logit for each expert. */
  readonly router: Layer;
  /** [e, m, d], [e, m, d], [e, d, m] */
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
  readonly picks: number;
  /** Divide the weights of the picked experts by their sum. */
  readonly normalize: boolean;
  readonly fn: ActivationName;
}

/** Each row goes through its `picks` best experts, gated MLPs (Jiang et al. 2024, section 2.1). */
export function experts({ router, gate, up, down, picks, normalize, fn }: ExpertsParts): Layer {
  return (s, x) => {
    const { experts, weights } = route(s, router(s, x), picks, normalize);
    const h = gated(s, expertLinear(s, x, gate, experts), expertLinear(s, x, up, experts), fn);
    return combine(s, expertLinear(s, h, down, experts), weights);
  };
}

/** Experts, and one that all rows use, weighted by a sigmoid gate [n, 1] (Qwen 1.5 MoE). */
export function withSharedExpert(routed: Layer, shared: Layer, gate: Layer): Layer {
  return (s, x) => {
    const weight = activation(s, gate(s, x), "sigmoid");
    return add(s, routed(s, x), mul(s, shared(s, x), weight));
  };
}
