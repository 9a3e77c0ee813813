/**
 * What it takes to define a kind of op: its fields, the shapes it requires, its price. Each kind is
 * defined once, beside its docstring, in the files of this folder; every reader of the stream works from
 * these definitions and needs no list of its own.
 */
import { OpError } from "../base/errors.ts";
import type { DType, Tensor } from "./tensor.ts";

/** Memory traffic and arithmetic of an op, counted from its shapes: each operand read or written once. */
export interface Price {
  /** Bytes read and written. */
  readonly bytes: number;
  /** Floating-point or integer operations; a multiply-add is two. */
  readonly operations: number;
}

export interface OpDefinition<T extends { readonly kind: string }> {
  readonly kind: T["kind"];
  /** Tensor fields that are read, in the order of encoding. A trailing `?` marks an optional one. */
  readonly reads: readonly string[];
  /** Tensor fields that are written; the name of one that is read too stands in both. */
  readonly writes: readonly string[];
  /** Number fields, in the order of encoding after the tensors. */
  readonly numbers: readonly string[];
  /** Fields that hold one of a list of words; encoded after the numbers, as the index in the list. */
  readonly words: Readonly<Record<string, readonly string[]>>;
  /** Whether its one result may take the place of an operand of the same size: each element is read before it is written. */
  readonly inPlace?: boolean;
  /** Refuses, by throwing an `OpError`, what the op is not defined for. */
  check(op: T): void;
  /** Operations; the bytes follow from the operands unless `bytes` is given. */
  operations(op: T): number;
  /** Bytes, where they are not simply the sum of the operands. */
  bytes?(op: T): number;
}

/** Throws an `OpError` for `kind` unless the condition holds. */
export function require(kind: string, condition: boolean, problem: () => string): void {
  if (!condition) throw new OpError(kind, problem());
}

/**
 * Checks a tensor's dtype and shape. A pattern entry is a number (exact), or undefined (any size).
 */
export function expectTensor(
  kind: string,
  field: string,
  tensor: Tensor,
  dtypes: readonly DType[],
  shape: readonly (number | undefined)[],
): void {
  const fits =
    dtypes.includes(tensor.dtype) &&
    tensor.layout === "rows" &&
    tensor.shape.length === shape.length &&
    shape.every((d, i) => d === undefined || d === tensor.shape[i]);
  if (!fits) {
    const wanted = shape.map((d) => d ?? "any").join(",");
    throw new OpError(kind, `${field} is ${tensor}, but must be ${dtypes.join(" or ")}[${wanted}]`);
  }
}

export const F32 = ["f32"] as const;
export const I32 = ["i32"] as const;
