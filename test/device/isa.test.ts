/** FOVEA_ISA: which instruction set an engine gets, everywhere one is made; the others are refused by name. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { addon } from "../../src/base/addon.ts";
import { openDevice } from "../../src/device/index.ts";
import { open } from "../../src/index.ts";
import { haveShared, shared } from "../support/shared.ts";

const sets = addon()?.isas().split(" ") ?? [];
const stories = shared("models/stories260K/hf");

afterEach(() => vi.unstubAllEnvs());

describe.skipIf(sets.length === 0)("the instruction set", () => {
  it("is the best of the machine's, unless one is named", async () => {
    vi.stubEnv("FOVEA_ISA", undefined);
    for (const name of ["native", "auto"]) {
      const device = await openDevice(name, { threads: 1 });
      expect(device.description).toBe(`${sets[0]}, 1 thread`);
      await device.close();
    }
    expect(sets.at(-1)).toBe("scalar");
  });

  it.each(sets)("can be %s", async (isa) => {
    vi.stubEnv("FOVEA_ISA", isa);
    for (const name of ["native", "auto"]) {
      const device = await openDevice(name, { threads: 2 });
      expect(device.description).toBe(`${isa}, 2 threads`);
      await device.close();
    }
  });

  it("that does not exist is refused with the names of those that do", async () => {
    for (const wrong of ["sse9", "AVX2", "avx", " "]) {
      vi.stubEnv("FOVEA_ISA", wrong);
      const message = `native: FOVEA_ISA is "${wrong}", which is not in this build; it can be ${sets.join(", ")}`;
      for (const name of ["native", "auto"]) await expect(openDevice(name)).rejects.toThrow(message);
    }
  });

  it.skipIf(!haveShared)("holds for the library", async () => {
    vi.stubEnv("FOVEA_ISA", "scalar");
    const model = await open(stories, { threads: 1 });
    expect(model.describe().device).toContain("scalar");
    await model.close();
    vi.stubEnv("FOVEA_ISA", "none");
    await expect(open(stories)).rejects.toThrow('FOVEA_ISA is "none"');
  });
});
