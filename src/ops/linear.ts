/** Products with weight matrices, the look-up in an embedding table, and the packing of both. */
import { OpError } from "../base/errors.ts";
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import { type Precision, precisions } from "./matmul.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `y[i, j] = Σ_k x[i, k] · weight[j, k] + bias[j]`
 *
 * x f32 [n, k]; weight [m, k] in any number format, as rows or panels; bias f32 [m]; y f32 [n, m].
 * Sums are f32 or wider; the order of the sum over k depends on k and the format alone. For integer formats
 * a device may round each group of 32 activations to 8 bits with a scale of their own, which bounds the
 * error by `Σ_groups max|x| / 254 · Σ|w|`; for float formats it may not. With weights in i8_row the group is the
 * whole row of x: one activation that is far larger than the others costs all of them precision. Its products
 * are summed in integers of 32 bits, so k may be up to {@link MOST_ROW}.
 *
 * With the precision `bf16`, which weights of float formats may ask for, x and weight are first rounded to bf16, as
 * those of a matmul are.
 */
export interface Linear {
  readonly kind: "linear";
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor | undefined;
  readonly y: Tensor;
  readonly precision: Precision;
}

/** Elements of a row in i8_row: 127 · 128 of these fit 32 bits. */
export const MOST_ROW = 2 ** 17;

function checkWeight(kind: string, weight: Tensor, rank: number): void {
  require(kind, weight.dtype !== "i32" && weight.shape.length === rank, () =>
    `weight is ${weight}, but must have a number format and ${rank} dimensions`);
  require(kind, weight.dtype !== "i8_row" || weight.dim(-1) <= MOST_ROW, () =>
    `weight is ${weight}, but rows of i8_row may have ${MOST_ROW} elements; use q8_0`);
}

export const linearDefinition: OpDefinition<Linear> = {
  kind: "linear",
  reads: ["x", "weight", "bias?"],
  writes: ["y"],
  numbers: [],
  words: { precision: precisions },
  check({ x, weight, bias, y, precision }) {
    checkWeight("linear", weight, 2);
    require("linear", precision === "f32" || isFloat(weight), () =>
      `weight is ${weight}: only float formats are multiplied in bf16`);
    const [m = 0, k = 0] = weight.shape;
    expectTensor("linear", "x", x, F32, [undefined, k]);
    expectTensor("linear", "y", y, F32, [x.dim(0), m]);
    if (bias) expectTensor("linear", "bias", bias, F32, [m]);
  },
  operations: ({ x, weight }) => 2 * x.dim(0) * weight.elements,
};

const isFloat = ({ dtype }: Tensor): boolean => dtype === "f32" || dtype === "f16" || dtype === "bf16";

/** See {@link Linear}. x [n, k] and weight [m, k] give [n, m], in the precision of the stream. */
export function linear(s: Stream, x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const y = s.empty("f32", [x.dim(0), weight.dim(0)]);
  const precision = isFloat(weight) ? s.precision : "f32";
  s.push({ kind: "linear", x, weight, bias, y, precision });
  return y;
}

/**
 * For each row i and pick j: `y[i·p + j] = weight[experts[i, j]] · x[row] + bias[experts[i, j]]`
 *
 * experts i32 [n, p] names the matrices that each row uses; weight [e, m, k]; bias f32 [e, m]; x f32 is
 * [n, k] (row i serves all its picks) or [n·p, k] (a row for each pick); y f32 [n·p, m]. Numerics as
 * {@link Linear}.
 */
export interface ExpertLinear {
  readonly kind: "expert_linear";
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly experts: Tensor;
  readonly bias?: Tensor | undefined;
  readonly y: Tensor;
}

export const expertLinearDefinition: OpDefinition<ExpertLinear> = {
  kind: "expert_linear",
  reads: ["x", "weight", "experts", "bias?"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, weight, experts, bias, y }) {
    checkWeight("expert_linear", weight, 3);
    const [e = 0, m = 0, k = 0] = weight.shape;
    expectTensor("expert_linear", "experts", experts, I32, [undefined, undefined]);
    const [n = 0, picks = 0] = experts.shape;
    expectTensor("expert_linear", "x", x, F32, [undefined, k]);
    require("expert_linear", x.dim(0) === n || x.dim(0) === n * picks, () =>
      `x has ${x.dim(0)} rows, but experts is ${experts}`);
    expectTensor("expert_linear", "y", y, F32, [n * picks, m]);
    if (bias) expectTensor("expert_linear", "bias", bias, F32, [e, m]);
  },
  operations: ({ weight, y }) => 2 * y.elements * weight.dim(2),
  bytes({ x, weight, experts, y }) {
    const used = Math.min(1, y.dim(0) / weight.dim(0));
    return x.bytes + experts.bytes + y.bytes + used * weight.bytes;
  },
};

/** See {@link ExpertLinear}. */
export function expertLinear(s: Stream, x: Tensor, weight: Tensor, experts: Tensor, bias?: Tensor): Tensor {
  const y = s.empty("f32", [experts.elements, weight.dim(1)]);
  s.push({ kind: "expert_linear", x, weight, experts, bias, y });
  return y;
}

/**
 * `y[i] = table[ids[i]]`, converted to f32.
 *
 * table [v, d] in any format, as rows or panels; ids i32 [n], each in [0, v) (the caller checks: a device
 * reads row 0 for an id out of range, never memory outside the table); y f32 [n, d].
 */
export interface Embed {
  readonly kind: "embed";
  readonly table: Tensor;
  readonly ids: Tensor;
  readonly y: Tensor;
}

export const embedDefinition: OpDefinition<Embed> = {
  kind: "embed",
  reads: ["table", "ids"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ table, ids, y }) {
    checkWeight("embed", table, 2);
    expectTensor("embed", "ids", ids, I32, [undefined]);
    if (table.dim(0) === 0 && ids.elements > 0) throw new OpError("embed", `${table} has no rows to read`);
    expectTensor("embed", "y", y, F32, [ids.dim(0), table.dim(1)]);
  },
  operations: () => 0,
  bytes: ({ table, ids, y }) => ids.bytes + y.bytes + (ids.dim(0) * table.bytes) / Math.max(1, table.dim(0)),
};

/** See {@link Embed}. */
export function embed(s: Stream, table: Tensor, ids: Tensor): Tensor {
  const y = s.empty("f32", [ids.dim(0), table.dim(1)]);
  s.push({ kind: "embed", table, ids, y });
  return y;
}

/**
 * The same matrix (or stack of matrices) in the panels of the device: x [m, k] or [e, m, k] as rows, y of
 * the same format and shape as panels. The values are unchanged.
 */
export interface Pack {
  readonly kind: "pack";
  readonly x: Tensor;
  readonly y: Tensor;
}

export const packDefinition: OpDefinition<Pack> = {
  kind: "pack",
  reads: ["x"],
  writes: ["y"],
  numbers: [],
  words: {},
  check({ x, y }) {
    const same = x.dtype === y.dtype && x.shape.join() === y.shape.join();
    if (x.layout !== "rows" || y.layout !== "panels" || !same)
      throw new OpError("pack", `${x} cannot be packed as ${y}`);
  },
  operations: () => 0,
};
