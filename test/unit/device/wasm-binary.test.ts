/** The WebAssembly binary in the repository belongs to the sources in the repository. */
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { unshared } from "../../../src/device/wasm/module.ts";

const binary = async (): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await readFile(new URL("../../../src/device/wasm/kernels.wasm", import.meta.url)));

it("kernels.wasm was made from the sources in kernels/", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/build-wasm.mjs", "--check"], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

it("kernels.wasm is valid with shared memory and, made so, without", async () => {
  const bytes = await binary();
  expect(WebAssembly.validate(bytes)).toBe(true);
  expect(WebAssembly.validate(unshared(bytes))).toBe(true);
});
