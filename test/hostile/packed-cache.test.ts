/** Damaged files of packed weights: each is told and replaced, and never changes a result. */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomCheckpoint } from "../../src/checkpoint/random.ts";
import { openDevice } from "../../src/device/index.ts";
import type { Device } from "../../src/ops/index.ts";
import { mutate } from "../support/mutate.ts";
import { bytesOf, loadKept, standIn } from "../support/packed.ts";
import { Random } from "../support/random.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const path = standIn(folder);
const model = randomCheckpoint("stories-260k", "q8_0");
let device: Device;
let file: string;
let good: Uint8Array;
let wanted: Uint8Array;
const load = () => loadKept(device, model, [1, 2, 3], path);

beforeAll(async () => {
  device = await openDevice("auto", { threads: 2 });
  wanted = bytesOf((await load()).logits);
  file = join(folder, readdirSync(folder).find((name) => name.endsWith("packed"))!);
  // A copy: `slice` of a Buffer would not be one.
  good = new Uint8Array(readFileSync(file));
});
afterAll(() => device.close());

/** Loads with what lies at the place of the file, which is not to be used. */
async function expectRefused(what: string, replaced = true): Promise<void> {
  const { logits, used, warnings } = await load();
  expect(used, what).toBe(false);
  expect(warnings.length, what).toBeGreaterThan(0);
  for (const warning of warnings) expect(warning, what).toContain(file);
  expect(Buffer.compare(bytesOf(logits), wanted), what).toBe(0);
  if (replaced) expect(Buffer.compare(readFileSync(file), good), what).toBe(0);
}

it("refuses every mutation, and puts the right file in its place", async () => {
  const random = new Random(1);
  const header = Math.ceil(good.length / 8);
  for (let i = 0; i < 300; i++) {
    const bytes = mutate(good, i % 2 ? good.length : header, random);
    if (Buffer.compare(bytes, good) === 0) continue;
    writeFileSync(file, bytes);
    const { used, warnings, logits } = await load();
    expect(Buffer.compare(bytesOf(logits), wanted), `mutation ${i}`).toBe(0);
    // Bytes between the parts of the file mean nothing: such a file is as good as the right one.
    if (used) expect(warnings, `mutation ${i}`).toEqual([]);
    else expect(Buffer.compare(readFileSync(file), good), `mutation ${i}`).toBe(0);
  }
});

it("refuses a change of any part: text, sums, and the first and last bytes of the weights", async () => {
  const text = good.indexOf(10, good.indexOf(10) + 1) + 1;
  const sums = Math.ceil(text / 64) * 64;
  for (const at of [
    0,
    20,
    60,
    text - 1,
    sums,
    good.length - 1,
    good.length - 64 * 1000,
    Math.ceil(sums / 4096) * 4096,
  ]) {
    const bytes = good.slice();
    bytes[at]! ^= 1;
    writeFileSync(file, bytes);
    await expectRefused(`byte ${at}`);
  }
});

it("refuses a file that is cut off, longer, empty, or of zeros", async () => {
  for (const length of [0, 1, 100, 4096, good.length >> 1, good.length - 1]) {
    writeFileSync(file, good.subarray(0, length));
    await expectRefused(`${length} bytes`);
  }
  writeFileSync(file, Buffer.concat([good, Buffer.alloc(64)]));
  await expectRefused("longer");
  writeFileSync(file, Buffer.alloc(good.length));
  await expectRefused("zeros");
});

it("does without where something else has taken the place", async () => {
  rmSync(file);
  mkdirSync(join(file, "inside"), { recursive: true });
  await expectRefused("a folder", false);
  rmSync(file, { recursive: true });
  symlinkSync(file, file);
  await expectRefused("a link to itself");
  expect((await load()).used).toBe(true);
});
