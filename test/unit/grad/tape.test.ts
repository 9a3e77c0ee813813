/** The tape itself: what it costs, what it refuses, how gradients add up, and what it does not keep. */
import { describe, expect, it } from "vitest";
import { OpError } from "../../../src/base/errors.ts";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { type TapeOptions, tape } from "../../../src/grad/index.ts";
import {
  activation,
  add,
  gated,
  linear,
  mul,
  type OpKind,
  rmsNorm,
  Stream,
  scale,
  softcap,
  sum,
  sumSquares,
  Tensor,
  tensorBytes,
} from "../../../src/ops/index.ts";
import { planArena } from "../../../src/ops/plan.ts";
import { gradientsOn, place, type Values, weighted } from "../../support/gradients.ts";
import { Random } from "../../support/random.ts";

const random = new Random(3);
const normal = (...shape: number[]): Values => ({
  shape,
  values: random.normals(shape.reduce((n, d) => n * d, 1)),
});
const values = { x: normal(4, 6), w: normal(5, 6), b: normal(5), v: normal(3, 5) };

/** Two layers: which of the four learn decides what comes back. */
const layers = (s: Stream, { x, w, b, v }: Record<string, Tensor>): Tensor =>
  weighted(s, linear(s, activation(s, linear(s, x!, w!, b), "silu"), v!));

/** The kinds of op that the tape pushes when these learn. */
function kindsBack(...learn: string[]): OpKind[] {
  const s = new Stream(new ReferenceDevice());
  const all = Object.fromEntries(place(s.device, values));
  let forward = 0;
  tape(s, new Map(learn.map((name) => [name, all[name]!])), () => {
    const loss = layers(s, all);
    forward = s.pushed.length;
    return loss;
  });
  return s.pushed.slice(forward).map(({ kind }) => kind);
}

/** Tapes a forward pass over the tensors of `values` and one more. */
function taped(forward: (s: Stream, p: Record<string, Tensor>) => Tensor, options?: TapeOptions) {
  const s = new Stream(new ReferenceDevice());
  const parameters = place(s.device, values);
  return tape(s, parameters, () => forward(s, Object.fromEntries(parameters)), options);
}

describe("what is frozen", () => {
  it("costs nothing, nor does what leads to it alone", () => {
    // Back through the loss, which is a sum of products.
    const loss: OpKind[] = ["matmul", "mul"];
    expect(kindsBack("v")).toEqual([...loss, "matmul"]);
    // Through the last product and the activation, but to no gradient of x or v.
    expect(kindsBack("w")).toEqual([...loss, "matmul", "activation_grad", "matmul"]);
    expect(kindsBack("b")).toEqual([...loss, "matmul", "activation_grad", "sum"]);
    expect(kindsBack("x", "v")).toEqual([...loss, "matmul", "matmul", "activation_grad", "matmul"]);
  });

  it("leaves the other gradients as they are", async () => {
    const device = new ReferenceDevice();
    const all = await gradientsOn(device, values, layers);
    const { w, ...frozen } = values;
    const constants = place(device, frozen);
    const some = await gradientsOn(device, { w }, (s, p) =>
      layers(s, { ...Object.fromEntries(constants), ...p }),
    );
    expect(some.grads.get("w")).toEqual(all.grads.get("w"));
    expect(some.loss).toBe(all.loss);
  });
});

