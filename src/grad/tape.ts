/**
 * The tape: one more reader of the op stream. It remembers the ops of a computation and pushes those of its derivative
 * on the same stream, so that both are one plan: what the way back reads lives until then, and a recorded step learns
 * as often as it is run.
 */
import { OpError } from "../base/errors.ts";
import { eachTensor, type Op, type Stream, scale, type Tensor } from "../ops/index.ts";
import type { Adjoint, Backward } from "./adjoint.ts";
import { adjoints } from "./adjoints.ts";
import { elementSize, Gradients, refuseRewriting } from "./gradients.ts";
import { Forward, type Segment } from "./recompute.ts";

export interface TapeOptions {
  /**
   * Tensors that the gradients are added to, f32 in the shapes of the parameters: for gradients of several batches.
   * A parameter that has none here gets new memory of the step.
   */
  readonly into?: ReadonlyMap<string, Tensor>;
}

export interface Taped {
  /** What `forward` returned. */
  readonly loss: Tensor;
  /** The gradient of each parameter, f32 in its shape and in memory of its own, under its name. */
  readonly grads: ReadonlyMap<string, Tensor>;
}

/**
 * Runs `work` as part of `forward`, and keeps none of what it computes: on the way back it is computed once more. What
 * goes in and what comes out is kept. Sections may not lie in each other.
 */
export type Recompute = <T>(work: () => T) => T;

/**
 * Pushes the ops of a loss, and then those of its derivative by each parameter.
 *
 * What depends on no parameter costs nothing on the way back: leave out of `parameters` what shall stay as it is.
 * An op that has no derivative is refused by name if a gradient must pass through it.
 *
 * @param parameters by name; f32 or bf16 in rows, in any memory
 * @param forward pushes ops on the stream and returns the loss, one number
 */
export function tape(
  s: Stream,
  parameters: ReadonlyMap<string, Tensor>,
  forward: (recompute: Recompute) => Tensor,
  { into }: TapeOptions = {},
): Taped {
  const gradients = new Gradients(s);
  for (const [name, parameter] of parameters) {
    checkParameter(name, parameter, into?.get(name));
    gradients.want(parameter, into?.get(name));
  }
  const start = s.pushed.length;
  const segments: Segment[] = [];
  let open = false;
  const recompute: Recompute = (work) => {
    if (open) throw new OpError("tape", "a section to recompute lies in another; give one of them up");
    open = true;
    const from = s.pushed.length - start;
    try {
      return work();
    } finally {
      open = false;
      segments.push({ from, to: s.pushed.length - start });
    }
  };
  const loss = forward(recompute);
  const ops = s.pushed.slice(start);
  refuseRewriting(ops);
  if (loss.dtype !== "f32" || loss.elements !== 1)
    throw new OpError("tape", `the loss is ${loss}, but must be one f32 number; sum it up`);
  const active = ops.map((op) => follow(op, gradients));
  if (!gradients.wants(loss)) throw new OpError("tape", "the loss depends on none of the parameters");
  gradients.pass(loss, s.constant(Float32Array.of(1)));
  const back = wayBack(s, gradients, new Forward(s, ops, segments));
  for (let i = ops.length - 1; i >= 0; i--) if (active[i]) back(ops[i]!, i);
  const grads = new Map<string, Tensor>();
  for (const [name, parameter] of parameters) {
    const gradient = gradients.own(parameter);
    if (!gradient)
      throw new OpError("tape", `the loss does not depend on ${name}; leave it out of the parameters`);
    grads.set(name, gradient);
  }
  return { loss, grads };
}

function checkParameter(name: string, parameter: Tensor, into: Tensor | undefined): void {
  if (elementSize(parameter) === undefined)
    throw new OpError("tape", `${name} is ${parameter}, but what learns is f32 or bf16 in rows`);
  if (into && (into.dtype !== "f32" || into.shape.join() !== parameter.shape.join()))
    throw new OpError(
      "tape",
      `the gradient of ${name} is to go into ${into}, but must be f32[${parameter.shape}]`,
    );
}

/** Whether what an op writes depends on a parameter. */
function follow(op: Op, gradients: Gradients): boolean {
  let active = false;
  eachTensor(op, (tensor, written, field) => {
    if (!written && gradients.wants(tensor)) active = true;
    if (written && gradients.isParameter(tensor))
      throw new OpError(op.kind, `${field} writes over a parameter, ${tensor}; do so after the tape`);
    if (written && active) gradients.follow(tensor);
  });
  return active;
}

/** Pushes the derivative of one op after the other, from the last. */
function wayBack(s: Stream, gradients: Gradients, forward: Forward): (op: Op, index: number) => void {
  const negatives = new Map<Tensor, Tensor>();
  const back: Backward = {
    s,
    of(y) {
      const gradient = gradients.get(y);
      if (!gradient) throw new OpError("tape", `${y} has no gradient`);
      return gradient;
    },
    has: (y) => gradients.has(y),
    wants: (x): x is Tensor => x !== undefined && gradients.wants(x),
    value: (x) => forward.value(x),
    add: (x, emit) => gradients.add(x, emit),
    pass: (x, contribution) => gradients.pass(x, contribution),
    negative(x) {
      const negative = negatives.get(x) ?? scale(s, x, -1);
      negatives.set(x, negative);
      return negative;
    },
  };
  return (op, index) => {
    const results = written(op);
    if (!results.some((y) => gradients.has(y))) return;
    const adjoint = adjoints[op.kind];
    if (typeof adjoint !== "function")
      throw new OpError(op.kind, `a gradient must pass through it, and cannot: ${adjoint.barrier}`);
    forward.at(index);
    (adjoint as Adjoint<Op["kind"]>)(op as never, back);
    for (const y of results) gradients.drop(y);
  };
}

function written(op: Op): Tensor[] {
  const results: Tensor[] = [];
  eachTensor(op, (tensor, isResult) => {
    if (isResult) results.push(tensor);
  });
  return results;
}
