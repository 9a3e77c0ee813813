/** Number formats against blocks that ggml packed and unpacked. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readF32 } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { BytesSource } from "../../src/checkpoint/source.ts";
import { formats } from "../../src/format/index.ts";
import { haveShared, shared } from "../support/shared.ts";

const relativeError = (x: Float32Array, y: Float32Array): number => {
  let error = 0;
  let size = 0;
  for (const [i, v] of x.entries()) {
    error += (v - (y[i] as number)) ** 2;
    size += v * v;
  }
  return Math.sqrt(error / size);
};

describe.skipIf(!haveShared)("formats against ggml", () => {
  const open = () => {
    const path = shared("golden-quant/ggml_quants.safetensors");
    const index = JSON.parse(readFileSync(shared("golden-quant/index.json"), "utf8")) as {
      types: { name: string; type: number; block: number; block_bytes: number; rel_rmse: number }[];
    };
    return { golden: openSafetensors(new BytesSource(path, readFileSync(path))), index };
  };

  for (const format of Object.values(formats).filter((f) => f.name !== "f32" && f.ggufType !== undefined)) {
    it(`${format.name}: same layout, same bits after unpack, packs at least as well`, () => {
      const { golden, index } = open();
      const entry = index.types.find((t) => t.name === format.name);
      if (entry === undefined) throw new Error(`no golden for ${format.name}`);
      expect([format.ggufType, format.block, format.blockBytes]).toEqual([
        entry.type,
        entry.block,
        entry.block_bytes,
      ]);

      const x = readF32(golden, "x");
      const bytes = golden.raw(`${format.name}.bytes`);
      const unpacked = new Float32Array(x.length);
      format.unpack(bytes, unpacked);
      const expected = readF32(golden, `${format.name}.float`);
      expect(Buffer.from(unpacked.buffer).equals(Buffer.from(expected.buffer))).toBe(true);

      const packed = new Uint8Array(bytes.length);
      format.pack(x, packed);
      format.unpack(packed, unpacked);
      expect(relativeError(x, unpacked)).toBeLessThanOrEqual(entry.rel_rmse * 1.01);
    });
  }
});
