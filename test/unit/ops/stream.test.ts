/** The rules of a step: what may be pushed, when memory ends, what a flush gives. */
import { describe, expect, it } from "vitest";
import { OpError } from "../../../src/base/errors.ts";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { add, linear, type Plan, type RunResult, Stream, scale, Tensor } from "../../../src/ops/index.ts";

/** A reference device that remembers the plans it ran. */
class Recorder extends ReferenceDevice {
  readonly plans: Plan[] = [];

  override run(plan: Plan): Promise<RunResult> {
    this.plans.push(plan);
    return super.run(plan);
  }
}

const row = (...values: number[]): Float32Array => Float32Array.from(values);
const numbers = (bytes: Uint8Array | undefined): number[] => [
  ...new Float32Array(bytes!.buffer, bytes!.byteOffset, bytes!.byteLength / 4),
];

describe("Stream", () => {
  it("runs what was pushed, in one plan, when read", async () => {
    const device = new Recorder();
    const s = new Stream(device);
    const x = s.constant(row(1, 2, 3), [1, 3]);
    const y = scale(s, add(s, x, x), 10);
    expect(device.plans).toHaveLength(0);
    expect([...(await s.read(y))]).toEqual([20, 40, 60]);
    expect(device.plans.map((plan) => plan.ops.map((op) => op.kind))).toEqual([["add", "scale"]]);
  });

  it("checks an op when it is pushed", () => {
    const s = new Stream(new ReferenceDevice());
    const x = s.constant(row(1, 2, 3), [1, 3]);
    expect(() => add(s, x, s.constant(row(1, 2), [1, 2]))).toThrow(OpError);
  });

  it("does not keep an op that it refused", async () => {
    const device = new Recorder();
    const s = new Stream(device);
    const x = s.constant(row(1, 2, 3), [1, 3]);
    expect(() => linear(s, x, s.constant(row(1, 2), [1, 2]))).toThrow(OpError);
    await s.flush();
    expect(device.plans[0]?.ops).toEqual([]);
  });

  it("gives the outputs in the order asked for, each with memory of its own", async () => {
    const s = new Stream(new ReferenceDevice());
    const x = s.constant(row(1, 2), [1, 2]);
    const y = add(s, x, x);
    const outputs = await s.flush([y, x, y]);
    expect(outputs.map(numbers)).toEqual([
      [2, 4],
      [1, 2],
      [2, 4],
    ]);
    outputs[0]!.fill(0);
    expect(numbers(outputs[2])).toEqual([2, 4]);
  });

  it("gives a view as an output", async () => {
    const s = new Stream(new ReferenceDevice());
    const x = s.constant(row(1, 2, 3, 4, 5, 6), [3, 2]);
    const [view] = await s.flush([add(s, x, x).rows(1, 2)]);
    expect(numbers(view)).toEqual([6, 8]);
  });

  it("gives persistent tensors as outputs", async () => {
    const device = new ReferenceDevice();
    const s = new Stream(device);
    const kept = new Tensor("f32", [1, 2], device.allocate(64), { offset: 8 });
    s.push({ kind: "copy", x: s.constant(row(7, 8), [1, 2]), y: kept });
    await s.flush();
    expect([...(await s.read(kept))]).toEqual([7, 8]);
  });

  it("refuses a tensor of a step that has ended, and its views", async () => {
    const s = new Stream(new ReferenceDevice());
    const old = s.constant(row(1, 2), [1, 2]);
    await s.flush();
    expect(() => scale(s, old, 2)).toThrow(/scale: x belongs to a step that has ended/);
    // The slot number is in use again: the old tensor must still be told from the new.
    const fresh = s.constant(row(3, 4), [1, 2]);
    expect(() => add(s, fresh, old.reshape(2, 1).reshape(1, 2))).toThrow(/add: b belongs to a step/);
  });

  it("refuses a tensor of another stream", () => {
    const device = new ReferenceDevice();
    const [s, other] = [new Stream(device), new Stream(device)];
    const x = other.constant(row(1, 2), [1, 2]);
    expect(() => scale(s, x, 2)).toThrow(/belongs to a step/);
  });

  it("refuses an output of a step that has ended", async () => {
    const s = new Stream(new ReferenceDevice());
    const old = s.constant(row(1, 2), [1, 2]);
    await s.flush();
    await expect(s.flush([old])).rejects.toThrow(OpError);
    s.constant(row(3, 4), [1, 2]);
    await expect(s.flush([old])).rejects.toThrow(/belongs to a step that has ended/);
  });

  it("refuses to read what nobody has written", async () => {
    const s = new Stream(new ReferenceDevice());
    const nothing = s.empty("f32", [1, 2]);
    expect(() => scale(s, nothing, 2)).toThrow(/scale: x, f32\[1,2\], is read before/);
    await expect(s.flush([nothing])).rejects.toThrow(/flush: an output, f32\[1,2\], is read before/);
  });

  it("copies constants when flushed", async () => {
    const s = new Stream(new ReferenceDevice());
    const data = row(1, 2);
    const x = s.constant(data, [1, 2]);
    data[0] = 5;
    const flushed = s.read(x);
    data[0] = 9;
    expect([...(await flushed)]).toEqual([5, 2]);
  });

  it("records a step and runs it with constants as they are each time", async () => {
    const s = new Stream(new ReferenceDevice());
    const data = row(1, 2);
    const recording = s.record([scale(s, s.constant(data, [1, 2]), 3)]);
    expect(numbers((await recording.run())[0])).toEqual([3, 6]);
    data[1] = 5;
    expect(numbers((await recording.run())[0])).toEqual([3, 15]);
    // The stream has begun a new step.
    expect([...(await s.read(scale(s, s.constant(data, [1, 2]), 2)))]).toEqual([2, 10]);
    expect(numbers((await recording.run())[0])).toEqual([3, 15]);
  });

  it("takes constants that are views of a larger array", async () => {
    const s = new Stream(new ReferenceDevice());
    const x = s.constant(row(1, 2, 3, 4).subarray(1, 3), [1, 2]);
    expect([...(await s.read(x))]).toEqual([2, 3]);
  });

  it("gives constants their dtype, and one dimension unless told", () => {
    const s = new Stream(new ReferenceDevice());
    expect(s.constant(Int32Array.of(1, 2)).toString()).toBe("i32[2]");
    expect(s.constant(row(1, 2, 3)).toString()).toBe("f32[3]");
  });

  it("refuses constants that do not fill their shape", () => {
    const s = new Stream(new ReferenceDevice());
    expect(() => s.constant(row(1, 2, 3), [2, 2])).toThrow(/3 numbers do not fill \[2,2\]/);
  });

  it("reads f32 only", async () => {
    const s = new Stream(new ReferenceDevice());
    await expect(s.read(s.constant(Int32Array.of(1)))).rejects.toThrow(/i32\[1\] is not f32/);
  });

  it("an empty flush is a plan of nothing", async () => {
    expect(await new Stream(new ReferenceDevice()).flush()).toEqual([]);
  });

  it("begins anew after a step that failed", async () => {
    const s = new Stream(new ReferenceDevice());
    const x = s.constant(row(1, 2), [1, 2]);
    const y = s.empty("f32", [1, 2]);
    s.push({ kind: "gather", x, index: s.constant(Int32Array.of(3)), y });
    await expect(s.read(y)).rejects.toThrow(/gather: index holds 3, outside \[0, 1\)/);
    expect([...(await s.read(s.constant(row(4))))]).toEqual([4]);
  });
});
