/** Mixture of experts: which experts a row uses, and how their results are joined. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Softmax over the experts, then the p largest (ties: the lower index first), in falling order.
 *
 * logits f32 [n, e]; experts i32 [n, p]; weights f32 [n, p], divided by their sum when `normalize` is 1
 * (Jiang et al. 2024, section 2.1).
 */
export interface Route {
  readonly kind: "route";
  readonly logits: Tensor;
  readonly experts: Tensor;
  readonly weights: Tensor;
  readonly normalize: number;
}

export const routeDefinition: OpDefinition<Route> = {
  kind: "route",
  reads: ["logits"],
  writes: ["experts", "weights"],
  numbers: ["normalize"],
  words: {},
  check({ logits, experts, weights }) {
    expectTensor("route", "logits", logits, F32, [undefined, undefined]);
    expectTensor("route", "experts", experts, I32, [logits.dim(0), undefined]);
    expectTensor("route", "weights", weights, F32, experts.shape);
    const [picks, count] = [experts.dim(1), logits.dim(1)];
    require("route", picks >= 1 && picks <= count, () => `cannot pick ${picks} of ${count} experts`);
  },
  operations: ({ logits }) => 8 * logits.elements,
};

/** See {@link Route}. */
export function route(
  s: Stream,
  logits: Tensor,
  picks: number,
  normalize: boolean,
): { experts: Tensor; weights: Tensor } {
  const experts = s.empty("i32", [logits.dim(0), picks]);
  const weights = s.empty("f32", [logits.dim(0), picks]);
  s.push({ kind: "route", logits, experts, weights, normalize: Number(normalize) });
  return { experts, weights };
}

/** `y[i] = Σ_j weights[i, j] · x[i·p + j]`, j in order; x f32 [n·p, d]; weights f32 [n, p]; y f32 [n, d]. */
export interface Combine {
  readonly kind: "combine";
  readonly x: Tensor;
  readonly weights: Tensor;
  readonly y: Tensor;
}

export const combineDefinition: OpDefinition<Combine> = {
  kind: "combine",
  reads: ["x", "weights"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, weights, y }) {
    expectTensor("combine", "weights", weights, F32, [undefined, undefined]);
    expectTensor("combine", "x", x, F32, [weights.elements, undefined]);
    expectTensor("combine", "y", y, F32, [weights.dim(0), x.dim(1)]);
  },
  operations: ({ x }) => 2 * x.elements,
};

/** See {@link Combine}. */
export function combine(s: Stream, x: Tensor, weights: Tensor): Tensor {
  const y = s.empty("f32", [weights.dim(0), x.dim(1)]);
  s.push({ kind: "combine", x, weights, y });
  return y;
}
