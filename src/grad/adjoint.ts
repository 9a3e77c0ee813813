/** What it takes to differentiate a kind of op: its adjoint, which reads gradients of results and adds to those of operands. */
import type { Op, OpKind, Stream, Tensor } from "../ops/index.ts";

export type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** The way back, as an adjoint sees it. */
export interface Backward {
  readonly s: Stream;
  /** The gradient, complete, of a tensor that an op wrote, in that tensor's shape; it must not be written to. */
  of(y: Tensor): Tensor;
  /** Whether a tensor that an op wrote has a gradient. */
  has(y: Tensor): boolean;
  /** Whether the gradient of a tensor that an op read is wanted. */
  wants(x: Tensor | undefined): x is Tensor;
  /** The content that a tensor had on the way forward: itself, or what is computed anew. */
  value(x: Tensor): Tensor;
  /**
   * Adds to the gradient of an operand. `emit` pushes ops that write `y = c + contribution`, or without c the
   * contribution alone; y is f32 in x's shape, and c is new memory's first content or y itself.
   */
  add(x: Tensor, emit: (y: Tensor, c: Tensor | undefined) => void): void;
  /** Adds a contribution that lies in a tensor, in any shape; nobody writes to that any more. */
  pass(x: Tensor, contribution: Tensor): void;
  /** `-x`, made once for all who ask. */
  negative(x: Tensor): Tensor;
}

/** Pushes the ops of an op's derivative. It is called when one of the op's results has a gradient. */
export type Adjoint<K extends OpKind> = (op: OpOf<K>, back: Backward) => void;

/** Why no gradient passes through a kind of op. */
export interface Barrier {
  readonly barrier: string;
}
