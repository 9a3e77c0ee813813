/** The trained story model, through the library's face: its greedy text, its tokenizer, its scores. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LanguageModel, open } from "../../src/index.ts";
import { haveShared, shared } from "../support/shared.ts";

const folder = shared("models/stories260K/hf");

interface Golden {
  readonly input_ids: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
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
});
