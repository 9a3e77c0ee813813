/**
 * Gives every arena tensor of a stream its place. A plan is plain data: it prints, compares and can be sent
 * elsewhere.
 */
import type { Op } from "./registry.ts";
import { definitionOf, eachTensor } from "./registry.ts";
import { type ArenaSlot, isArena, type Tensor } from "./tensor.ts";

/** Places are aligned for the widest vector and a cache line. */
const ALIGN = 64;

export interface Plan {
  readonly ops: readonly Op[];
  /** Byte offset in the arena of each slot, by slot number. */
  readonly places: Float64Array;
  readonly arenaBytes: number;
  /** Host data to be put into slots before the first op. */
  readonly uploads: readonly { readonly slot: number; readonly bytes: Uint8Array }[];
  /** Tensors whose bytes are wanted when all ops have run. */
  readonly outputs: readonly Tensor[];
  /** Whether each op is to be timed. */
  readonly profile: boolean;
}

/** Byte offset of a tensor within the arena (for arena tensors) or within its buffer. */
export const placeOf = (plan: Plan, tensor: Tensor): number =>
  tensor.offset + (isArena(tensor.storage) ? plan.places[tensor.storage.slot]! : 0);

const aligned = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;

/** Free ranges of the arena, sorted by offset, joined when they touch; the smallest that fits is taken. */
class FreeList {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  /** High-water mark: bytes the arena needs. */
  top = 0;

  take(bytes: number): number {
    let best = -1;
    for (let i = 0; i < this.starts.length; i++) {
      const size = this.ends[i]! - this.starts[i]!;
      if (size >= bytes && (best < 0 || size < this.ends[best]! - this.starts[best]!)) best = i;
    }
    if (best < 0) {
      const last = this.ends.length - 1;
      // Grow from a free range that ends at the top rather than leave it behind.
      const start = last >= 0 && this.ends[last] === this.top ? this.starts[last]! : this.top;
      if (start !== this.top) {
        this.starts.pop();
        this.ends.pop();
      }
      this.top = start + bytes;
      return start;
    }
    const start = this.starts[best]!;
    if (this.ends[best]! - start === bytes) {
      this.starts.splice(best, 1);
      this.ends.splice(best, 1);
    } else this.starts[best] = start + bytes;
    return start;
  }

  give(start: number, bytes: number): void {
    let i = this.starts.length;
    while (i > 0 && this.starts[i - 1]! > start) i--;
    const end = start + bytes;
    const joinsLeft = i > 0 && this.ends[i - 1] === start;
    const joinsRight = i < this.starts.length && this.starts[i] === end;
    if (joinsLeft && joinsRight) {
      this.ends[i - 1] = this.ends[i]!;
      this.starts.splice(i, 1);
      this.ends.splice(i, 1);
    } else if (joinsLeft) this.ends[i - 1] = end;
    else if (joinsRight) this.starts[i] = start;
    else {
      this.starts.splice(i, 0, start);
      this.ends.splice(i, 0, end);
    }
  }
}

/**
 * Places the slots so that those that live at the same time do not overlap. A slot lives from the op that
 * first touches it (uploads: from the start) to the op that last does (outputs: to the end).
 */
export function planArena(
  ops: readonly Op[],
  slots: readonly ArenaSlot[],
  uploads: Plan["uploads"],
  outputs: readonly Tensor[],
  profile: boolean,
): Plan {
  const lastUse = new Int32Array(slots.length).fill(-1);
  for (let i = 0; i < ops.length; i++)
    eachTensor(ops[i]!, ({ storage }) => {
      if (isArena(storage)) lastUse[storage.slot] = i;
    });
  for (const { storage } of outputs) if (isArena(storage)) lastUse[storage.slot] = ops.length;

  const places = new Float64Array(slots.length).fill(-1);
  const free = new FreeList();
  const place = (slot: number): void => {
    if (places[slot]! < 0) places[slot] = free.take(aligned(slots[slot]!.bytes));
  };
  for (const { slot } of uploads) place(slot);
  const release = (slot: number): void => free.give(places[slot]!, aligned(slots[slot]!.bytes));
  for (let i = 0; i < ops.length; i++) {
    const dying: number[] = [];
    const heir = definitionOf(ops[i]!).inPlace ? inheritance(ops[i]!, i, lastUse, places) : undefined;
    if (heir) {
      places[heir.to] = places[heir.from]!;
      lastUse[heir.from] = -1;
    }
    eachTensor(ops[i]!, ({ storage }) => {
      if (!isArena(storage)) return;
      place(storage.slot);
      if (lastUse[storage.slot] === i) {
        lastUse[storage.slot] = -1;
        dying.push(storage.slot);
      }
    });
    // Released only after all operands are placed: an op never writes over what it reads.
    for (const slot of dying) release(slot);
  }
  return { ops, places, arenaBytes: free.top, uploads, outputs, profile };
}

/**
 * For an op that may write where it reads: the slot whose content ends with it and which its result can take
 * over. No other operand may see a part of that slot.
 */
function inheritance(
  op: Op,
  index: number,
  lastUse: Int32Array,
  places: Float64Array,
): { from: number; to: number } | undefined {
  let result: Tensor | undefined;
  const operands: Tensor[] = [];
  eachTensor(op, (tensor, written) => {
    if (written) result = tensor;
    else operands.push(tensor);
  });
  if (!result || !isArena(result.storage) || places[result.storage.slot]! >= 0) return undefined;
  const { storage: target } = result;
  const whole = ({ storage, offset, bytes }: Tensor): boolean => offset === 0 && bytes === storage.bytes;
  if (!whole(result)) return undefined;
  for (const { storage } of operands) {
    if (!isArena(storage) || lastUse[storage.slot] !== index || storage.bytes !== target.bytes) continue;
    if (operands.every((other) => other.storage !== storage || whole(other)))
      return { from: storage.slot, to: target.slot };
  }
  return undefined;
}
