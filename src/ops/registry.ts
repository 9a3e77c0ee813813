/** All kinds of op, in one table: what a reader of the stream consults. */

import type { Attend, CacheWrite, Rope } from "./attention.ts";
import { attendDefinition, cacheWriteDefinition, ropeDefinition } from "./attention.ts";
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
import type { Combine, Route } from "./experts.ts";
import { combineDefinition, routeDefinition } from "./experts.ts";
import type { Embed, ExpertLinear, Linear, Pack } from "./linear.ts";
import { embedDefinition, expertLinearDefinition, linearDefinition, packDefinition } from "./linear.ts";
import type { Matmul } from "./matmul.ts";
import { matmulDefinition } from "./matmul.ts";
import type { Cast, Copy, Gather } from "./movement.ts";
import { castDefinition, copyDefinition, gatherDefinition } from "./movement.ts";
import type { LayerNorm, RmsNorm } from "./norm.ts";
import { layerNormDefinition, rmsNormDefinition } from "./norm.ts";
import type { Adamw, Average, Clip, SumSquares } from "./optimizer.ts";
import { adamwDefinition, averageDefinition, clipDefinition, sumSquaresDefinition } from "./optimizer.ts";
import type { Tensor } from "./tensor.ts";

export type Op =
  | Activation
  | Adamw
  | Add
  | Attend
  | Average
  | CacheWrite
  | Cast
  | Checksum
  | Clip
  | Combine
  | Copy
  | Embed
  | ExpertLinear
  | Gated
  | Gather
  | LayerNorm
  | Linear
  | Matmul
  | Mul
  | Pack
  | RmsNorm
  | Rope
  | Route
  | Scale
  | Softcap
  | SumSquares;

export type OpKind = Op["kind"];

export const definitions: { readonly [K in OpKind]: OpDefinition<Extract<Op, { kind: K }>> } = {
  activation: activationDefinition,
  adamw: adamwDefinition,
  add: addDefinition,
  attend: attendDefinition,
  average: averageDefinition,
  cache_write: cacheWriteDefinition,
  cast: castDefinition,
  checksum: checksumDefinition,
  clip: clipDefinition,
  combine: combineDefinition,
  copy: copyDefinition,
  embed: embedDefinition,
  expert_linear: expertLinearDefinition,
  gated: gatedDefinition,
  gather: gatherDefinition,
  layernorm: layerNormDefinition,
  linear: linearDefinition,
  matmul: matmulDefinition,
  mul: mulDefinition,
  pack: packDefinition,
  rmsnorm: rmsNormDefinition,
  rope: ropeDefinition,
  route: routeDefinition,
  scale: scaleDefinition,
  softcap: softcapDefinition,
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
