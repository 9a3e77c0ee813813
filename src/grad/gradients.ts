/**
 * The gradients of a step's tensors while they are added up. Tensors that are views of one piece of memory share one
 * gradient. Knows memory and the ops that add; nothing of what else ops compute.
 */
import { OpError } from "../base/errors.ts";
import {
  type DType,
  eachTensor,
  isArena,
  type Op,
  type Stream,
  scatterAdd,
  type Tensor,
} from "../ops/index.ts";

/** A piece of memory whose gradient is wanted. */
interface Variable {
  /**
   * A parameter, all of a slot of the arena, or a buffer that an op writes to and that outlasts the step: what comes
   * back to that cannot go on.
   */
  readonly role: "parameter" | "slot" | "kept";
  readonly start: number;
  readonly end: number;
  /** Bytes of an element. */
  readonly size: number;
  /** Its gradient, f32 [elements]; `owned`: in memory of its own, which may be added to in place. */
  gradient?: { readonly tensor: Tensor; readonly owned: boolean } | undefined;
}

const sizes: Partial<Record<DType, number>> = { f32: 4, bf16: 2 };

/** Bytes of an element that can have a gradient; undefined for indices and quantized numbers. */
export const elementSize = ({ dtype, layout }: Tensor): number | undefined =>
  layout === "rows" ? sizes[dtype] : undefined;

const memoryOf = ({ storage }: Tensor): object | number => (isArena(storage) ? storage : storage.id);

const flat = (x: Tensor): Tensor => {
  const width = x.dim(-1);
  return x.reshape(width === 0 ? 0 : x.elements / width, width);
};

export class Gradients {
  private readonly s: Stream;
  private readonly variables = new Map<object | number, Variable[]>();

  constructor(s: Stream) {
    this.s = s;
  }

  /** Makes a parameter's gradient wanted; `into`, where given, already holds what is to be added to. */
  want(parameter: Tensor, into: Tensor | undefined): void {
    const { offset, bytes } = parameter;
    const variable = this.declare(parameter, "parameter", offset, offset + bytes);
    if (into) variable.gradient = { tensor: into.reshape(into.elements), owned: true };
  }

  /** Makes the gradient of what an op writes wanted. */
  follow(written: Tensor): void {
    if (written.dtype === "i32" || this.find(written)) return;
    this.declare(written, isArena(written.storage) ? "slot" : "kept", 0, written.storage.bytes);
  }

  /** Whether a tensor lies in a parameter. */
  isParameter(tensor: Tensor): boolean {
    return this.find(tensor)?.role === "parameter";
  }

  private declare(tensor: Tensor, role: Variable["role"], start: number, end: number): Variable {
    const variable = { role, start, end, size: elementSize(tensor) ?? 1 };
    const memory = memoryOf(tensor);
    this.variables.set(memory, [...(this.variables.get(memory) ?? []), variable]);
    return variable;
  }

  /** Whether the gradient of a tensor, or of a part of it, is wanted. */
  wants(tensor: Tensor): boolean {
    return this.find(tensor) !== undefined;
  }

  private find(tensor: Tensor): Variable | undefined {
    if (tensor.dtype === "i32") return undefined;
    const [start, end] = [tensor.offset, tensor.offset + tensor.bytes];
    const found = this.variables.get(memoryOf(tensor))?.find((v) => v.start < end && start < v.end);
    if (!found || found.role === "kept") return found;
    if (start < found.start || end > found.end || elementSize(tensor) !== found.size)
      throw new OpError(
        "tape",
        `${tensor} is more than, or otherwise cut than, the parameter that it has a part of`,
      );
    return found;
  }

  has(tensor: Tensor): boolean {
    return this.find(tensor)?.gradient !== undefined;
  }

  /** The gradient so far, in the tensor's shape. */
  get(tensor: Tensor): Tensor | undefined {
    const variable = this.find(tensor);
    return variable?.gradient && part(variable, variable.gradient.tensor, tensor);
  }