describe("gradients of several batches", () => {
  it("add up in the tensors that are given", async () => {
    const device = new ReferenceDevice();
    const { x, ...learn } = values;
    const parameters = place(device, learn);
    const zeros = Object.entries(learn).map(([name, { shape }]) => [
      name,
      { shape, values: new Float32Array(shape.reduce((n, d) => n * d, 1)) },
    ]);
    const into = place(device, Object.fromEntries(zeros));
    const alone: Float32Array[][] = [];
    for (const part of [0, 2]) {
      const rows = { x: { shape: [2, 6], values: x.values.slice(part * 6, (part + 2) * 6) } };
      const forward = (s: Stream, p: Record<string, Tensor>): Tensor => {
        const all = { ...p, ...Object.fromEntries(place(device, rows)) };
        return layers(s, all);
      };
      alone.push([...(await gradientsOn(device, learn, forward)).grads.values()]);
      const s = new Stream(device);
      const { grads } = tape(s, parameters, () => forward(s, Object.fromEntries(parameters)), { into });
      expect([...grads.keys()]).toEqual(Object.keys(learn));
      await s.flush();
    }
    const outputs = await new Stream(device).flush([...into.values()]);
    outputs.forEach((bytes, p) => {
      const total = new Float32Array(bytes.slice().buffer);
      for (const [i, sum] of total.entries())
        expect(sum).toBeCloseTo(alone[0]![p]![i]! + alone[1]![p]![i]!, 5);
    });
  });

  it("need the parameter's shape", () => {
    const into = new Map([["w", new Tensor("f32", [6, 5], { id: 99, bytes: 120 })]]);
    expect(() => taped(layers, { into })).toThrow(/gradient of w is to go into f32\[6,5\].*f32\[5,6\]/);
  });
});

describe("sections computed anew", () => {
  const depth = 6;
  const width = 32;
  const deep = Object.fromEntries(
    Array.from({ length: depth }, (_, i) => [
      [`norm${i}`, normal(1, width)],
      [`gate${i}`, { shape: [4 * width, width], values: random.normals(4 * width * width, 0.1) }],
      [`down${i}`, { shape: [width, 4 * width], values: random.normals(4 * width * width, 0.1) }],
    ]).flat(),
  ) as Record<string, Values>;
  const input = random.normals(64 * width);

  /** Blocks of a residual stream. */
  const blocks =
    (anew: boolean) =>
    (s: Stream, p: Readonly<Record<string, Tensor>>, recompute: <T>(work: () => T) => T): Tensor => {
      let x = s.constant(input, [64, width]);
      for (let i = 0; i < depth; i++) {
        const from = x;
        const block = (): Tensor => {
          const gate = linear(s, rmsNorm(s, from, p[`norm${i}`]!, 1e-5), p[`gate${i}`]!);
          return add(s, from, linear(s, gated(s, gate, gate, "silu"), p[`down${i}`]!));
        };
        x = anew ? recompute(block) : block();
      }
      return weighted(s, x);
    };

  it("give the same bits", async () => {
    const device = new ReferenceDevice();
    const kept = await gradientsOn(device, deep, blocks(false));
    const anew = await gradientsOn(device, deep, blocks(true));
    expect(anew).toEqual(kept);
  });

  it("take less memory: one section and what lies between them", () => {
    const arena = (anew: boolean): number => {
      const s = new Stream(new ReferenceDevice());
      const parameters = place(s.device, deep);
      const into = place(s.device, deep);
      tape(s, parameters, (recompute) => blocks(anew)(s, Object.fromEntries(parameters), recompute), {
        into,
      });
      return arenaOf(s);
    };
    const row = 4 * 64 * width;
    // Kept: the input, the normed one, the gate and the gated, of widths 1, 1, 4 and 4.
    expect(arena(false)).toBeGreaterThan(depth * 10 * row);
    expect(arena(true)).toBeLessThan((depth + 22) * row);
  });

  it("may not lie in each other", () => {
    const s = new Stream(new ReferenceDevice());
    const parameters = place(s.device, values);
    const nested = (): unknown =>
      tape(s, parameters, (recompute) =>
        recompute(() => recompute(() => layers(s, Object.fromEntries(parameters)))),
      );
    expect(nested).toThrow(/lies in another/);
  });
});

