/** What `quantize` writes is the same model: golden text, equal logits, bounded errors; and what it refuses. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { FileSource } from "../../src/checkpoint/file.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import type { FormatName } from "../../src/format/index.ts";
import { open } from "../../src/index.ts";
import { type QuantizedTensor, quantize } from "../../src/tasks/quantize.ts";
import { forwardAll, load, relativeError } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const stories = shared("models/stories260K/hf");

/** A copy of a golden checkpoint whose config differs. */
function changed(name: string, settings: Record<string, unknown>): string {
  const copy = `${folder}/changed-${name}`;
  mkdirSync(copy, { recursive: true });
  copyFileSync(shared(`golden/${name}/model.safetensors`), `${copy}/model.safetensors`);
  const config = JSON.parse(readFileSync(shared(`golden/${name}/config.json`), "utf8")) as object;
  writeFileSync(`${copy}/config.json`, JSON.stringify({ ...config, ...settings }));
  return copy;
}

describe.skipIf(!haveShared)("every architecture, from safetensors to GGUF at f32", () => {
  const ids = [5, 9, 200, 3, 77, 31, 8, 120, 4, 99, 100, 7, 13, 250, 64, 64, 1, 18, 33, 201];
  const names = [
    ...["gemma", "gpt2", "llama", "llama_bias", "llama_linear", "llama_rope3", "mistral", "mixtral"],
    ...["olmoe", "phi3", "qwen2", "qwen2_moe", "starcoder2"],
  ];
  for (const name of names)
    it(`${name}: the same logits`, async () => {
      const out = `${folder}/${name}.gguf`;
      const { tensors } = await quantize(shared(`golden/${name}`), { format: "f32", out });
      for (const { largestError } of tensors) expect(largestError).toBe(0);
      const device = new ReferenceDevice();
      const original = await forwardAll(await load(shared(`golden/${name}`), device), [ids]);
      const written = await forwardAll(await load(out, device), [ids]);
      expect(relativeError(written.logits, original.logits)).toBeLessThan(1e-6);
      await device.close();
    });
});

describe.skipIf(!haveShared)("the story model", () => {
  let golden: { readonly greedy_ids: readonly number[]; readonly greedy_text: string };
  beforeAll(() => {
    golden = JSON.parse(readFileSync(`${stories}/golden.json`, "utf8")) as typeof golden;
  });

  it("f16: its golden text byte for byte, through a GGUF file", async () => {
    const out = `${folder}/stories-f16.gguf`;
    await quantize(stories, { format: "f16", out });
    const model = await open(out);
    const maxTokens = golden.greedy_ids.length - 1;
    const { text, tokens } = await model.generate([1], { temperature: 0, maxTokens }).result();
    expect([1, ...tokens]).toEqual(golden.greedy_ids);
    expect(text).toBe(golden.greedy_text);
    await model.close();
  });

  /** Bounds of the relative error of any one matrix: half a step of the format on normally spread values. */
  const bounds: Partial<Record<FormatName, number>> = {
    ...{ f32: 0, f16: 3e-4, bf16: 3e-3, q8_0: 8e-3, q6_K: 2.5e-2 },
    ...{ q5_0: 5e-2, q5_1: 5e-2, q5_K: 5e-2, q4_0: 0.11, q4_1: 0.1, q4_K: 0.1 },
  };
  for (const [format, bound] of Object.entries(bounds) as [FormatName, number][])
    it(`${format}: the errors of its tensors are bounded`, async () => {
      const seen: QuantizedTensor[] = [];
      const out = `${folder}/stories-${format}.gguf`;
      const report = await quantize(stories, { format, out, onTensor: (tensor) => seen.push(tensor) });
      expect(report.tensors).toEqual(seen);
      for (const { relativeError, shape, to } of seen) {
        expect(relativeError).toBeLessThanOrEqual(shape.length === 1 ? 0 : bound);
        if (shape.length === 1) expect(to).toBe("f32");
      }
      const file = openGguf(new FileSource(out));
      expect([...file.tensors.values()].map(({ name, shape, format }) => [name, shape, format])).toEqual(
        seen.map(({ name, shape, to }) => [name, shape, to]),
      );
      file.close();
    });

  it("rows that no block fits get the substitutes of llama.cpp", async () => {
    const formatOf = async (format: FormatName): Promise<(name: string) => string | undefined> => {
      const { tensors } = await quantize(stories, { format, out: `${folder}/substitutes.gguf` });
      return (name) => tensors.find((tensor) => tensor.name === `${name}.weight`)?.to;
    };
    const q4 = await formatOf("q4_K");
    // Rows of 64 are no multiple of 256, rows of 172 are none of 32; the tied embedding is the output too.
    expect(["blk.0.attn_q", "blk.0.ffn_down", "token_embd"].map(q4)).toEqual(["q5_0", "f16", "q8_0"]);
    expect(["blk.0.attn_q", "blk.0.ffn_down"].map(await formatOf("q6_K"))).toEqual(["q8_0", "f16"]);
  });

  it("a GGUF file can be quantized once, and keeps its metadata", async () => {
    const [f32, again, q8, back] = ["f32", "again", "q8", "back"].map((name) => `${folder}/${name}.gguf`);
    await quantize(stories, { format: "f32", out: f32! });
    await quantize(stories, { format: "q8_0", out: again! });
    await quantize(f32!, { format: "q8_0", out: q8! });
    expect(readFileSync(q8!).equals(readFileSync(again!))).toBe(true);

    await expect(quantize(q8!, { format: "q4_0", out: back! })).rejects.toThrow(
      /q8_0 already.*original weights/,
    );
    expect(existsSync(back!)).toBe(false);
    const { tensors } = await quantize(q8!, { format: "f32", out: back! });
    expect(tensors.every(({ to, largestError }) => to === "f32" && largestError === 0)).toBe(true);
  });
});

