/**
 * A plan as a sequence of f64 words: the one message that the C++ devices read. Knows the definitions of the
 * ops and nothing of what they compute; `kernels/commands.h` is the other side.
 *
 * An op is `[opcode, words in all, tensors…, numbers…, words…]`; a tensor is `[buffer, byte offset, dtype,
 * layout, d0, d1, d2, d3]` with buffer 0 for the arena, −1 for an absent optional tensor, and 1 for the
 * dimensions that it does not have.
 */
import { DeviceError } from "../base/errors.ts";
import {
  type DType,
  definitionOf,
  definitions,
  fieldOf,
  isArena,
  type Op,
  type Plan,
  placeOf,
  type Tensor,
} from "../ops/index.ts";

/** The order is that of `enum DType` in `kernels/commands.h`. */
const dtypes: readonly DType[] = [
  "f32",
  "f16",
  "bf16",
  "q8_0",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q4_K",
  "q5_K",
  "q6_K",
  "i8_row",
  "i32",
];
export const dtypeCodes: Readonly<Record<string, number>> = Object.fromEntries(
  dtypes.map((name, i) => [name, i]),
);

const TENSOR_WORDS = 8;

/**
 * The names of a library's kinds of op in the order of their opcodes, from its list "activation 2 1,add 3 0,...":
 * each name with its numbers of tensors and of numbers. A library of other definitions than ours is refused; one
 * that lacks a kind refuses the plans that have it.
 */
export function opNamesOf(library: string, list: string): readonly string[] {
  const entries = list.split(",").filter(Boolean);
  const names = entries.map((entry) => entry.split(" ")[0]!);
  for (const { kind, reads, writes, numbers, words } of Object.values(definitions)) {
    const wanted = `${kind} ${reads.length + writes.length} ${numbers.length + Object.keys(words).length}`;
    if (names.includes(kind) && !entries.includes(wanted))
      throw new DeviceError(library, `the library has no op "${wanted}"; build it again with npm run build`);
  }
  return names;
}

/** Writes plans with the opcodes that the device's library gave; the memory is reused from plan to plan. */
export class Encoder {
  private readonly opcodes: ReadonlyMap<string, number>;
  private words = new Float64Array(4096);
  private length = 0;
  private apart: ReadonlyMap<number, number> = new Map();

  constructor(opNames: readonly string[]) {
    this.opcodes = new Map(opNames.map((name, i) => [name, i]));
  }

  /**
   * The encoded ops; valid until the next call. `apart`: the buffers of arena slots that have one of their own, by slot
   * number.
   */
  encode(plan: Plan, apart: ReadonlyMap<number, number> = new Map()): Float64Array {
    this.length = 0;
    this.apart = apart;
    for (const op of plan.ops) this.op(plan, op);
    return this.words.subarray(0, this.length);
  }

  private op(plan: Plan, op: Op): void {
    const { reads, writes, numbers, words } = definitionOf(op);
    const opcode = this.opcodes.get(op.kind);
    if (opcode === undefined)
      throw new DeviceError(
        "kernels",
        `the library does not know the op ${op.kind}; build it again with npm run build`,
      );
    const start = this.length;
    this.room(2 + TENSOR_WORDS * (reads.length + writes.length) + numbers.length + 8);
    this.words[start] = opcode;
    this.length += 2;
    for (const field of [...reads, ...writes])
      this.tensor(plan, fieldOf(op, field.endsWith("?") ? field.slice(0, -1) : field) as Tensor | undefined);
    for (const field of numbers) this.words[this.length++] = fieldOf(op, field) as number;
    for (const field in words)
      this.words[this.length++] = words[field]!.indexOf(fieldOf(op, field) as string);
    this.words[start + 1] = this.length - start;
  }

  private tensor(plan: Plan, tensor: Tensor | undefined): void {
    const { words } = this;
    let at = this.length;
    this.length += TENSOR_WORDS;
    if (tensor === undefined) {
      words.fill(0, at, this.length);
      words[at] = -1;
      return;
    }
    const { storage, shape } = tensor;
    const own = isArena(storage) ? this.apart.get(storage.slot) : storage.id;
    words[at++] = own ?? 0;
    words[at++] = own === undefined ? placeOf(plan, tensor) : tensor.offset;
    words[at++] = dtypeCodes[tensor.dtype]!;
    words[at++] = tensor.layout === "panels" ? 1 : 0;
    for (let i = 0; i < 4; i++) words[at++] = shape[i] ?? 1;
  }

  private room(words: number): void {
    if (this.length + words <= this.words.length) return;
    const grown = new Float64Array(2 * this.words.length);
    grown.set(this.words);
    this.words = grown;
  }
}
