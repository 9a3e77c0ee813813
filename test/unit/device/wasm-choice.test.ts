/** Which WebAssembly instruction set the device takes, and what it refuses. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Isa } from "../../../src/device/wasm/binaries.ts";
import { loadKernels } from "../../../src/device/wasm/choose.ts";
import type { Host } from "../../../src/device/wasm/host.ts";
import { host } from "../../../src/device/wasm/node.ts";
import { WasmDevice } from "../../../src/device/wasm.ts";

/** This host, with the relaxed binary changed. */
const changed = (change: (bytes: Uint8Array<ArrayBuffer>) => void): Host => ({
  ...host,
  binary: async (isa: Isa) => {
    const bytes = await host.binary(isa);
    if (isa === "wasm_relaxed") change(bytes);
    return bytes;
  },
});

/** Replaces every `from` by `to`, which is as long; there must be one. */
const replacing = (from: readonly number[], to: readonly number[]): Host =>
  changed((bytes) => {
    let count = 0;
    for (let i = 0; i + from.length <= bytes.length; i++)
      if (from.every((byte, j) => bytes[i + j] === byte)) {
        bytes.set(to, i);
        count++;
      }
    expect(count).toBeGreaterThan(0);
  });

afterEach(() => vi.unstubAllEnvs());

it("takes what is wished for, by option or by environment, and says so", async () => {
  const device = await WasmDevice.open({ isa: "wasm", threads: 1 });
  expect(device.description).toBe("WebAssembly SIMD-128, 1 thread");
  await device.close();
  vi.stubEnv("FOVEA_ISA", "wasm");
  expect((await loadKernels(host)).isa).toBe("wasm");
});

it("refuses an instruction set that does not exist", async () => {
  await expect(WasmDevice.open({ isa: "avx512" })).rejects.toThrow(
    "there is no instruction set avx512; there are wasm_relaxed, wasm",
  );
});

it("does not take relaxed instructions where the host distrusts them", async () => {
  const distrustful = { ...host, isa: undefined, distrust: "an old engine" };
  expect((await loadKernels(distrustful)).isa).toBe("wasm");
  await expect(loadKernels(distrustful, "wasm_relaxed")).rejects.toThrow(
    "the instruction set wasm_relaxed cannot be used: an old engine",
  );
});

it("does not take them where the engine does not understand them", async () => {
  // Any unknown opcode stands for one that is not known yet: relaxed_madd becomes 0xfd 0x1ff.
  const strange = {
    ...replacing([0xfd, 0x85, 0x02], [0xfd, 0xff, 0x03]),
    isa: undefined,
    distrust: undefined,
  };
  expect((await loadKernels(strange)).isa).toBe("wasm");
  await expect(loadKernels(strange, "wasm_relaxed")).rejects.toThrow(/does not understand its instructions/);
});

describe.skipIf(host.distrust !== undefined)("where the engine has relaxed instructions", () => {
  it("takes them", async () => {
    const device = await WasmDevice.open({ host: { ...host, isa: undefined }, threads: 2 });
    expect(device.description).toBe("WebAssembly relaxed SIMD, 2 threads");
    await device.close();
  });

  // The opcodes after 0xfd, in LEB128: others of the same type stand for an engine that computes otherwise.
  const wrong = {
    "the multiply-add (1)": replacing([0xfd, 0x85, 0x02], [0xfd, 0x86, 0x02]),
    "whole numbers (4)": replacing([0xfd, 0x81, 0x02], [0xfd, 0x82, 0x02]),
    "chosen lanes (4)": replacing([0xfd, 0x8b, 0x02], [0xfd, 0x85, 0x02]),
    "the dot product (2)": replacing([0xfd, 0x93, 0x02], [0xfd, 0x86, 0x02]),
  };
  for (const [what, broken] of Object.entries(wrong))
    it(`takes others when ${what} gives other numbers`, async () => {
      const code = /\d/.exec(what)![0];
      expect((await loadKernels({ ...broken, isa: undefined })).isa).toBe("wasm");
      await expect(loadKernels(broken, "wasm_relaxed")).rejects.toThrow(
        `the instruction set wasm_relaxed cannot be used: its instructions compute something else here (${code})`,
      );
    });
});
