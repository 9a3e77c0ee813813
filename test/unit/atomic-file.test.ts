/** A file that appears whole or not at all, when the disk fills up on the way. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { writeAtomically } from "../../src/checkpoint/atomic-file.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
let room = Infinity;
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const writeSync = (file: number, bytes: Uint8Array, at: number, length: number): number => {
    if (room < length) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    room -= length;
    return fs.writeSync(file, bytes, at, length);
  };
  return { ...fs, writeSync };
});

it("leaves nothing behind on a full disk, and a whole file otherwise", async () => {
  const path = join(folder, "out.bin");
  const write = (pieces: number) =>
    writeAtomically(path, async (file) => {
      for (let i = 0; i < pieces; i++) file.write(new Uint8Array(100));
      file.pad(64);
    });
  room = 250;
  await expect(write(3)).rejects.toThrow(`${path}: cannot be written: the disk is full`);
  expect(readdirSync(folder)).toEqual([]);
  room = Infinity;
  await write(3);
  expect(readdirSync(folder)).toEqual(["out.bin"]);
  room = 50;
  await expect(write(3)).rejects.toThrow(/disk is full/);
  expect(readdirSync(folder)).toEqual(["out.bin"]);
});