/** Bytes of the arena that the stream's ops need. */
function arenaOf(s: Stream): number {
  const slots: { slot: number; bytes: number }[] = [];
  for (const op of s.pushed)
    for (const field of Object.values(op))
      if (field instanceof Tensor && "slot" in field.storage) slots[field.storage.slot] = field.storage;
  return planArena(
    s.pushed,
    Array.from(slots, (slot, i) => slot ?? { slot: i, bytes: 0 }),
    [],
    [],
    false,
  ).arenaBytes;
}

describe("refusals name the op and what to do", () => {
  it("a gradient through what has no derivative", () => {
    const forward = (s: Stream, { x }: Record<string, Tensor>): Tensor => {
      const squares = sumSquares(s, [x!]);
      return scale(s, squares.reshape(1, 1), 0.5);
    };
    expect(() => taped(forward)).toThrow(OpError);
    expect(() => taped(forward)).toThrow(/sum_squares: a gradient must pass through it, and cannot: it/);
  });

  it.each(["f32", "f16"] as const)("a cache of %s in the way, though queries be frozen", (format) => {
    const s = new Stream(new ReferenceDevice());
    const make = (dtype: "f32" | "f16", ...shape: number[]): Tensor =>
      new Tensor(dtype, shape, s.device.allocate(tensorBytes(dtype, shape)));
    const [k, keys, cached] = [make("f32", 2, 1, 8), make(format, 1, 1, 16, 8), make(format, 1, 1, 16, 8)];
    const forward = (): Tensor => {
      const v = s.constant(new Float32Array(16), [2, 1, 8]);
      s.push({ kind: "cache_write", k, v, slots: s.constant(Int32Array.of(0, 1)), keys, values: cached });
      const q = s.constant(new Float32Array(16), [2, 1, 8]);
      const y = s.empty("f32", [2, 1, 8]);
      const pages = s.constant(Int32Array.of(0), [1, 1]);
      const spans = s.constant(Int32Array.of(0, 2, 0), [1, 3]);
      const options = { scale: 1, window: 0, softcap: 0, longest: 2, causal: 1, sharedRows: 0 };
      s.push({ kind: "attend", q, keys, values: cached, pages, spans, y, ...options });
      return weighted(s, y);
    };
    expect(() => tape(s, new Map([["k", k]]), forward)).toThrow(/attend: .*BatchAttention/);
  });

  it("an op that writes over what it reads", () => {
    const forward = (s: Stream, { x }: Record<string, Tensor>): Tensor => {
      const y = scale(s, x!, 2);
      s.push({ kind: "scale", x: y, y, factor: 3 });
      return weighted(s, y);
    };
    expect(() => taped(forward)).toThrow(/scale: y writes over/);
  });

  it("an op that writes over a parameter", () => {
    const forward = (s: Stream, { x }: Record<string, Tensor>): Tensor => {
      s.push({ kind: "copy", x: s.constant(new Float32Array(24), [4, 6]), y: x! });
      return weighted(s, x!);
    };
    expect(() => taped(forward)).toThrow(/copy: y writes over a parameter, f32\[4,6\]/);
  });

  it("a loss that is no number, or depends on nothing that learns, or not on all", () => {
    expect(() => taped((s, { x }) => scale(s, x!, 2))).toThrow(/the loss is f32\[4,6\]/);
    expect(() => taped((s) => weighted(s, s.constant(new Float32Array(3), [1, 3])))).toThrow(
      /depends on none/,
    );
    expect(() => taped((s, { x }) => weighted(s, x!))).toThrow(/does not depend on w; leave it out/);
  });

  it("a parameter that is not f32 or bf16 in rows", () => {
    const s = new Stream(new ReferenceDevice());
    const w = new Tensor("q8_0", [2, 32], { id: 1, bytes: 68 });
    expect(() => tape(s, new Map([["w", w]]), () => w)).toThrow(/w is q8_0\[2,32\].*f32 or bf16/);
  });

  it("a tensor that has parts of two parameters", () => {
    const s = new Stream(new ReferenceDevice());
    const buffer = s.device.allocate(64);
    const half = (offset: number): Tensor => new Tensor("f32", [1, 8], buffer, { offset });
    const both = new Tensor("f32", [1, 16], buffer);
    const parameters = new Map([
      ["a", half(0)],
      ["b", half(32)],
    ]);
    expect(() => tape(s, parameters, () => weighted(s, scale(s, both, 2)))).toThrow(/more than.*parameter/);
  });
});

