/**
 * llama.cpp opens what Fovea writes, and computes the same. Needs the packages of bench/ (npm run test:peers
 * installs them) and the shared checkpoints.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Child } from "../../bench/child.mjs";
import { type LanguageModel, open } from "../../src/index.ts";
import { quantize } from "../../src/tasks/quantize.ts";
import { relativeError } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { withVocabulary } from "../support/vocabulary.ts";

const havePeer = existsSync(
  fileURLToPath(new URL("../../bench/node_modules/node-llama-cpp", import.meta.url)),
);
if (!havePeer)
  console.warn("llama.cpp is not installed: its tests are skipped (node scripts/setup.mjs --peers)");

describe.skipIf(!haveShared || !havePeer)("llama.cpp", () => {
  const folder = temporaryFolder();
  let llama: Child;
  let model: LanguageModel | undefined;
  beforeAll(async () => {
    const { startChild } = await import("../../bench/child.mjs");
    llama = startChild("llama.mjs");
  });
  afterAll(async () => {
    await model?.close();
    await llama.stop();
  });

  /** Opens the file in both. */
  async function both(path: string, cacheFormat: "f32" | "f16"): Promise<LanguageModel> {
    const cacheType = cacheFormat === "f32" ? { cacheType: "F32" } : {};
    await llama.call("open", { path, threads: 1, context: 512, ...cacheType });
    await model?.close();
    model = await open(path, { cacheFormat });
    return model;
  }

  /** Largest error of Fovea's logits over all positions, relative to llama.cpp's. */
  async function logitsError(path: string, fovea: LanguageModel, ids: readonly number[]): Promise<number> {
    const expected = await llama.call<number[][]>("logits", { path, ids });
    const actual = await fovea.logits(ids);
    expect(actual).toHaveLength(ids.length);
    return Math.max(...actual.map((row, i) => relativeError(row, Float32Array.from(expected[i]!))));
  }

  describe("the story model", () => {
    const stories = shared("models/stories260K/hf");
    let golden: { readonly input_ids: readonly number[]; readonly greedy_ids: readonly number[] };
    beforeAll(() => {
      golden = JSON.parse(readFileSync(`${stories}/golden.json`, "utf8")) as typeof golden;
    });
    // Both engines round activations to 8 bits for block formats, but not in the same groups of sums.
    const bounds = { f32: 5e-3, f16: 5e-3, q8_0: 4e-2, q4_0: 6e-2 } as const;

    for (const [format, bound] of Object.entries(bounds) as [keyof typeof bounds, number][])
      it(`${format}: the same greedy tokens, close logits, the same tokenizer`, async () => {
        const path = `${folder}/stories-${format}.gguf`;
        await quantize(stories, { format, out: path });
        const fovea = await both(path, "f16");
        const count = 100;
        const expected = await llama.call<number[]>("generate", { path, ids: [1], count });
        const { tokens } = await fovea.generate([1], { temperature: 0, maxTokens: count }).result();
        expect(tokens).toEqual(expected);
        if (format.startsWith("f")) expect(tokens).toEqual(golden.greedy_ids.slice(1, count + 1));
        expect(await logitsError(path, fovea, golden.input_ids)).toBeLessThan(bound);
        for (const text of ["Once upon a time", "a “dog” — ünd 日本 x  y\n\nz", " b", "<s> c"])
          expect(fovea.tokenizer!.encode(text, { addSpecial: false, parseSpecial: false })).toEqual(
            await llama.call<number[]>("tokenize", { path, text }),
          );
      });
  });

  describe("random checkpoints of other architectures, at f32", () => {
    const exact = 5e-6;
    /** llama.cpp looks GELU up in a table of f16 values. */
    const table = 2e-3;
    const bounds = {
      ...{ llama: exact, llama_bias: exact, llama_linear: exact, llama_rope3: exact, mixtral: exact },
      ...{ qwen2: exact, qwen2_moe: exact, phi3: exact, gemma: table, gpt2: table, starcoder2: table },
    };
    const ids = [5, 9, 200, 3, 77, 31, 8, 120, 4, 99, 100, 7];

    for (const [name, bound] of Object.entries(bounds))
      it(`${name}: the same logits and greedy tokens`, async () => {
        const [plain, path] = [`${folder}/${name}-plain.gguf`, `${folder}/${name}.gguf`];
        await quantize(shared(`golden/${name}`), { format: "f32", out: plain });
        await withVocabulary(plain, path);
        const fovea = await both(path, "f32");
        expect(await logitsError(path, fovea, ids)).toBeLessThan(bound);
        const count = 16;
        const expected = await llama.call<number[]>("generate", { path, ids, count });
        const { tokens } = await fovea
          .generate(ids, { temperature: 0, maxTokens: count, ignoreEnd: true })
          .result();
        expect(tokens).toEqual(expected);
      });

    it("mistral: the same logits inside the window, which llama.cpp does not apply", async () => {
      const [plain, path] = [`${folder}/mistral-plain.gguf`, `${folder}/mistral.gguf`];
      await quantize(shared("golden/mistral"), { format: "f32", out: plain });
      await withVocabulary(plain, path);
      const fovea = await both(path, "f32");
      expect(await logitsError(path, fovea, ids.slice(0, 8))).toBeLessThan(exact);
    });
  });
});
