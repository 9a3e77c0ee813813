/** The option `precision` of a model: what it says, and how far its numbers are from those in f32. */
import { describe, expect, it } from "vitest";
import { open } from "../../src/index.ts";
import { haveShared, shared } from "../support/shared.ts";

const ids = Array.from({ length: 40 }, (_, i) => 1 + ((i * 37) % 250));

describe.skipIf(!haveShared)("a model in bf16", () => {
  it.each(["native", "wasm", "reference"] as const)("on %s is near the one in f32", async (device) => {
    const logits = async (precision: "f32" | "bf16"): Promise<Float32Array> => {
      const model = await open(shared("models/stories260K/hf"), { device, precision, packedCache: false });
      try {
        expect(model.describe().precision).toBe(precision);
        return (await model.logits(ids)).at(-1)!;
      } finally {
        await model.close();
      }
    };
    const [plain, rounded] = [await logits("f32"), await logits("bf16")];
    const off = Math.max(...plain.map((x, i) => Math.abs(x - rounded[i]!)));
    const size = Math.max(...plain.map(Math.abs));
    // Operands lose 2^-9 of themselves at most, several layers of them; nothing at all would be no bf16.
    expect(off).toBeGreaterThan(0);
    expect(off).toBeLessThan(size / 30);
  });
});
