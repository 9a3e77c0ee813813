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
import { writeRandomCheckpoint } from "../support/random-checkpoint.ts";
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

  /** The same logits and greedy tokens for a checkpoint without a tokenizer, written at f32. */
  async function compare(
    checkpoint: string,
    name: string,
    bound: number,
    prompt: readonly number[],
  ): Promise<void> {
    const [plain, path] = [`${folder}/${name}-plain.gguf`, `${folder}/${name}.gguf`];
    await quantize(checkpoint, { format: "f32", out: plain });
    await withVocabulary(plain, path);
    const fovea = await both(path, "f32");
    expect(await logitsError(path, fovea, prompt)).toBeLessThan(bound);
    const count = 16;
    const expected = await llama.call<number[]>("generate", { path, ids: prompt, count });
    const options = { temperature: 0, maxTokens: count, ignoreEnd: true };
    expect((await fovea.generate(prompt, options).result()).tokens).toEqual(expected);
  }

  const ids = [5, 9, 200, 3, 77, 31, 8, 120, 4, 99, 100, 7, 250, 13, 64, 33];
  const exact = 5e-6;
  /** llama.cpp looks GELU up in a table of f16 values. */
  const table = 2e-3;

  describe("golden checkpoints of other architectures", () => {
    const bounds = {
      ...{ llama: exact, llama_bias: exact, llama_linear: exact, llama_rope3: exact, mixtral: exact },
      ...{ qwen2: exact, qwen2_moe: exact, phi3: exact, gemma: table, gpt2: table, starcoder2: table },
    };
    for (const [name, bound] of Object.entries(bounds))
      it(`${name}: the same logits and greedy tokens`, () =>
        compare(shared(`golden/${name}`), name, bound, ids));

    it("mistral: the same logits inside the window, which llama.cpp does not apply", async () => {
      const [plain, path] = [`${folder}/mistral-plain.gguf`, `${folder}/mistral.gguf`];
      await quantize(shared("golden/mistral"), { format: "f32", out: plain });
      await withVocabulary(plain, path);
      const fovea = await both(path, "f32");
      expect(await logitsError(path, fovea, ids.slice(0, 8))).toBeLessThan(exact);
    });
  });

  describe("random checkpoints of architectures without a golden one", () => {
    const base = {
      ...{ vocab_size: 257, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2 },
      ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 128, rope_theta: 10_000 },
      ...{ rms_norm_eps: 1e-6, tie_word_embeddings: false },
    };
    const gemma = { head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 8, tie_word_embeddings: true };
    const llama3 = { rope_type: "llama3", low_freq_factor: 1, high_freq_factor: 4 };
    const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
    const factors = (step: number): number[] => Array.from({ length: 8 }, (_, i) => 1 + step * i);
    const cases: readonly [name: string, config: Record<string, unknown>, bound: number][] = [
      ["qwen3", { architectures: ["Qwen3ForCausalLM"], head_dim: 32 }, exact],
      ["olmo2", { architectures: ["Olmo2ForCausalLM"] }, exact],
      ["smollm3", { architectures: ["SmolLM3ForCausalLM"], num_hidden_layers: 5 }, exact],
      ["stablelm", { architectures: ["StableLmForCausalLM"], layer_norm_eps: 1e-5 }, exact],
      [
        "stablelm-2-12b",
        {
          architectures: ["StableLmForCausalLM"],
          ...{ layer_norm_eps: 1e-5, qk_layernorm: true, use_parallel_residual: true },
        },
        exact,
      ],
      [
        "gpt-neox",
        {
          architectures: ["GPTNeoXForCausalLM"],
          num_key_value_heads: 4,
          hidden_act: "gelu",
          layer_norm_eps: 1e-5,
        },
        table,
      ],
      [
        "gemma2",
        {
          architectures: ["Gemma2ForCausalLM"],
          ...gemma,
          ...{ num_hidden_layers: 4, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
        },
        table,
      ],
      ["gemma3", { architectures: ["Gemma3ForCausalLM"], ...gemma, num_hidden_layers: 7 }, table],
      ["qwen2-yarn", { architectures: ["Qwen2ForCausalLM"], rope_scaling: yarn }, exact],
      [
        "llama3",
        {
          architectures: ["LlamaForCausalLM"],
          rope_scaling: { ...llama3, factor: 8, original_max_position_embeddings: 32 },
        },
        exact,
      ],
      [
        "phi3-long",
        {
          architectures: ["Phi3ForCausalLM"],
          original_max_position_embeddings: 8,
          rope_scaling: { type: "longrope", short_factor: factors(0.5), long_factor: factors(2) },
        },
        exact,
      ],
    ];
    for (const [name, config, bound] of cases)
      it(`${name}: the same logits and greedy tokens`, async () => {
        const checkpoint = `${folder}/${name}`;
        const optional = (tensor: string): boolean =>
          tensor.endsWith(".bias")
            ? /gpt_neox|stablelm.*(q|k|v)_proj|qwen2.*(q|k|v)_proj|norm\.bias/.test(`${name} ${tensor}`)
            : !/(q|k)_layernorm\.weight$/.test(tensor);
        await writeRandomCheckpoint(checkpoint, { ...base, ...config }, optional);
        await compare(checkpoint, name, bound, ids);
      });
  });

  describe("every format, in rows that are whole blocks", () => {
    const config = {
      ...{ architectures: ["LlamaForCausalLM"], vocab_size: 512, hidden_size: 256, intermediate_size: 512 },
      ...{ num_hidden_layers: 2, num_attention_heads: 8, num_key_value_heads: 4, rms_norm_eps: 1e-5 },
      ...{ max_position_embeddings: 128, rope_theta: 10_000, tie_word_embeddings: false },
    };
    const rows = async (logits: Promise<readonly ArrayLike<number>[]>): Promise<Float32Array[]> =>
      (await logits).map((row) => Float32Array.from(row));

    // Both engines round activations, so that both differ from exact arithmetic on the same weights.
    const list = ["f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_K", "q5_K", "q6_K"] as const;
    for (const format of list)
      it(`${format}: no farther than llama.cpp from exact arithmetic`, async () => {
        const checkpoint = `${folder}/blocks`;
        await writeRandomCheckpoint(checkpoint, config, (name) => name === "lm_head.weight");
        const [plain, path] = [`${folder}/blocks-${format}-plain.gguf`, `${folder}/blocks-${format}.gguf`];
        const { tensors } = await quantize(checkpoint, { format, out: plain });
        expect(tensors.filter(({ shape, to }) => shape.length === 2 && to === format).length).toBeGreaterThan(
          14,
        );
        await withVocabulary(plain, path);
        const reference = await open(path, { device: "reference", cacheFormat: "f32" });
        const exactly = await reference.logits(ids);
        await reference.close();
        const fovea = await rows((await both(path, "f16")).logits(ids));
        const peer = await rows(llama.call<number[][]>("logits", { path, ids }));
        const error = (logits: readonly Float32Array[]): number =>
          Math.max(...logits.map((row, i) => relativeError(row, exactly[i]!)));
        expect(error(peer)).toBeLessThan(0.1);
        expect(error(fovea)).toBeLessThan(1.1 * error(peer));
      });
  });
});
