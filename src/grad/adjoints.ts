/** The adjoints of all kinds of op, in one table, or why a kind has none. A new kind of op needs an entry here. */
import type { OpKind } from "../ops/index.ts";
import type { Adjoint, Barrier } from "./adjoint.ts";
import { attendWithinAdjoint, ropeAdjoint } from "./attention.ts";
import {
  activationAdjoint,
  addAdjoint,
  gatedAdjoint,
  mulAdjoint,
  scaleAdjoint,
  softcapAdjoint,
} from "./elementwise.ts";
import { combineAdjoint, expertLinearAdjoint, routeAdjoint } from "./experts.ts";
import { embedAdjoint, linearAdjoint } from "./linear.ts";
import { crossEntropyAdjoint, klDivergenceAdjoint } from "./losses.ts";
import { matmulAdjoint } from "./matmul.ts";
import { castAdjoint, copyAdjoint, gatherAdjoint, scatterAddAdjoint, sumAdjoint } from "./movement.ts";
import { layerNormAdjoint, rmsNormAdjoint } from "./norm.ts";

const derivative: Barrier = { barrier: "it is itself part of a derivative, and there are no second ones" };
const optimizer: Barrier = { barrier: "it belongs to the optimizer, after the way back" };
const cache: Barrier = {
  barrier: "a cache keeps what it is given beyond the step; run the model with BatchAttention in its place",
};

export const adjoints: { readonly [K in OpKind]: Adjoint<K> | Barrier } = {
  activation: activationAdjoint,
  activation_grad: derivative,
  adamw: optimizer,
  add: addAdjoint,
  attend: cache,
  attend_within: attendWithinAdjoint,
  attend_within_grad: derivative,
  average: optimizer,
  block_softmax: { barrier: "it serves draws, which nothing is learned through" },
  cache_write: cache,
  cast: castAdjoint,
  checksum: { barrier: "a checksum has no derivative" },
  clip: optimizer,
  combine: combineAdjoint,
  copy: copyAdjoint,
  cross_entropy: crossEntropyAdjoint,
  cross_entropy_grad: derivative,
  embed: embedAdjoint,
  expert_linear: expertLinearAdjoint,
  gated: gatedAdjoint,
  gated_grad: derivative,
  gather: gatherAdjoint,
  kl_divergence: klDivergenceAdjoint,
  kl_divergence_grad: derivative,
  layernorm: layerNormAdjoint,
  linear: linearAdjoint,
  matmul: matmulAdjoint,
  mul: mulAdjoint,
  norm_grad: derivative,
  norm_weight_grad: derivative,
  pack: { barrier: "panels are for reading; a weight that learns lies in rows" },
  rmsnorm: rmsNormAdjoint,
  rope: ropeAdjoint,
  route: routeAdjoint,
  scale: scaleAdjoint,
  scatter_add: scatterAddAdjoint,
  softcap: softcapAdjoint,
  sum: sumAdjoint,
  sum_squares: optimizer,
};
