/** What a device promises beside its kernels: buffers, order, timing, refusals, the end. */
import { describe, expect, it } from "vitest";
import { DeviceError } from "../../../src/base/errors.ts";
import {
  add,
  type Device,
  type DeviceBuffer,
  expertLinear,
  gather,
  linear,
  Stream,
  scale,
  Tensor,
} from "../../../src/ops/index.ts";
import { subjects, useDevice } from "../../support/devices.ts";
import { Random } from "../../support/random.ts";

const bytesOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const numbers = (bytes: Uint8Array | undefined): number[] => [...new Float32Array(bytes!.slice().buffer)];
const read = async (device: Device, buffer: DeviceBuffer, count: number): Promise<number[]> =>
  numbers((await new Stream(device).flush([new Tensor("f32", [count], buffer)]))[0]);

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("has a name and a description for people", () => {
    expect(subject.name.startsWith(on.device.name)).toBe(true);
    expect(on.device.description.length).toBeGreaterThan(10);
    // A device that is asked for an instruction set uses that one.
    expect(on.device.description).toContain(subject.says);
  });

  it("allocates zeroed memory, and counts it until it is freed", async () => {
    const { device } = on;
    const before = device.memory().buffers;
    // What was there before must not show.
    for (let round = 0; round < 3; round++) {
      const buffer = device.allocate(400_000);
      expect(device.memory().buffers - before).toBeGreaterThanOrEqual(400_000);
      const content = await read(device, buffer, 100_000);
      expect(content.every((v) => Object.is(v, 0))).toBe(true);
      device.write(buffer, 0, new Uint8Array(400_000).fill(1));
      device.free(buffer);
      await new Stream(device).flush();
    }
    expect(device.memory().buffers).toBe(before);
  });

  it("gives every buffer a number of its own", () => {
    const { device } = on;
    const buffers = [
      device.allocate(64),
      device.allocate(0),
      device.adopt(new Uint8Array(64)),
      device.allocate(64),
    ];
    const ids = buffers.map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    // Number 0 is the arena's in the encoding of plans.
    expect(ids.every((id) => id > 0)).toBe(true);
    expect(buffers.map(({ bytes }) => bytes)).toEqual([64, 0, 64, 64]);
    for (const buffer of buffers) device.free(buffer);
  });

  it("refuses more memory than there is", () => {
    expect(() => on.device.allocate(2 ** 52)).toThrow(DeviceError);
  });

  it("writes where it is told, and refuses what does not fit", async () => {
    const { device } = on;
    const buffer = device.allocate(16);
    device.write(buffer, 4, bytesOf(1, 2));
    expect(await read(device, buffer, 4)).toEqual([0, 1, 2, 0]);
    expect(() => device.write(buffer, 12, bytesOf(1, 2))).toThrow(DeviceError);
    expect(() => device.write(buffer, -4, bytesOf(1))).toThrow(DeviceError);
    expect(await read(device, buffer, 4)).toEqual([0, 1, 2, 0]);
    device.free(buffer);
  });

  it("refuses to write into what it adopted", () => {
    const { device } = on;
    const buffer = device.adopt(new Uint8Array(16));
    expect(() => device.write(buffer, 0, bytesOf(1))).toThrow(DeviceError);
    device.free(buffer);
  });

  it("refuses a plan that names a freed buffer", async () => {
    const { device } = on;
    const buffer = device.allocate(64);
    device.free(buffer);
    await expect(read(device, buffer, 4)).rejects.toThrow(DeviceError);
    expect(() => device.write(buffer, 0, bytesOf(1))).toThrow(DeviceError);
    expect(() => device.free(buffer)).toThrow(DeviceError);
  });

  it("refuses a recorded step whose buffer was freed, though another may have its number", async () => {
    const { device } = on;
    const record = (buffer: DeviceBuffer) => {
      const s = new Stream(device);
      return s.record([scale(s, new Tensor("f32", [1, 100], buffer), 2)]);
    };
    const buffer = device.allocate(400);
    const [run, fresh] = [record(buffer), record(buffer)];
    await run.run();
    device.free(buffer);
    const next = device.allocate(4);
    for (const recording of [run, fresh]) await expect(recording.run()).rejects.toThrow(DeviceError);
    const other = device.allocate(400);
    await record(other).run();
    for (const left of [next, other]) device.free(left);
  });

  it("frees once the plans that were submitted before have run", async () => {
    const { device } = on;
    const buffer = device.allocate(400_000);
    device.write(buffer, 0, bytesOf(3));
    const pending = read(device, buffer, 1);
    device.free(buffer);
    const other = device.allocate(400_000);
    expect(await pending).toEqual([3]);
    device.free(other);
  });

  it("adopts bytes at any place of a larger array", async () => {
    const { device } = on;
    const file = new Uint8Array(8 * 4 + 3);
    file.set(bytesOf(1, 2, 3, 4, 5, 6), 3);
    const buffer = device.adopt(file.subarray(3, 27));
    const s = new Stream(device);
    const x = s.constant(Float32Array.of(1, 1, 1), [1, 3]);
    const y = linear(s, x, new Tensor("f32", [2, 3], buffer));
    expect([...(await s.read(y))]).toEqual([6, 15]);
    device.free(buffer);
  });

  it("runs plans in the order of submission, also when they wait for each other's results", async () => {
    const { device } = on;
    const buffer = device.allocate(400);
    const kept = new Tensor("f32", [1, 100], buffer);
    device.write(buffer, 0, new Uint8Array(new Float32Array(100).fill(1).buffer));
    const results = Array.from({ length: 20 }, async () => {
      const s = new Stream(device);
      s.push({ kind: "add", a: kept, b: kept, y: kept });
      return numbers((await s.flush([kept]))[0])[0];
    });
    expect(await Promise.all(results)).toEqual(Array.from({ length: 20 }, (_, i) => 2 ** (i + 1)));
    device.free(buffer);
  });

  it("keeps a write between the plans around it", async () => {
    const { device } = on;
    const buffer = device.allocate(4);
    device.write(buffer, 0, bytesOf(1));
    const first = read(device, buffer, 1);
    device.write(buffer, 0, bytesOf(2));
    const second = read(device, buffer, 1);
    device.write(buffer, 0, bytesOf(3));
    // A plan sees at least what was written before it was submitted; one that runs may not be disturbed.
    expect([await first, await second, await read(device, buffer, 1)]).toEqual([[1], [2], [3]]);
    device.free(buffer);
  });

  it("takes uploads of a plan as they were when it was submitted", async () => {
    const s = new Stream(on.device);
    const data = new Float32Array(5000).fill(7);
    const y = scale(s, s.constant(data, [1, 5000]), 2);
    const pending = s.read(y);
    data.fill(0);
    expect((await pending).every((v) => v === 14)).toBe(true);
  });

  it("runs a recorded step again and again, between other plans, with the uploads of each time", async () => {
    const { device } = on;
    const buffer = device.allocate(4);
    const kept = new Tensor("f32", [1, 1], buffer);
    const s = new Stream(device);
    const data = new Float32Array(1);
    s.push({ kind: "add", a: kept, b: s.constant(data, [1, 1]), y: kept });
    const recording = s.record([kept]);
    let sum = 0;
    for (let i = 0; i < 300; i++) {
      data[0] = i;
      if (i % 3 === 0) {
        sum = 100;
        device.write(buffer, 0, bytesOf(sum));
      }
      const pending = recording.run();
      data[0] = -1;
      if (i % 7 === 0) await read(device, buffer, 1);
      sum += i;
      expect(numbers((await pending)[0])).toEqual([sum]);
    }
    device.free(buffer);
    await expect(recording.run()).rejects.toThrow(DeviceError);
  });

  it.skipIf(subject.name === "reference")("lets timers run between short plans", async () => {
    const s = new Stream(on.device);
    const recording = s.record([scale(s, s.constant(new Float32Array(4), [1, 4]), 2)]);
    let rang = false;
    setTimeout(() => {
      rang = true;
    }, 1);
    const start = performance.now();
    while (!rang && performance.now() - start < 10_000) await recording.run();
    expect(rang).toBe(true);
  });

  it("gives outputs that the caller owns", async () => {
    const run = async (factor: number): Promise<Float32Array> => {
      const s = new Stream(on.device);
      return s.read(scale(s, s.constant(new Float32Array(100).fill(1), [1, 100]), factor));
    };
    const first = await run(2);
    await run(3);
    expect(first.every((v) => v === 2)).toBe(true);
  });

  it("gives large outputs, whole and in part, of plans that run once and again", async () => {
    const { device } = on;
    const n = 300_000; // more than 1 MiB
    const data = new Random(8).normals(n);
    const push = (s: Stream): Tensor[] => {
      const uploaded = s.constant(data, [3, n / 3]);
      // Pointwise ops may write where they read.
      const twice = scale(s, uploaded, 2);
      const six = scale(s, twice, 3);
      const more = scale(s, six, 0.5);
      return [six, six.rows(1, 2), more, six, uploaded];
    };
    const check = (outputs: readonly Uint8Array[]): void => {
      const factors = [6, 6, 3, 6, 1];
      for (const [i, bytes] of outputs.entries()) {
        const from = i === 1 ? n / 3 : 0;
        const [actual, factor] = [new Float32Array(bytes.slice().buffer), factors[i]!];
        expect(actual.length).toBe(i === 1 ? n / 3 : n);
        expect(actual.every((x, j) => x === Math.fround(factor * data[from + j]!)) || i).toBe(true);
      }
    };
    const once = new Stream(device);
    const first = await once.flush(push(once));
    const s = new Stream(device);
    const recording = s.record(push(s));
    for (let run = 0; run < 3; run++) {
      data.fill(run + 1, 1000 * run, 1000 * run + 999);
      const other = new Stream(device);
      const last = await other.flush(push(other));
      check(await recording.run());
      check(last);
    }
    // The first are the caller's, whatever ran later.
    expect(new Float32Array(first[4]!.slice().buffer)[5]).toBe(new Random(8).normals(6)[5]);
  });

  it("gives outputs of no bytes", async () => {
    const s = new Stream(on.device);
    const y = scale(s, s.constant(new Float32Array(0), [0, 5]), 2);
    expect(await s.flush([y])).toEqual([new Uint8Array(0)]);
  });

  it("times each op when asked, and only then", async () => {
    const x = new Tensor("f32", [1, 4], { slot: 0, bytes: 16 });
    const plan = {
      ops: [
        { kind: "scale", x, y: x, factor: 2 },
        { kind: "add", a: x, b: x, y: x },
      ],
      places: Float64Array.of(0),
      arenaBytes: 64,
      uploads: [{ slot: 0, bytes: bytesOf(1, 2, 3, 4) }],
      outputs: [x],
    } as const;
    const timed = await on.device.run({ ...plan, profile: true });
    expect(timed.nanoseconds).toHaveLength(2);
    expect(timed.nanoseconds!.every((ns) => ns >= 0 && ns < 1e10)).toBe(true);
    expect(numbers(timed.outputs[0])).toEqual([4, 8, 12, 16]);
    expect((await on.device.run({ ...plan, profile: false })).nanoseconds).toBeUndefined();
  });

  it("counts the arena it holds", async () => {
    const s = new Stream(on.device);
    const x = s.constant(new Float32Array(50_000), [1, 50_000]);
    await s.read(add(s, x, x)); // written where x was: one place of 50,000 floats
    expect(on.device.memory().arena).toBeGreaterThanOrEqual(200_000);
  });

  it("survives a long stream of small steps of changing sizes", async () => {
    const random = new Random(1);
    for (let i = 0; i < 100; i++) {
      const d = random.int(1, 3000);
      const s = new Stream(on.device);
      const x = s.constant(new Float32Array(d).fill(i), [1, d]);
      let y = x;
      for (let k = 0; k < 5; k++) y = add(s, y, x);
      expect((await s.read(y))[d - 1]).toBe(6 * i);
    }
  });

  // The caller checks indices; a mistake of his is refused or gives some result, but reads and writes nothing else.
  it.each([-1, 32, 2 ** 31 - 1, -(2 ** 31)])("an index of %i never leads outside a tensor", async (index) => {
    const { device } = on;
    const cache = device.allocate(32 * 4 * 4);
    const keys = new Tensor("f32", [2, 1, 16, 4], cache);
    const attend = (s: Stream, pages: readonly number[], spans: readonly number[]): Tensor => {
      const y = s.empty("f32", [2, 1, 4]);
      s.push({
        kind: "attend",
        q: s.constant(new Float32Array(8).fill(1), [2, 1, 4]),
        keys,
        values: keys,
        pages: s.constant(Int32Array.from(pages), [1, 2]),
        spans: s.constant(Int32Array.from(spans), [1, 3]),
        y,
        scale: 1,
        window: 0,
        softcap: 0,
        longest: 32,
        causal: 1,
        sharedRows: 0,
      });
      return y;
    };
    const mistakes: readonly ((s: Stream) => Tensor)[] = [
      (s) => gather(s, s.constant(new Float32Array(16), [8, 2]), s.constant(Int32Array.of(index))),
      (s) =>
        expertLinear(
          s,
          s.constant(new Float32Array(4), [1, 4]),
          s.constant(new Float32Array(96), [8, 3, 4]),
          s.constant(Int32Array.of(index, 0), [1, 2]),
        ),
      (s) => {
        const k = s.constant(new Float32Array(4), [1, 1, 4]);
        s.push({ kind: "cache_write", k, v: k, slots: s.constant(Int32Array.of(index)), keys, values: keys });
        return keys;
      },
      (s) => attend(s, [0, index], [0, 2, 17]),
      (s) => attend(s, [0, 1], [index, 2, 17]),
      (s) => attend(s, [0, 1], [0, index, 17]),
      (s) => attend(s, [0, 1], [0, 2, index]),
    ];
    for (const mistake of mistakes) {
      const s = new Stream(device);
      const output = mistake(s);
      await s.flush([output]).catch((error: unknown) => expect(error).toBeInstanceOf(DeviceError));
    }
    // The device goes on after it.
    const s = new Stream(device);
    expect([...(await s.read(scale(s, s.constant(Float32Array.of(2), [1, 1]), 2)))]).toEqual([4]);
    device.free(cache);
  });

  it("a closed device has run what it had, and refuses every call", async () => {
    const device = await subject.open(2);
    const buffer = device.allocate(64);
    device.write(buffer, 0, bytesOf(5));
    const pending = read(device, buffer, 1);
    await device.close();
    expect(await pending).toEqual([5]);
    const closed = [
      () => device.allocate(4),
      () => device.adopt(new Uint8Array(4)),
      () => device.free(buffer),
      () => device.write(buffer, 0, bytesOf(1)),
      () => device.memory(),
    ];
    for (const call of closed) expect(call).toThrow(/closed/);
    for (const call of closed) expect(call).toThrow(DeviceError);
    await expect(read(device, buffer, 1)).rejects.toThrow(DeviceError);
  });

  it("opens again and again", async () => {
    for (let i = 0; i < 5; i++) {
      const device = await subject.open(1 + (i % 2));
      const s = new Stream(device);
      expect([...(await s.read(scale(s, s.constant(Float32Array.of(i), [1, 1]), 2)))]).toEqual([2 * i]);
      await device.close();
    }
  });
});
