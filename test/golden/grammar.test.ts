/** Grammars over published vocabularies, and a trained model that writes by them. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tokenizer } from "../../src/checkpoint/tokenizer/index.ts";
import { GrammarCompiler } from "../../src/decode/grammar/index.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { acceptsTokens } from "../support/grammars.ts";
import { Random } from "../support/random.ts";
import { schemaCases, validator } from "../support/schemas.ts";
import { shared } from "../support/shared.ts";
import { tokenizers } from "../support/tokenizers.ts";

const NAMES = [
  "gpt-2 (vocab.json)",
  "llama-spm (tokenizer.model)",
  "llama-bpe (encoder.json)",
  "qwen2 (vocab.json)",
];

describe.skipIf(!existsSync(shared("tokenizers"))).each(NAMES)("%s", (name) => {
  let tokenizer: Tokenizer;
  let compiler: GrammarCompiler;
  beforeAll(() => {
    tokenizer = tokenizers[name]!();
    compiler = new GrammarCompiler(tokenizer);
  });

  /** The text's tokens as they would stand behind a line end. */
  const idsOf = (text: string): number[] => {
    const ids = tokenizer.encode(`\n${text}`, { addSpecial: false });
    const line = ids.findIndex((id) => tokenizer.tokenBytes(id).includes(10));
    // Where the line end is part of a token with more, the text's own bytes begin within it.
    return tokenizer.tokenBytes(ids[line]!).length === 1
      ? ids.slice(line + 1)
      : tokenizer.encode(text, { addSpecial: false });
  };

  it("takes and refuses the tokens of instances as it does their bytes", () => {
    for (const { schema, tests, description } of schemaCases.filter((_, i) => i % 4 === 0)) {
      const grammar = compiler.compile({ jsonSchema: schema });
      for (const { valid, data } of tests)
        for (const indent of [0, 2]) {
          const text = JSON.stringify(data, null, indent);
          expect(
            acceptsTokens(grammar, idsOf(text), tokenizer.vocabSize - 1),
            `${description}: ${text}`,
          ).toBe(valid);
        }
    }
  });

  it("masks exactly the tokens that may come next", () => {
    const schema = {
      type: "object",
      properties: {
        name: { type: "string", maxLength: 25 },
        born: { type: "string", format: "date" },
        tags: { type: "array", items: { enum: ["a", "b c"] } },
      },
      required: ["name", "born"],
    };
    const constraint = compiler.compile({ jsonSchema: schema }).start([]);
    const random = new Random(4);
    for (const id of idsOf(
      '{"name": "Zoë  \\n🌍 Ω", "born":\n"1999-12-31", "tags": ["a", "b c"], "more": [1.5e3]}',
    )) {
      if (random.next() < 0.6) {
        const mask = constraint.allowed();
        for (let token = 0; token < tokenizer.vocabSize; token++)
          if (((mask[token >> 5]! >>> (token & 31)) & 1) !== Number(constraint.allows(token)))
            expect.fail(`token ${token} (${tokenizer.token(token)}) after ${constraint.length} tokens`);
      }
      constraint.accept(id);
    }
    expect(constraint.canEnd).toBe(true);
  });
});

const stories = shared("models/stories260K/hf");

describe.skipIf(!existsSync(stories))("a model that tells stories", () => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await open(stories);
  });
  afterAll(() => model.close());

  it("writes JSON that Ajv finds valid, however hot", async () => {
    let finished = 0;
    for (const [i, { schema, description }] of schemaCases.entries()) {
      if (i % 3 !== 0) continue;
      const { text, finishReason } = await model
        .generate("Once upon a time", {
          grammar: { jsonSchema: schema, whitespace: "single" },
          temperature: 1.5,
          seed: i,
          maxTokens: 80,
        })
        .result();
      if (finishReason !== "stop") continue;
      finished++;
      expect(validator(schema)(JSON.parse(text)), `${description}: ${text}`).toBe(true);
    }
    expect(finished).toBeGreaterThan(10);
  });

  it("keeps to patterns and grammars with every sampler, and the same seed gives the same", async () => {
    const regex = "[A-Z][a-z]{2,8}( [a-z]{1,6}){1,4}\\.";
    for (const options of [
      { temperature: 0 },
      { topK: 3 },
      { topP: 0.5, temperature: 2 },
      { minP: 0.1 },
      { typicalP: 0.5 },
      { repetitionPenalty: 2, seed: 1, logitBias: { 5: 50 } },
    ]) {
      const once = await model
        .generate("Once", { grammar: { regex }, maxTokens: 120, seed: 3, ...options })
        .result();
      const again = await model
        .generate("Once", { grammar: { regex }, maxTokens: 120, seed: 3, ...options })
        .result();
      expect(once.tokens).toEqual(again.tokens);
      expect(once.finishReason).toBe("stop");
      expect(once.text).toMatch(new RegExp(`^${regex}$`));
    }
    const { text } = await model
      .generate("Once", { grammar: { gbnf: 'root ::= " yes" | " no"' }, temperature: 0 })
      .result();
    expect([" yes", " no"]).toContain(text);
  });

  it("refuses what cannot be kept", async () => {
    await expect(
      model.generate("Once", { grammar: { regex: "a" }, ignoreEnd: true }).result(),
    ).rejects.toThrow(/ignoreEnd/);
    await expect(model.generate("Once", { grammar: { regex: "(" } }).result()).rejects.toThrow(/^grammar: /);
  });
});