describe.skipIf(!haveShared)("refusals name what is wrong", () => {
  const to = (format: string, out = `${folder}/refused.gguf`) => ({ format: format as FormatName, out });

  it("options", async () => {
    await expect(quantize(stories, to("q3_K"))).rejects.toThrow(/^format: "q3_K" is none of f32, f16/);
    await expect(quantize(stories, to("f16", `${folder}/x.bin`))).rejects.toThrow(/^out: .*\.gguf/);
    await expect(quantize(`${folder}/nothing`, to("f16"))).rejects.toThrow(/no such/);
    const own = `${folder}/own.gguf`;
    await quantize(stories, to("f16", own));
    await expect(quantize(own, to("f16", own))).rejects.toThrow(/^out: .*is read/);
  });

  it("configs that GGUF has no place for", async () => {
    const scaled = changed("llama", { rope_scaling: { rope_type: "dynamic", factor: 2 } });
    await expect(quantize(scaled, to("f16"))).rejects.toThrow(/"rope_scaling": GGUF has no place.*dynamic/);
    const activation = changed("qwen2", { hidden_act: "relu" });
    await expect(quantize(activation, to("f16"))).rejects.toThrow(/"hidden_act": is relu.* imply silu/);
    const window = changed("qwen2", { use_sliding_window: true, sliding_window: 4 });
    await expect(quantize(window, to("f16"))).rejects.toThrow(/"use_sliding_window"/);
    expect(existsSync(`${folder}/refused.gguf`)).toBe(false);
  });

  it("an abort leaves nothing", async () => {
    const abort = new AbortController();
    const onTensor = (): void => abort.abort();
    await expect(quantize(stories, { ...to("q8_0"), onTensor, signal: abort.signal })).rejects.toThrow(
      /abort/i,
    );
    expect(existsSync(`${folder}/refused.gguf`)).toBe(false);
  });
});

describe.skipIf(!haveShared)("i8_row, to a folder of safetensors", () => {
  const out = `${folder}/stories-i8`;

  it("holds codes and scales as compressed-tensors does, within half a step, and is opened again", async () => {
    const { tensors, bytesAfter, bytesBefore } = await quantize(stories, { format: "i8_row", out });
    const changed = tensors.filter(({ to }) => to === "i8_row");
    expect(changed.length).toBe(7 * 5);
    for (const { relativeError } of changed) expect(relativeError).toBeLessThan(0.015);
    for (const { to, relativeError } of tensors) if (to !== "i8_row") expect(relativeError).toBe(0);
    expect(bytesAfter).toBeLessThan(0.5 * bytesBefore);
    const config = JSON.parse(readFileSync(`${out}/config.json`, "utf8")) as { quantization_config: object };
    expect(config.quantization_config).toMatchObject({
      ...{ quant_method: "compressed-tensors", format: "int-quantized", ignore: ["model.embed_tokens"] },
      config_groups: { group_0: { weights: { num_bits: 8, symmetric: true, strategy: "channel" } } },
    });
    const device = new ReferenceDevice();
    const ids = [1, 403, 407, 261, 378];
    const original = await forwardAll(await load(stories, device), [ids]);
    const written = await forwardAll(await load(out, device), [ids]);
    expect(relativeError(written.logits, original.logits)).toBeLessThan(0.03);
    await device.close();
  });

  it("is as perplexed by the model's own stories as f32, within 1 %", async () => {
    const [exact, rounded] = [await open(stories), await open(out)];
    let [nll, other] = [0, 0];
    for (let seed = 0; seed < 8; seed++) {
      const options = { temperature: 1, seed, maxTokens: 250, ignoreEnd: true };
      const ids = [1, ...(await exact.generate([1], options).result()).tokens];
      nll += (await exact.score(ids)).nll;
      other += (await rounded.score(ids)).nll;
    }
    expect(Math.abs(Math.exp((other - nll) / 2000) - 1)).toBeLessThan(0.01);
    await exact.close();
    await rounded.close();
  });

  it("refuses GGUF, by its name, and a folder that holds something", async () => {
    await expect(quantize(stories, { format: "i8_row", out: `${folder}/i8.gguf` })).rejects.toThrow(
      /GGUF has no type for i8_row/,
    );
    await expect(quantize(stories, { format: "i8_row", out: stories })).rejects.toThrow(/is not empty/);
  });
});
