/** The trained story model, through the library's face: its greedy text, its tokenizer, its scores. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { logprobOf } from "../../src/decode/logprobs.ts";
import { type LanguageModel, open } from "../../src/index.ts";
import { relativeError } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";

const folder = shared("models/stories260K/hf");

interface Golden {
  readonly input_ids: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  readonly last_logits: readonly number[];
  readonly argmax: readonly number[];
  readonly mean_nll: number;
}

describe.skipIf(!haveShared)("stories260K", () => {
  let model: LanguageModel;
  let golden: Golden;
  beforeAll(async () => {
    golden = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as Golden;
    model = await open(folder);
  });
  afterAll(() => model.close());

  it("writes its golden text byte for byte", async () => {
    const prompt = golden.greedy_ids[0] === 1 ? [1] : [];
    const maxTokens = golden.greedy_ids.length - prompt.length;
    const result = await model.generate(prompt, { maxTokens, temperature: 0 }).result();
    expect([...prompt, ...result.tokens]).toEqual(golden.greedy_ids);
    expect(result.text).toBe(golden.greedy_text);
  });

  it("keeps the space between a prompt and its continuation", async () => {
    const prompt = golden.greedy_text.slice(0, golden.greedy_text.indexOf(" girl"));
    const { text } = await model.generate(prompt, { maxTokens: 40, temperature: 0 }).result();
    expect(text.startsWith(" girl named Lily.")).toBe(true);
  });

  it("has the golden logits and likelihood", async () => {
    const rows = await model.logits(golden.input_ids);
    expect(rows.map((row) => row.indexOf(Math.max(...row)))).toEqual(golden.argmax);
    expect(relativeError(rows.at(-1)!, Float32Array.from(golden.last_logits))).toBeLessThan(2e-5);
    const scored = await model.logprobs(golden.input_ids, { top: 2 });
    expect(scored.map(({ token }) => token)).toEqual(golden.input_ids.slice(1));
    expect(scored.map(({ top }) => top[0]!.token)).toEqual(golden.argmax.slice(0, -1));
    expect(-scored.reduce((sum, { logprob }) => sum + logprob, 0) / scored.length).toBeCloseTo(
      golden.mean_nll,
      5,
    );
    const { tokens, nll, perplexity } = await model.score(golden.input_ids);
    expect(tokens).toBe(golden.input_ids.length - 1);
    expect(nll / tokens).toBeCloseTo(golden.mean_nll, 5);
    expect(perplexity).toBeCloseTo(Math.exp(golden.mean_nll), 4);
  });

  it("counts each token once when windows overlap", async () => {
    const { input_ids: ids } = golden;
    const loss = (rows: Float32Array[], row: number, target: number): number =>
      -logprobOf(rows[row]!, target);
    const first = await model.logits(ids.slice(0, 62));
    const second = await model.logits(ids.slice(31));
    let expected = 0;
    for (let i = 1; i <= 62; i++) expected += loss(first, i - 1, ids[i]!);
    for (let i = 63; i < ids.length; i++) expected += loss(second, i - 1 - 31, ids[i]!);
    const { tokens, nll } = await model.score(ids, { window: 62 });
    expect(tokens).toBe(ids.length - 1);
    expect(nll).toBeCloseTo(expected, 9);
  });

  it("streams the same text, alone and beside others, sampled with a seed", async () => {
    const options = { maxTokens: 40, temperature: 0.9, topP: 0.95, seed: 7 };
    const alone = await model.generate("Once upon a time", options).result();
    const text = async (): Promise<string> => {
      let all = "";
      for await (const piece of model.generate("Once upon a time", options)) all += piece;
      return all;
    };
    const others = [model.generate("The dog", { ...options, seed: 8 }).result(), text(), text()] as const;
    const [, a, b] = await Promise.all(others);
    expect([a, b]).toEqual([alone.text, alone.text]);
    expect((await model.generate("Once upon a time", { ...options, seed: 8 }).result()).text).not.toBe(
      alone.text,
    );
  });

  it("stops at a text, keeps it out, and says so", async () => {
    const result = await model
      .generate("Once upon a time", { maxTokens: 60, temperature: 0, stop: [" named", "zzz"] })
      .result();
    expect(result.text).toBe(", there was a little girl");
    expect(result).toMatchObject({ finishReason: "stop", stop: " named" });
  });

  it("reports log-probabilities of its own distribution", async () => {
    const { logprobs = [] } = await model
      .generate("Once", { maxTokens: 3, temperature: 0, logprobs: 2 })
      .result();
    expect(logprobs).toHaveLength(3);
    for (const { token, logprob, top } of logprobs) expect(top?.[0]).toEqual({ token, logprob });
  });

  it("ends at an abort with what it has, and loses none of it", async () => {
    const abort = new AbortController();
    // The greedy text begins ", there": the comma may begin the stop text and is held back until the abort.
    const options = { maxTokens: 400, temperature: 0, stop: ", zzz", signal: abort.signal };
    const generation = model.generate("Once upon a time", options);
    for await (const _ of generation.events()) {
      abort.abort();
      break;
    }
    const { finishReason, tokens, text } = await generation.result();
    expect(finishReason).toBe("abort");
    expect(tokens).toHaveLength(1);
    expect(text).toBe(",");
  });

  it("refuses by name what it cannot do", async () => {
    const refused = async (prompt: string | number[], options: object): Promise<string> => {
      try {
        await model.generate(prompt, options).result();
        return "accepted";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(await refused("a", { maxTokens: 0 })).toMatch(/^maxTokens/);
    expect(await refused("a", { maxTokens: 600 })).toMatch(/^maxTokens: .*600.*512/);
    expect(await refused("a", { topQ: 1 })).toMatch(/^topQ/);
    expect(await refused([], {})).toMatch(/^prompt/);
    expect(await refused([512], { maxTokens: 1 })).toMatch(/^ids: 512/);
    expect(await refused("a ".repeat(600), {})).toMatch(/^prompt: .*512/);
    const misspelt: object = { thread: 2 };
    await expect(open(folder, misspelt)).rejects.toThrow(/^thread: no such option/);
    await expect(open(folder, { packedCache: "" })).rejects.toThrow(/^packedCache: must be/);
    await expect(model.chat([{ role: "user", content: "hi" }]).result()).rejects.toThrow(/no chat template/);
  });
});
