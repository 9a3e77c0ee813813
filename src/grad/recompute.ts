/**
 * What the way back reads of the way forward: tensors as they are, or, of segments that are not kept, computed anew
 * when they are first asked for (Chen et al. 2016). What a segment takes from outside is kept, and what it gives.
 */
import { definitionOf, eachTensor, fieldOf, isArena, type Op, type Stream, Tensor } from "../ops/index.ts";

/** Ops `from` to before `to`. */
export interface Segment {
  readonly from: number;
  readonly to: number;
}

export class Forward {
  private readonly s: Stream;
  private readonly ops: readonly Op[];
  private readonly segments: readonly Segment[];
  /** By slot: the ops that wrote to it. */
  private readonly writers = new Map<object, number[]>();
  /** Of the segment that is gone back through: slots anew, and ops that have been pushed anew. */
  private current: Segment | undefined;
  private renewed = new Map<object, Tensor>();
  private pushed = new Set<number>();

  constructor(s: Stream, ops: readonly Op[], segments: readonly Segment[]) {
    this.s = s;
    this.ops = ops;
    this.segments = segments;
    for (const [i, op] of ops.entries())
      eachTensor(op, ({ storage }, written) => {
        if (written) this.writers.set(storage, [...(this.writers.get(storage) ?? []), i]);
      });
  }

  /** The way back has come to an op: what is asked for from now on is asked for by its adjoint. */
  at(index: number): void {
    const segment = this.segments.find(({ from, to }) => from <= index && index < to);
    if (segment === this.current) return;
    this.current = segment;
    this.renewed = new Map();
    this.pushed = new Set();
  }

  value(x: Tensor): Tensor {
    const writers = isArena(x.storage) ? this.writers.get(x.storage) : undefined;
    const { current } = this;
    if (!current || !writers?.every((i) => current.from <= i && i < current.to)) return x;
    for (const i of writers) this.again(i);
    return this.moved(x);
  }

  /** Pushes an op of the segment once more, with results elsewhere. */
  private again(index: number): void {
    if (this.pushed.has(index)) return;
    this.pushed.add(index);
    const op = this.ops[index]!;
    const { reads, writes } = definitionOf(op);
    const changed: Record<string, unknown> = {};
    const change = (names: readonly string[], to: (tensor: Tensor) => Tensor): void => {
      for (const name of names) {
        const field = name.replace("?", "");
        const tensor = fieldOf(op, field) as Tensor | undefined;
        if (tensor) changed[field] = to(tensor);
      }
    };
    change(reads, (operand) => this.value(operand));
    change(writes, (result) => this.moved(result));
    this.s.push({ ...op, ...changed } as Op);
  }

  /** The same part of the slot that is in the place of a tensor's. */
  private moved({ dtype, shape, storage, offset }: Tensor): Tensor {
    let slot = this.renewed.get(storage);
    if (!slot) {
      slot = this.s.empty("i32", [Math.ceil(storage.bytes / 4)]);
      this.renewed.set(storage, slot);
    }
    return new Tensor(dtype, shape, slot.storage, { offset });
  }
}
