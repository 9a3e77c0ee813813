/** The message to the C++ devices: every field of every op can be read back from its words. */
import { describe, expect, it } from "vitest";
import { DeviceError } from "../../../src/base/errors.ts";
import { Encoder } from "../../../src/device/encode.ts";
import {
  type DType,
  definitionOf,
  definitions,
  fieldOf,
  isArena,
  type Op,
  type OpKind,
  type Plan,
  placeOf,
  Tensor,
} from "../../../src/ops/index.ts";
import { planArena } from "../../../src/ops/plan.ts";
import type { ArenaSlot } from "../../../src/ops/tensor.ts";
import { Random } from "../../support/random.ts";

const opcodes = Object.keys(definitions) as OpKind[];
const dtypes: readonly DType[] = "f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q4_K q5_K q6_K i8_row i32".split(
  " ",
) as DType[];

interface Decoded {
  readonly kind: string;
  readonly fields: Record<string, unknown>;
}

/** The reader's side, written from the description of the words alone. */
function decode(words: Float64Array): Decoded[] {
  const ops: Decoded[] = [];
  for (let start = 0; start < words.length; start += words[start + 1]!) {
    const kind = opcodes[words[start]!]!;
    const { reads, writes, numbers, words: lists } = definitions[kind];
    const fields: Record<string, unknown> = {};
    let at = start + 2;
    for (const field of [...reads, ...writes]) {
      const [buffer, place, dtype, layout, ...shape] = words.subarray(at, at + 8);
      fields[field.replace("?", "")] =
        buffer === -1 ? undefined : { buffer, place, dtype: dtypes[dtype!], layout, shape };
      at += 8;
    }
    for (const field of numbers) fields[field] = words[at++];
    for (const field in lists) fields[field] = lists[field]![words[at++]!];
    expect(at).toBe(start + words[start + 1]!);
    ops.push({ kind, fields });
  }
  return ops;
}

function expected(plan: Plan, op: Op): Decoded {
  const { reads, writes, numbers, words } = definitionOf(op);
  const fields: Record<string, unknown> = {};
  for (const field of [...reads, ...writes].map((name) => name.replace("?", ""))) {
    const tensor = fieldOf(op, field) as Tensor | undefined;
    fields[field] = tensor && {
      buffer: isArena(tensor.storage) ? 0 : tensor.storage.id,
      place: placeOf(plan, tensor),
      dtype: tensor.dtype,
      layout: tensor.layout === "panels" ? 1 : 0,
      shape: [...tensor.shape, 1, 1, 1].slice(0, 4),
    };
  }
  for (const field of [...numbers, ...Object.keys(words)]) fields[field] = fieldOf(op, field);
  return { kind: op.kind, fields };
}

/** An op of any kind with random tensors and numbers; the encoder does not ask whether they fit. */
function randomOp(random: Random, slots: ArenaSlot[]): Op {
  const kind = random.pick(opcodes);
  const { reads, writes, numbers, words } = definitions[kind];
  const op: Record<string, unknown> = { kind };
  for (const field of [...reads, ...writes]) {
    if (field.endsWith("?") && random.next() < 0.5) continue;
    const shape = Array.from({ length: random.int(1, 4) }, () => 256 * random.int(0, 2));
    const dtype = random.pick(dtypes);
    const arena = { slot: slots.length, bytes: 2 ** 40 };
    const inArena = random.next() < 0.5;
    if (inArena) slots.push(arena);
    const storage = inArena ? arena : { id: random.int(1, 99), bytes: 2 ** 52 };
    const offset = random.pick([0, 64, 2 ** 33 + 4]);
    const layout = random.next() < 0.2 ? "panels" : "rows";
    op[field.replace("?", "")] = new Tensor(dtype, shape, storage, { offset, layout });
  }
  for (const field of numbers) op[field] = random.pick([0, 1, -2.5, 1e-5, random.normal()]);
  for (const field in words) op[field] = random.pick((words as Record<string, readonly string[]>)[field]!);
  return op as unknown as Op;
}

describe("Encoder", () => {
  it("writes every field of every op", () => {
    const random = new Random(1);
    const encoder = new Encoder(opcodes);
    const seen = new Set<string>();
    for (let round = 0; round < 50; round++) {
      const slots: ArenaSlot[] = [];
      const ops = Array.from({ length: random.int(0, 60) }, () => randomOp(random, slots));
      const plan = planArena(ops, slots, [], [], false);
      for (const op of ops) seen.add(op.kind);
      expect(decode(encoder.encode(plan))).toEqual(ops.map((op) => expected(plan, op)));
    }
    expect(seen.size).toBe(opcodes.length);
  });

  it("uses the opcodes of the library, in its order", () => {
    const x = new Tensor("f32", [1, 2], { id: 3, bytes: 64 });
    const plan = planArena([{ kind: "scale", x, y: x, factor: 2 }], [], [], [], false);
    expect(new Encoder(["add", "scale"]).encode(plan)[0]).toBe(1);
    expect(new Encoder(["scale", "add"]).encode(plan)[0]).toBe(0);
  });

  it("refuses an op that the library does not know", () => {
    const x = new Tensor("f32", [1, 2], { id: 3, bytes: 64 });
    const plan = planArena([{ kind: "scale", x, y: x, factor: 2 }], [], [], [], false);
    expect(() => new Encoder(["add"]).encode(plan)).toThrow(DeviceError);
    expect(() => new Encoder(["add"]).encode(plan)).toThrow(/does not know the op scale/);
  });

  it("grows for long plans", () => {
    const x = new Tensor("f32", [1, 2], { id: 3, bytes: 64 });
    const ops = Array.from({ length: 2000 }, (_, factor): Op => ({ kind: "scale", x, y: x, factor }));
    const decoded = decode(new Encoder(opcodes).encode(planArena(ops, [], [], [], false)));
    expect(decoded.map(({ fields }) => fields.factor)).toEqual(ops.map((_, i) => i));
  });
});
