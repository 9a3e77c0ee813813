/** The WebAssembly device without shared memory, and when a thread fails. */
import { expect, it } from "vitest";
import { host } from "../../../src/device/wasm/node.ts";
import { WasmDevice } from "../../../src/device/wasm.ts";
import { add, type Plan, rmsNorm, Stream, scale, Tensor } from "../../../src/ops/index.ts";
import { Random } from "../../support/random.ts";

async function step(device: WasmDevice): Promise<Float32Array> {
  const random = new Random(1);
  const s = new Stream(device);
  const x = s.constant(random.normals(37 * 300), [37, 300]);
  const y = rmsNorm(s, scale(s, x, 3), s.constant(random.normals(300), [1, 300]), 1e-6);
  return s.read(add(s, x, y));
}

it("has the same bits with threads, with one, and on the calling thread", async () => {
  const devices = await Promise.all([
    WasmDevice.open({ isa: "wasm", threads: 2 }),
    WasmDevice.open({ isa: "wasm", threads: 1 }),
    WasmDevice.open({ isa: "wasm", threads: 3, host: { ...host, shared: false } }),
  ]);
  const [two, one, here] = await Promise.all(devices.map(step));
  expect(one).toEqual(two);
  expect(here).toEqual(two);
  expect(devices.map((device) => device.description)).toEqual([
    "WebAssembly SIMD-128, 2 threads",
    "WebAssembly SIMD-128, 1 thread",
    "WebAssembly SIMD-128, on the calling thread",
  ]);
  await Promise.all(devices.map((device) => device.close()));
});

it("tells what waits, and refuses what comes, when a thread fails", async () => {
  // It strikes when the first job has run: before that it could fall into the opening of the device.
  const failing = {
    ...host,
    spawn: (source: string, ...rest: [unknown, Parameters<typeof host.spawn>[2]]) =>
      host.spawn(source.replace("exports.work(thread, done)", '$&; throw new Error("struck")'), ...rest),
  };
  const device = await WasmDevice.open({ threads: 1, host: failing });
  const waiting = [step(device), step(device)];
  await Promise.all(waiting.map((run) => expect(run).rejects.toThrow(/wasm: a thread failed: struck/)));
  expect(() => device.allocate(1)).toThrow(/a thread failed: struck/);
  await device.close();
});

/** A place beyond all memory that the device has. */
const nowhere = new Tensor("f32", [1, 4], { slot: 0, bytes: 16 });
const lost: Plan = {
  ops: [],
  places: Float64Array.of(3.9e9),
  arenaBytes: 64,
  uploads: [],
  outputs: [],
  profile: false,
};

it("tells what waits, and refuses what comes, when the calling thread fails", async () => {
  const device = await WasmDevice.open({ host: { ...host, shared: false } });
  const failing = device.run({ ...lost, ops: [{ kind: "scale", x: nowhere, y: nowhere, factor: 2 }] });
  await expect(failing).rejects.toThrow(/wasm: a thread failed: .*out of bounds/);
  await expect(step(device)).rejects.toThrow(/a thread failed/);
  await device.close();
});

it.each([true, false])("goes on when a result cannot be copied, with threads: %s", async (shared) => {
  const device = await WasmDevice.open({ threads: 2, host: { ...host, shared } });
  await expect(device.run({ ...lost, outputs: [nowhere] })).rejects.toThrow(RangeError);
  expect(await step(device)).toHaveLength(37 * 300);
  await device.close();
});

it("can be closed by several at once while it runs", async () => {
  const device = await WasmDevice.open({ threads: 2 });
  const running = step(device);
  await Promise.all([device.close(), device.close()]);
  expect(await running).toHaveLength(37 * 300);
});