describe("memory that is shared", () => {
  it("parameters side by side in one buffer have gradients of their own", async () => {
    const device = new ReferenceDevice();
    const buffer = device.allocate(64);
    device.write(buffer, 0, new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => i / 8).buffer));
    const [a, b] = [0, 32].map((offset) => new Tensor("f32", [1, 8], buffer, { offset })) as [Tensor, Tensor];
    const s = new Stream(device);
    const { grads } = tape(
      s,
      new Map([
        ["a", a],
        ["b", b],
      ]),
      () => sum(s, mul(s, a, b), [1, 1]),
    );
    const [da, db] = await s.flush([...grads.values()]);
    expect(new Float32Array(da!.slice().buffer)).toEqual(
      Float32Array.from({ length: 8 }, (_, i) => 1 + i / 8),
    );
    expect(new Float32Array(db!.slice().buffer)).toEqual(Float32Array.from({ length: 8 }, (_, i) => i / 8));
  });

  it("parameters that are summed have gradients of their own, which can be added to", async () => {
    const device = new ReferenceDevice();
    const ones = { shape: [1, 3], values: new Float32Array(3).fill(1) };
    const parameters = place(device, { a: ones, b: ones });
    const s = new Stream(device);
    const [a, b] = [parameters.get("a")!, parameters.get("b")!];
    const both = (factor: number) => () => sum(s, scale(s, add(s, a, b), factor), [1, 1]);
    const { grads: into } = tape(s, parameters, both(1));
    tape(s, new Map([["a", a]]), both(10), { into });
    const outputs = await s.flush([...into.values()]);
    expect(outputs.map((bytes) => new Float32Array(bytes.slice().buffer)[0])).toEqual([11, 1]);
  });

  it("what the way back reads is not written over by an op in place", async () => {
    // Softcap could take x's place, and mul its own operand's, were they not read again.
    const device = new ReferenceDevice();
    const { grads } = await gradientsOn(device, { x: values.x }, (s, { x }) => {
      const y = scale(s, x!, 1);
      return sum(s, mul(s, softcap(s, y, 2), y), [1, 1]);
    });
    values.x.values.forEach((x, i) => {
      const t = 2 * Math.tanh(x / 2);
      expect(grads.get("x")![i]).toBeCloseTo(t + x * (1 - (t / 2) ** 2), 5);
    });
  });

  it("a recorded step learns each time that it runs", async () => {
    const device = new ReferenceDevice();
    const x = Float32Array.of(3);
    const [w] = place(device, { w: { shape: [1, 1], values: Float32Array.of(10) } }).values();
    const s = new Stream(device);
    const { loss, grads } = tape(s, new Map([["w", w!]]), () => {
      const error = add(s, mul(s, s.constant(x, [1, 1]), w!), s.constant(Float32Array.of(-6), [1, 1]));
      return mul(s, error, error);
    });
    s.push({ kind: "add", a: w!, b: scale(s, grads.get("w")!, -0.05), y: w! });
    const step = s.record([loss]);
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) losses.push(new Float32Array((await step.run())[0]!.slice().buffer)[0]!);
    // The error is 3w − 6, and each step makes w smaller by 0.05 · 2 · 3 · error: a tenth of the error is left.
    expect(losses[0]).toBe(576);
    expect(losses[1]).toBeCloseTo(5.76, 4);
    expect(losses[2]).toBeCloseTo(0.0576, 5);
  });
});
