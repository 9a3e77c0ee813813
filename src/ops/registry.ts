/** All kinds of op, in one table: what a reader of the stream consults. */

import type { AttendWithin, AttendWithinGrad } from "./attend-within.ts";
import { attendWithinDefinition, attendWithinGradDefinition } from "./attend-within.ts";
import type { Attend, CacheWrite, Rope } from "./attention.ts";
import { attendDefinition, cacheWriteDefinition, ropeDefinition } from "./attention.ts";
import type { BlockSoftmax } from "./block-softmax.ts";
import { blockSoftmaxDefinition } from "./block-softmax.ts";
import type { Checksum } from "./checksum.ts";
import { checksumDefinition } from "./checksum.ts";
import type { OpDefinition, Price } from "./define.ts";
import type { Activation, Add, Gated, Mul, Scale, Softcap } from "./elementwise.ts";
import {
  activationDefinition,
  addDefinition,
  gatedDefinition,
  mulDefinition,
  scaleDefinition,
  softcapDefinition,
} from "./elementwise.ts";
import type { ActivationGrad, GatedGrad } from "./elementwise-grad.ts";
import { activationGradDefinition, gatedGradDefinition } from "./elementwise-grad.ts";
import type { Combine, Route } from "./experts.ts";
import { combineDefinition, routeDefinition } from "./experts.ts";
import type { Embed, ExpertLinear, Linear, Pack } from "./linear.ts";
import { embedDefinition, expertLinearDefinition, linearDefinition, packDefinition } from "./linear.ts";
import type { CrossEntropy, CrossEntropyGrad, KlDivergence, KlDivergenceGrad } from "./losses.ts";
import {
  crossEntropyDefinition,
  crossEntropyGradDefinition,
  klDivergenceDefinition,
  klDivergenceGradDefinition,
} from "./losses.ts";
import type { Matmul } from "./matmul.ts";
import { matmulDefinition } from "./matmul.ts";
import type { Cast, Copy, Gather } from "./movement.ts";
import { castDefinition, copyDefinition, gatherDefinition } from "./movement.ts";
import type { LayerNorm, RmsNorm } from "./norm.ts";
import { layerNormDefinition, rmsNormDefinition } from "./norm.ts";
import type { NormGrad, NormWeightGrad } from "./norm-grad.ts";
import { normGradDefinition, normWeightGradDefinition } from "./norm-grad.ts";
import type { Adamw, Average, Clip, SumSquares } from "./optimizer.ts";
import { adamwDefinition, averageDefinition, clipDefinition, sumSquaresDefinition } from "./optimizer.ts";
import type { ScatterAdd, Sum } from "./reduce.ts";
import { scatterAddDefinition, sumDefinition } from "./reduce.ts";
import type { Tensor } from "./tensor.ts";

export type Op =
  | Activation
  | ActivationGrad
  | Adamw
  | Add
  | Attend
  | AttendWithin
  | AttendWithinGrad
  | Average
  | BlockSoftmax
  | CacheWrite
  | Cast
  | Checksum
  | Clip
  | Combine
  | Copy
  | CrossEntropy
  | CrossEntropyGrad
  | Embed
  | ExpertLinear
  | Gated
  | GatedGrad
  | Gather
  | KlDivergence
  | KlDivergenceGrad
  | LayerNorm
  | Linear
  | Matmul
  | Mul
  | NormGrad
  | NormWeightGrad
  | Pack
  | RmsNorm
  | Rope
  | Route
  | Scale
  | ScatterAdd
  | Softcap
  | Sum
  | SumSquares;

export type OpKind = Op["kind"];

export const definitions: { readonly [K in OpKind]: OpDefinition<Extract<Op, { kind: K }>> } = {
  activation: activationDefinition,
  activation_grad: activationGradDefinition,
  adamw: adamwDefinition,
  add: addDefinition,
  attend: attendDefinition,
  attend_within: attendWithinDefinition,
  attend_within_grad: attendWithinGradDefinition,
  average: averageDefinition,
  block_softmax: blockSoftmaxDefinition,
  cache_write: cacheWriteDefinition,
  cast: castDefinition,
  checksum: checksumDefinition,
  clip: clipDefinition,
  combine: combineDefinition,
  copy: copyDefinition,
  cross_entropy: crossEntropyDefinition,
  cross_entropy_grad: crossEntropyGradDefinition,
  embed: embedDefinition,
  expert_linear: expertLinearDefinition,
  gated: gatedDefinition,
  gated_grad: gatedGradDefinition,
  gather: gatherDefinition,
  kl_divergence: klDivergenceDefinition,
  kl_divergence_grad: klDivergenceGradDefinition,
  layernorm: layerNormDefinition,
  linear: linearDefinition,
  matmul: matmulDefinition,
  mul: mulDefinition,
  norm_grad: normGradDefinition,
  norm_weight_grad: normWeightGradDefinition,
  pack: packDefinition,
  rmsnorm: rmsNormDefinition,
  rope: ropeDefinition,
  route: routeDefinition,
  scale: scaleDefinition,
  scatter_add: scatterAddDefinition,
  softcap: softcapDefinition,
  sum: sumDefinition,
  sum_squares: sumSquaresDefinition,
};

/** The definition of an op's kind, typed for that op. */
export function definitionOf(op: Op): OpDefinition<Op> {
  return definitions[op.kind] as unknown as OpDefinition<Op>;
}

/** The fields of an op by name: for readers that treat all kinds alike. */
export function fieldOf(op: Op, field: string): Tensor | number | string | undefined {
  return (op as unknown as Readonly<Record<string, Tensor | number | string | undefined>>)[field];
}

const bare = (field: string): string => (field.endsWith("?") ? field.slice(0, -1) : field);

/** Calls `visit` for each tensor of an op: first those read, then those written. */
export function eachTensor(op: Op, visit: (tensor: Tensor, written: boolean, field: string) => void): void {
  const { reads, writes } = definitionOf(op);
  for (const field of reads) {
    const tensor = fieldOf(op, bare(field));
    if (tensor !== undefined) visit(tensor as Tensor, false, bare(field));
  }
  for (const field of writes) {
    const tensor = fieldOf(op, bare(field));
    if (tensor !== undefined) visit(tensor as Tensor, true, bare(field));
  }
}

/** Memory traffic and arithmetic of an op. */
export function priceOf(op: Op): Price {
  const definition = definitionOf(op);
  let bytes = 0;
  if (definition.bytes) bytes = definition.bytes(op);
  else eachTensor(op, (tensor) => (bytes += tensor.bytes));
  return { bytes, operations: definition.operations(op) };
}
