/** Packed weights that are kept in files: the same bits with them and without, and nothing lost where they fail. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PackedCache } from "../../src/checkpoint/packed-cache.ts";
import { randomCheckpoint } from "../../src/checkpoint/random.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors-writer.ts";
import { open } from "../../src/tasks/open.ts";
import type { OpenOptions } from "../../src/tasks/types.ts";
import { subjects, useDevice } from "../support/devices.ts";
import { fixtures, formulaCheckpoint, readFixture } from "../support/formula.ts";
import { bytesOf, loadKept, standIn } from "../support/packed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const root = temporaryFolder();
let folders = 0;
const newFolder = (): string => {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
};
const kept = (folder: string): string[] => readdirSync(folder).filter((name) => name !== "model.gguf");

describe.each(subjects.filter(({ name }) => name !== "reference"))("$name", (subject) => {
  const on = useDevice(subject);

  it.each(readdirSync(fixtures))("gives the same bits with and without a file: %s", async (file) => {
    const { seed, tensors, config, ids } = readFixture(file);
    const model = { checkpoint: formulaCheckpoint(seed, tensors), config };
    const path = standIn(newFolder());
    const without = await loadKept(on.device, model, ids, undefined);
    const first = await loadKept(on.device, model, ids, path);
    const second = await loadKept(on.device, model, ids, path);
    expect([first.used, second.used]).toEqual([false, true]);
    expect([...first.warnings, ...second.warnings]).toEqual([]);
    for (const { logits } of [first, second])
      expect(Buffer.compare(bytesOf(logits), bytesOf(without.logits))).toBe(0);
  });

  it("and in blocks of few bits, whatever is moved while it runs", async () => {
    for (const format of ["q4_0", "q4_K", "q8_0"] as const) {
      const model = randomCheckpoint("llama-10m", format);
      const path = standIn(newFolder());
      const without = await loadKept(on.device, model, [1, 2, 3], undefined);
      await loadKept(on.device, model, [1, 2, 3], path);
      const { logits, used } = await loadKept(on.device, model, [1, 2, 3], path);
      expect(used).toBe(true);
      expect(Buffer.compare(bytesOf(logits), bytesOf(without.logits))).toBe(0);
    }
  });
});

describe("open", () => {
  it("keeps packed weights beside the checkpoint, in a folder, or not at all", async () => {
    const folder = newFolder();
    const elsewhere = join(folder, "elsewhere");
    const { checkpoint, config } = randomCheckpoint("llama-10m", "f32");
    const tensors = [...checkpoint.tensors.values()].map(({ name, shape }) => ({
      name,
      shape,
      dtype: "F32" as const,
    }));
    await writeSafetensors(join(folder, "model.safetensors"), tensors, ({ name }) => checkpoint.bytes(name));
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const packed = (where: string) => readdirSync(where).filter((name) => name.endsWith(".fovea-packed"));
    const logits = async (options: OpenOptions): Promise<Uint8Array> => {
      const model = await open(folder, { device: "native", ...options });
      const [row] = await model.logits([5]);
      await model.close();
      return bytesOf(row!);
    };
    const wanted = await logits({ packedCache: false });
    expect(packed(folder)).toEqual([]);
    for (const options of [{}, { packedCache: true }, { packedCache: elsewhere }, { packedCache: elsewhere }])
      expect(Buffer.compare(await logits(options), wanted)).toBe(0);
    expect([packed(folder).length, packed(elsewhere).length]).toEqual([1, 1]);
  });
});

describe("the file", () => {
  const on = useDevice(subjects.at(-1)!);
  const model = randomCheckpoint("stories-260k", "q8_0");
  const load = (path: string, folder?: string) => loadKept(on.device, model, [1, 2, 3], path, folder);

  it("is replaced when the checkpoint has changed, by its content or only by its date", async () => {
    const folder = newFolder();
    const path = standIn(folder);
    await load(path);
    const [name] = kept(folder);
    const before = readFileSync(join(folder, name!));
    standIn(folder, "Weights");
    const changed = await load(path);
    expect(changed.used).toBe(false);
    expect(changed.warnings).toHaveLength(1);
    expect(changed.warnings[0]).toMatch(/model\.gguf\.panels.*another checkpoint.*packed anew/);
    expect(Buffer.compare(before, readFileSync(join(folder, name!)))).not.toBe(0);
    expect((await load(path)).used).toBe(true);
    utimesSync(path, 1, 1);
    expect((await load(path)).used).toBe(false);
    expect((await load(path)).used).toBe(true);
    expect(kept(folder)).toEqual([name]);
  });

  it("does not serve another model, nor the same tensors put together in another way", async () => {
    const path = standIn(newFolder());
    await load(path);
    const other = randomCheckpoint("stories-260k", "f16");
    const { used, warnings } = await loadKept(on.device, other, [1], path);
    expect([used, warnings.length]).toEqual([false, 1]);
  });

  it("is written whole by each of several that start at once", async () => {
    const folder = newFolder();
    const path = standIn(folder);
    const all = await Promise.all(Array.from({ length: 5 }, () => load(path)));
    expect(all.flatMap(({ warnings }) => warnings)).toEqual([]);
    expect(kept(folder)).toHaveLength(1);
    expect((await load(path)).used).toBe(true);
  });

  it("lies in the folder that is named, which is made, apart from others of that name", async () => {
    const folder = join(newFolder(), "a", "b");
    const paths = [standIn(newFolder()), standIn(newFolder())];
    for (const path of paths) {
      expect((await load(path, folder)).used).toBe(false);
      expect((await load(path, folder)).used).toBe(true);
    }
    expect(kept(folder)).toHaveLength(2);
  });

  it("is not written where that cannot be, which is told", async () => {
    const path = standIn(newFolder());
    const { warnings, logits } = await load(path, path);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/not kept: a part of the path is a file|not kept: .*EEXIST/);
    expect(logits.every(Number.isFinite)).toBe(true);
  });

  it.skipIf(process.getuid?.() === 0)("is not written into a folder that is read-only", async () => {
    const folder = newFolder();
    const path = standIn(folder);
    chmodSync(folder, 0o555);
    const { warnings } = await load(path);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/not kept: may not/);
    chmodSync(folder, 0o755);
    expect(kept(folder)).toEqual([]);
  });

  it("is not made for what is sooner packed than read", async () => {
    const cache = new PackedCache(["x"], "x");
    const parts = [{ what: "a", bytes: 1 << 20 }];
    expect(cache.find("l", parts, 8)).toBeUndefined();
    expect(await cache.create("l", parts, 8)).toBeUndefined();
  });

  it("sweeps away what writers left behind, but not what may still be written", async () => {
    const folder = newFolder();
    const path = standIn(folder);
    await load(path);
    const [name] = kept(folder);
    for (const [rest, age] of [
      ["old", 3600],
      ["new", 5],
    ] as const) {
      const temporary = join(folder, `${name}.${rest}.tmp`);
      writeFileSync(temporary, "half");
      const time = Date.now() / 1000 - age;
      utimesSync(temporary, time, time);
    }
    utimesSync(path, 5, 5);
    await load(path);
    expect(kept(folder).sort()).toEqual([name, `${name}.new.tmp`].sort());
  });
});
