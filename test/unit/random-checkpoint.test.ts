/** Random checkpoints: shapes as published, valid blocks, the same bytes for the same seed, and quick. */
import { describe, expect, it } from "vitest";
import { elementCount } from "../../src/checkpoint/checkpoint.ts";
import { parseRandom, randomCheckpoint } from "../../src/checkpoint/random.ts";
import { type ShapeName, shapeNames } from "../../src/checkpoint/random-shapes.ts";
import { type FormatName, formatBytes, formats } from "../../src/format/index.ts";

/** As the models' cards tell it, or counted from their files. */
const parameters: Readonly<Record<ShapeName, number>> = {
  "stories-260k": 260_032,
  "llama-6m": 6_295_808,
  "llama-6m-gqa": 5_771_520,
  "llama-10m": 9_966_848,
  "smollm2-135m": 134_515_008,
  "qwen2.5-0.5b": 494_032_768,
  "qwen3-0.6b": 596_049_920,
  "llama-1.1b": 1_100_048_384,
  "llama-3.2-1b": 1_235_814_400,
};

describe("random checkpoints", () => {
  it.each(shapeNames)("%s has as many parameters as the model of that name", (shape) => {
    const { checkpoint } = randomCheckpoint(shape, "q8_0");
    const count = [...checkpoint.tensors.values()].reduce((sum, t) => sum + elementCount(t.shape), 0);
    expect(count).toBe(parameters[shape]);
  });

  it.each(Object.keys(formats) as FormatName[])("in %s hold finite weights of a sane size", (format) => {
    const { checkpoint } = randomCheckpoint("llama-10m", format);
    const name = "model.layers.3.mlp.down_proj.weight";
    const values = new Float32Array(768 * 256);
    expect(checkpoint.tensors.get(name)?.format).toBe(format);
    formats[format].unpack(checkpoint.bytes(name), values);
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan(1e-3);
    expect(deviation).toBeGreaterThan(0.018);
    expect(deviation).toBeLessThan(0.022);
  });

  it("take a format that fits where rows are no whole number of blocks", () => {
    const { checkpoint } = randomCheckpoint("smollm2-135m", "q4_K");
    const formatOf = (name: string) => checkpoint.tensors.get(`model.layers.0.${name}.weight`)?.format;
    expect(formatOf("mlp.down_proj")).toBe("q4_K"); // rows of 1536
    expect(formatOf("mlp.up_proj")).toBe("q8_0"); // rows of 576
    expect(formatOf("input_layernorm")).toBe("f32");
    const stories = randomCheckpoint("stories-260k", "q4_0").checkpoint;
    expect(stories.tensors.get("model.layers.0.mlp.down_proj.weight")?.format).toBe("f16"); // rows of 172
  });

  it("have the same bytes for the same seed, others for another, and rows that differ", () => {
    const name = "model.layers.0.mlp.up_proj.weight";
    const bytes = (seed: number) => randomCheckpoint("llama-10m", "q4_0", seed).checkpoint.bytes(name);
    const [one, again, other] = [bytes(1), bytes(1), bytes(2)];
    expect(one.length).toBe(formatBytes("q4_0", 768 * 256));
    expect(Buffer.compare(one, again)).toBe(0);
    expect(Buffer.compare(one, other)).not.toBe(0);
    const row = formatBytes("q4_0", 256);
    const rows = Array.from({ length: 768 }, (_, i) =>
      Buffer.from(one.subarray(i * row, (i + 1) * row)).toString("hex"),
    );
    expect(new Set(rows).size).toBe(768);
  });

  it("come at a gigabyte a second or so", () => {
    const { checkpoint } = randomCheckpoint("llama-1.1b", "q4_0");
    const started = performance.now();
    let bytes = 0;
    for (const name of checkpoint.tensors.keys()) bytes += checkpoint.bytes(name).length;
    expect(bytes).toBeGreaterThan(618e6);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it("are refused by name when there is no such shape or format", () => {
    expect(parseRandom("llama-1.1b:q4_0")).toEqual({ shape: "llama-1.1b", format: "q4_0" });
    for (const text of [
      "llama-1.1b",
      "llama-9b:q4_0",
      "llama-1.1b:q3_0",
      "toString:f32",
      "llama-1.1b:q4_0:x",
    ])
      expect(() => parseRandom(text), text).toThrow(/smollm2-135m.*q4_K/);
  });
});
