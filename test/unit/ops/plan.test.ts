/** The arena: slots that live at the same time never overlap, and the memory is small and repeatable. */
import { describe, expect, it } from "vitest";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { add, type Op, type Plan, placeOf, Stream, scale, Tensor } from "../../../src/ops/index.ts";
import { planArena } from "../../../src/ops/plan.ts";
import type { ArenaSlot } from "../../../src/ops/tensor.ts";
import { Random } from "../../support/random.ts";

const ALIGN = 64;
const aligned = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;

interface Step {
  readonly ops: readonly Op[];
  readonly slots: readonly ArenaSlot[];
  readonly uploads: Plan["uploads"];
  readonly outputs: readonly Tensor[];
}

/** A step of random ops on slots of random sizes. The planner looks at slots alone, so shapes need not fit. */
function randomStep(random: Random): Step {
  const slots: ArenaSlot[] = [];
  const tensors: Tensor[] = [];
  const create = (): Tensor => {
    const floats = random.pick([0, 1, 3, 16, 17, 100, 1000, random.int(0, 5000)]);
    const slot = { slot: slots.length, bytes: 4 * floats };
    slots.push(slot);
    const tensor = new Tensor("f32", [floats, 1], slot);
    tensors.push(tensor);
    return tensor;
  };
  const uploads = Array.from({ length: random.int(1, 5) }, () => {
    const { storage } = create();
    return { slot: (storage as ArenaSlot).slot, bytes: new Uint8Array(storage.bytes) };
  });
  const persistent = new Tensor("f32", [1, 1], { id: 1, bytes: 4 });
  const ops: Op[] = Array.from({ length: random.int(0, 40) }, () => {
    const recent = tensors.slice(-random.int(1, 8));
    const [gate, up] = [random.pick([...recent, persistent]), random.pick(tensors)];
    const y = random.next() < 0.2 ? random.pick([...recent, persistent]) : create();
    // Slots that no op touches occur too: their places do not matter.
    if (random.next() < 0.1) slots.push({ slot: slots.length, bytes: 4 });
    return { kind: "gated", gate, up, y, fn: "silu" };
  });
  const outputs = Array.from({ length: random.int(0, 4) }, () => random.pick([...tensors, persistent]));
  return { ops, slots, uploads, outputs };
}

/** First and last op that needs each slot: −1 for uploads, the number of ops for outputs. */
function lifetimes({ ops, uploads, outputs }: Step): Map<number, [first: number, last: number]> {
  const lives = new Map<number, [number, number]>();
  const touch = ({ storage }: Pick<Tensor, "storage">, time: number): void => {
    if (!("slot" in storage)) return;
    const life = lives.get(storage.slot);
    if (life) life[1] = time;
    else lives.set(storage.slot, [time, time]);
  };
  for (const { slot } of uploads) lives.set(slot, [-1, -1]);
  ops.forEach((op, i) => {
    if (op.kind !== "gated") return;
    for (const tensor of [op.gate, op.up, op.y]) touch(tensor, i);
  });
  for (const output of outputs) touch(output, ops.length);
  return lives;
}

interface Life {
  readonly first: number;
  readonly last: number;
  readonly start: number;
  readonly end: number;
}

/** `gated` may write where it reads: a slot of the same size begins in the op that another ends in. */
const inherits = (heir: Life, before: Life): boolean =>
  heir.first === before.last && heir.start === before.start && heir.end === before.end;

