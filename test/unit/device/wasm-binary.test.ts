/** The WebAssembly binaries in the repository belong to the sources in the repository. */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { isas } from "../../../src/device/wasm/binaries.ts";
import { unshared } from "../../../src/device/wasm/module.ts";
import { host } from "../../../src/device/wasm/node.ts";

it("they were made from the sources in kernels/", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/build-wasm.mjs", "--check"], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

for (const isa of isas)
  it.skipIf(isa === "wasm_relaxed" && host.distrust !== undefined)(
    `${isa} is valid with shared memory and, made so, without`,
    async () => {
      const bytes = await host.binary(isa);
      expect(WebAssembly.validate(bytes)).toBe(true);
      expect(WebAssembly.validate(unshared(bytes))).toBe(true);
    },
  );
