/** Writing packed weights when the disk is full, fills up on the way, or nobody waits. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it, vi } from "vitest";
import { PackedCache } from "../../src/checkpoint/packed-cache.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import { Background, restore, save } from "../../src/nn/packed.ts";
import type { Device } from "../../src/ops/index.ts";
import { standIn } from "../support/packed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const disk = { room: Infinity, available: Infinity };
vi.mock("node:fs/promises", async (original) => {
  const fs = await original<typeof import("node:fs/promises")>();
  const open = async (...all: Parameters<typeof fs.open>) => {
    const file = await fs.open(...all);
    const write = file.write.bind(file);
    return Object.assign(file, {
      write(bytes: Uint8Array, at: number, length: number, position: number) {
        if (disk.room <= 0) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
        // What still fits is written, as systems do.
        const count = Math.min(length, disk.room, 100_000);
        disk.room -= count;
        return write(bytes, at, count, position);
      },
    });
  };
  const statfs = async () => ({ bavail: disk.available, bsize: 1 });
  return { ...fs, open, statfs };
});

const folder = temporaryFolder();
const path = standIn(folder);
const device: Device = new (class extends ReferenceDevice {
  override readonly panelLayout = "test";
})();
const parts = [3, 1, 20].map((count) => ({ what: String(count), bytes: count << 16 }));
const buffers = parts.map(({ bytes }, i) => {
  const buffer = device.allocate(bytes);
  device.write(buffer, 64 * i, new Uint8Array(bytes / 2).fill(i + 1));
  return buffer;
});
let warnings: string[] = [];
const store = () => new PackedCache([path], path, { least: 0, warn: (text) => warnings.push(text) });
const kept = () => readdirSync(folder).filter((name) => name !== "model.gguf");
const run = (limit: number): Promise<void> =>
  new Background((pause) => save(device, store(), parts, buffers, pause)).finish(limit);

beforeEach(() => {
  warnings = [];
  Object.assign(disk, { room: Infinity, available: Infinity });
});

it("leaves nothing on a disk that fills up, at whatever byte, and tells it", async () => {
  for (const room of [0, 5, 150_000, 1_000_000, (24 << 16) + 5, (24 << 16) + 100]) {
    disk.room = room;
    await run(60_000);
    expect(kept(), `room for ${room}`).toEqual([]);
  }
  expect(warnings).toHaveLength(6);
  expect(warnings[0]).toBe(
    `${join(folder, "model.gguf.test.fovea-packed")}: the packed weights are not kept: the disk is full`,
  );
});

it("leaves a disk alone that has little room", async () => {
  disk.available = 3 << 20;
  await run(60_000);
  expect(kept()).toEqual([]);
  expect(warnings).toEqual([expect.stringMatching(/they take \d+ bytes and the disk has only 3145728 left/)]);
});

it("gives up when nobody waits, without a trace", async () => {
  await run(0);
  expect(kept()).toEqual([]);
  expect(warnings).toEqual([]);
});

it("keeps all otherwise", async () => {
  await run(60_000);
  expect(kept()).toEqual(["model.gguf.test.fovea-packed"]);
  const restored = await restore(device, store(), parts);
  expect(restored?.buffers.map(({ bytes }) => bytes)).toEqual(parts.map(({ bytes }) => bytes));
  expect(warnings).toEqual([]);
  const aborted = AbortSignal.abort(new Error("enough"));
  await expect(restore(device, store(), parts, { signal: aborted })).rejects.toThrow("enough");
  expect(warnings).toEqual([]);
});