describe("planArena", () => {
  it("never places two slots that live at the same time on the same bytes", () => {
    const random = new Random(1);
    for (let round = 0; round < 400; round++) {
      const step = randomStep(random);
      const plan = planArena(step.ops, step.slots, step.uploads, step.outputs, false);
      const lives = [...lifetimes(step)].map(([slot, [first, last]]) => {
        const start = plan.places[slot]!;
        return { slot, first, last, start, end: start + Math.max(1, step.slots[slot]!.bytes) };
      });
      for (const life of lives) {
        expect(life.start).toBeGreaterThanOrEqual(0);
        expect(life.start % ALIGN).toBe(0);
        expect(life.end).toBeLessThanOrEqual(plan.arenaBytes);
      }
      const clash = lives.flatMap((a) =>
        lives.filter(
          (b) =>
            a.slot < b.slot &&
            a.first <= b.last &&
            b.first <= a.last &&
            a.start < b.end &&
            b.start < a.end &&
            !(inherits(a, b) || inherits(b, a)),
        ),
      );
      expect(clash, `round ${round}`).toEqual([]);
    }
  });

  it("needs at least the most that lives at once, at most the sum of all", () => {
    const random = new Random(2);
    for (let round = 0; round < 200; round++) {
      const step = randomStep(random);
      const plan = planArena(step.ops, step.slots, step.uploads, step.outputs, false);
      const lives = [...lifetimes(step)];
      const size = (slot: number): number => aligned(step.slots[slot]!.bytes);
      const naive = lives.reduce((sum, [slot]) => sum + size(slot), 0);
      const peak = Math.max(
        ...Array.from({ length: step.ops.length + 2 }, (_, i) =>
          lives.reduce((sum, [slot, [a, b]]) => (a <= i - 1 && i - 1 < b ? sum + size(slot) : sum), 0),
        ),
      );
      expect(plan.arenaBytes).toBeLessThanOrEqual(naive);
      expect(plan.arenaBytes).toBeGreaterThanOrEqual(peak);
    }
  });

  it("uses the memory of a long chain again", () => {
    const slots = Array.from({ length: 100 }, (_, slot) => ({ slot, bytes: 4096 }));
    const tensors = slots.map((slot) => new Tensor("f32", [1024, 1], slot));
    const ops = tensors.slice(1).map((y, i): Op => ({ kind: "scale", x: tensors[i]!, y, factor: 2 }));
    const plan = planArena(ops, slots, [{ slot: 0, bytes: new Uint8Array(4096) }], [tensors[99]!], false);
    expect(plan.arenaBytes).toBe(4096);
  });

  it("gives the same plan for the same step", () => {
    const plans = [1, 2].map(() => {
      const { ops, slots, uploads, outputs } = randomStep(new Random(3));
      return planArena(ops, slots, uploads, outputs, true);
    });
    expect(plans[0]).toEqual(plans[1]);
  });

  it("places of views and of persistent tensors", () => {
    const slots = [
      { slot: 0, bytes: 100 },
      { slot: 1, bytes: 400 },
    ];
    const y = new Tensor("f32", [10, 10], slots[1]!);
    const plan = planArena(
      [],
      slots,
      [
        { slot: 0, bytes: new Uint8Array(100) },
        { slot: 1, bytes: new Uint8Array(400) },
      ],
      [],
      false,
    );
    expect(placeOf(plan, y.rows(3, 4))).toBe(128 + 120);
    expect(placeOf(plan, new Tensor("f32", [2], { id: 4, bytes: 64 }, { offset: 24 }))).toBe(24);
  });
});

describe("a step in a shared arena", () => {
  it("computes what it would with memory for every tensor", async () => {
    const device = new ReferenceDevice();
    const build = (seed: number): { s: Stream; all: Tensor[] } => {
      const random = new Random(seed);
      const s = new Stream(device);
      const d = random.int(1, 9);
      const all = [s.constant(random.normals(4 * d), [4, d]), s.constant(random.normals(4 * d), [4, d])];
      for (let i = 0; i < 30; i++) {
        const [a, b] = [random.pick(all.slice(-5)), random.pick(all)];
        if (random.next() < 0.3) {
          const y = scale(s, a.rows(1, 3), 0.5);
          all.push(add(s, a, y.rows(0, 1)));
        } else all.push(add(s, a, b));
      }
      return { s, all };
    };
    for (let seed = 0; seed < 50; seed++) {
      const apart = build(seed);
      const kept = await apart.s.flush(apart.all);
      const shared = build(seed);
      const last = await shared.s.flush(shared.all.slice(-1));
      expect(last).toEqual(kept.slice(-1));
    }
  });
});