  /** As `get`, in memory that no other gradient shares. */
  own(parameter: Tensor): Tensor | undefined {
    const gradient = this.get(parameter);
    if (!gradient || this.find(parameter)?.gradient?.owned) return gradient;
    const y = this.s.empty("f32", parameter.shape);
    this.s.push({ kind: "copy", x: gradient, y });
    return y;
  }

  /** Forgets the gradient of what an op wrote, once it has been passed on. */
  drop(written: Tensor): void {
    const variable = this.find(written);
    if (variable && covers(written, variable)) variable.gradient = undefined;
  }

  /** See `Backward.add`. */
  add(x: Tensor, emit: (y: Tensor, c: Tensor | undefined) => void): void {
    const variable = this.receiver(x);
    const { gradient } = variable;
    if (gradient?.owned) {
      const place = part(variable, gradient.tensor, x);
      emit(place, place);
    } else if (covers(x, variable)) {
      const y = this.s.empty("f32", x.shape);
      emit(y, gradient && part(variable, gradient.tensor, x));
      variable.gradient = { tensor: y.reshape(y.elements), owned: true };
    } else {
      const y = this.s.empty("f32", x.shape);
      emit(y, undefined);
      this.spread(variable, x, y);
    }
  }

  /** See `Backward.pass`. */
  pass(x: Tensor, contribution: Tensor): void {
    const variable = this.receiver(x);
    if (variable.gradient) {
      if (!variable.gradient.owned && !covers(x, variable)) this.spread(variable, x, contribution);
      else
        this.add(x, (y, c) => {
          this.s.push({ kind: "add", a: flat(c!), b: flat(contribution.reshape(...x.shape)), y: flat(y) });
        });
    } else if (covers(x, variable))
      variable.gradient = { tensor: contribution.reshape(contribution.elements), owned: false };
    else this.spread(variable, x, contribution);
  }

  private receiver(x: Tensor): Variable {
    const variable = this.find(x);
    if (!variable) throw new OpError("tape", `${x} wants no gradient`);
    if (variable.role === "kept")
      throw new OpError("tape", `a gradient cannot pass through ${x}, in memory that outlasts the step`);
    return variable;
  }

  /** Adds what comes back to a part of a variable, in memory for all of it. */
  private spread(variable: Variable, x: Tensor, contribution: Tensor): void {
    const total = (variable.end - variable.start) / variable.size;
    const first = (x.offset - variable.start) / variable.size;
    const width = [total, first, x.elements].reduce(divisor);
    const index = Int32Array.from({ length: x.elements / width }, (_, row) => first / width + row);
    const rows = contribution.reshape(index.length, width);
    const c = variable.gradient?.tensor.reshape(total / width, width);
    const y = scatterAdd(this.s, rows, this.s.constant(index), total / width, { c });
    variable.gradient = { tensor: y.reshape(total), owned: true };
  }
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

const covers = (x: Tensor, { start, end }: Variable): boolean =>
  x.offset === start && x.offset + x.bytes === end;

/** The part of a variable's gradient that is a tensor's. */
function part({ start, size }: Variable, gradient: Tensor, x: Tensor): Tensor {
  const first = (x.offset - start) / size;
  return gradient.rows(first, first + x.elements).reshape(...x.shape);
}

/**
 * Refuses ops that write where another op has read or written: the way back needs what was there, and a gradient has
 * one owner. (The planner's reuse of memory that nobody reads any more is another matter, and harmless.)
 */
export function refuseRewriting(ops: readonly Op[]): void {
  const touched = new Map<object | number, (readonly [start: number, end: number])[]>();
  for (const op of ops)
    eachTensor(op, (tensor, written, field) => {
      if (!isArena(tensor.storage) || tensor.elements === 0) return;
      const ranges = touched.get(tensor.storage) ?? [];
      const [start, end] = [tensor.offset, tensor.offset + tensor.bytes];
      if (written && ranges.some(([from, to]) => from < end && start < to))
        throw new OpError(
          op.kind,
          `${field} writes over what was read or written before; for a gradient give it memory of its own`,
        );
      touched.set(tensor.storage, [...ranges, [start, end]]);
    });
}
