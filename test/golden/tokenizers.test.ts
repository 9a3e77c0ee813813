/**
 * Tokenizers against ids that llama.cpp, Hugging Face and SentencePiece made for published vocabularies.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  openTokenizer,
  type Tokenizer,
  toGgufVocabulary,
  tokenizerFromGguf,
} from "../../src/checkpoint/tokenizer/index.ts";
import { haveShared, shared } from "../support/shared.ts";
import { type Case, folderOf, llamaCppCases, tokenizers } from "../support/tokenizers.ts";

const names = haveShared ? Object.keys(tokenizers) : [];
const opened = new Map<string, Tokenizer>();
const open = (name: string): Tokenizer => {
  const tokenizer = opened.get(name) ?? tokenizers[name]?.();
  if (tokenizer === undefined) throw new Error(`no vocabulary "${name}"`);
  opened.set(name, tokenizer);
  return tokenizer;
};
/** The name of llama.cpp's cases: what stands before the brackets. */
const casesOf = (name: string): Case[] => llamaCppCases(name.split(" ")[0] ?? "");
const texts = haveShared ? llamaCppCases("gpt-2").map(({ text }) => text) : [];

const plain = { addSpecial: false, parseSpecial: false };

describe.skipIf(!haveShared)("llama.cpp's 47 cases", () => {
  test.each(names.filter((name) => casesOf(name).length > 0))("%s", (name) => {
    const cases = casesOf(name);
    expect(cases).toHaveLength(47);
    for (const { text, ids } of cases)
      expect({ text, ids: open(name).encode(text, plain) }).toEqual({ text, ids });
  });
});

describe.skipIf(!haveShared)("other references", () => {
  test("stories260K, with BOS", () => {
    const cases: Case[] = JSON.parse(
      readFileSync(shared("models/stories260K/hf/tokenizer_cases.json"), "utf8"),
    );
    for (const { text, ids } of cases) expect(open("stories260K").encode(text)).toEqual(ids);
  });

  test("Llama 2 says the same from tokenizer.model and from GGUF", () => {
    for (const text of [...texts, "<s>[INST] Hi [/INST]</s>", "a\u0000b", "  \n\n x"])
      expect(open("llama-spm (GGUF)").encode(text)).toEqual(open("llama-spm (tokenizer.model)").encode(text));
  });

  test("T5 says the same from tokenizer.json and from spiece.model", () => {
    const model = openTokenizer(
      folderOf({ "spiece.model": "t5-small/spiece.model" }, { tokenizer_class: "T5Tokenizer" }),
    );
    const known = "translate English to German: The house is wonderful.";
    // transformers' documentation of T5 prints the ids of this text.
    const ids = [13959, 1566, 12, 2968, 10, 37, 629, 19, 1627, 5, 1];
    expect(open("t5-small (tokenizer.json)").encode(known)).toEqual(ids);
    expect(model?.encode(known)).toEqual(ids);
    for (const text of texts)
      expect({ text, ids: model?.encode(text) }).toEqual({
        text,
        ids: open("t5-small (tokenizer.json)").encode(text),
      });
  });

  test("BERT frames a text with [CLS] and [SEP]", () => {
    const bert = open("bert-bge (vocab.txt)");
    expect(bert.encode("Hello, world!")).toEqual([101, 7592, 1010, 2088, 999, 102]);
    expect(bert.decode([101, 7592, 1010, 2088, 999, 102], { skipSpecial: true })).toBe("hello, world!");
  });

  // Ids from the tests of transformers (T5, GPT-SW3).
  test.each([
    [
      "test_sentencepiece",
      [285, 46, 10, 170, 382],
      [8, 21, 84, 55, 24, 19, 7, 0, 602, 347, 347, 347, 3, 12, 66, 46, 72, 80, 6, 0, 4],
    ],
    [
      "test_sentencepiece_with_bytefallback",
      [465, 287, 265, 631, 842],
      [
        262, 272, 1525, 286, 271, 268, 60, 916, 633, 633, 633, 259, 266, 301, 287, 384, 367, 263, 198, 172,
        260,
      ],
    ],
  ])("%s.model", (name, first, second) => {
    const tokenizer = openTokenizer(
      folderOf({ "tokenizer.model": `sentencepiece-fixtures/${name}.model` }, {}),
    );
    expect(tokenizer?.encode("This is a test", plain)).toEqual(first);
    expect(tokenizer?.encode("I was born in 92000, and this is falsé.", plain)).toEqual(second);
  });

  test("whisper's words are GPT-2's bytes", () => {
    const whisper = open("whisper (vocab.json)");
    for (const text of texts) expect(whisper.decode(whisper.encode(text, plain))).toBe(text);
  });
});

describe.skipIf(!haveShared)("decoding", () => {
  /** Vocabularies that keep every text as it is. */
  const exact = names.filter((name) => !/^(bert|t5)/.test(name));

  test.each(exact)("%s: decode undoes encode", (name) => {
    for (const text of texts)
      expect(open(name).decode(open(name).encode(text, plain)).replace(/^ $/, text)).toBe(text);
  });

  test.each(names)("%s: a stream equals the whole", (name) => {
    const tokenizer = open(name);
    for (const text of [...texts, ...randomTexts(40)]) {
      for (const skipSpecial of [true, false]) {
        const ids = tokenizer.encode(text);
        // Broken off anywhere, too: ids that end within a character.
        for (const part of [ids, ids.slice(0, -1), ids.slice(1), ids.toReversed()]) {
          const stream = tokenizer.detokenizer({ skipSpecial });
          const whole = tokenizer.decode(part, { skipSpecial });
          const pieces = part.map((id) => stream.push(id));
          if (!whole.includes("\ufffd")) for (const piece of pieces) expect(piece).not.toContain("\ufffd");
          expect(pieces.join("") + stream.flush()).toBe(whole);
        }
      }
    }
  });

  test.each(names)("%s: tokenBytes are the parts of a decoded text", (name) => {
    const tokenizer = open(name);
    for (const text of texts) {
      const ids = tokenizer.encode(text, plain);
      const bytes = Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id)));
      expect(bytes.toString().trim()).toBe(tokenizer.decode(ids).trim());
    }
  });

  // Falcon has no tokens for some bytes.
  const byteLevel = exact.filter((name) => !/^(llama-spm|minicpm3|stories|falcon)/.test(name));
  test.each(byteLevel)("%s: random texts come back", (name) => {
    const tokenizer = open(name);
    for (const text of randomTexts(150)) {
      // Qwen2 normalizes to NFC first.
      const kept = name.startsWith("qwen2") ? text.normalize("NFC") : text;
      expect(tokenizer.decode(tokenizer.encode(text, plain))).toBe(kept);
    }
  });
});

describe.skipIf(!haveShared)("the GGUF form of a tokenizer", () => {
  test.each(names.filter((name) => !/^(bert|t5)/.test(name)))("%s: encodes the same", (name) => {
    const original = open(name);
    const entries = [...toGgufVocabulary(original)].map(([key, { value }]) => [key, value] as const);
    const again = tokenizerFromGguf("written.gguf", new Map(entries));
    for (const text of [...texts, ...randomTexts(20)]) {
      // GGUF does not say that a text is normalized first.
      const given = name.startsWith("qwen2") ? text.normalize("NFC") : text;
      expect({ text, ids: again?.encode(given) }).toEqual({ text, ids: original.encode(given) });
    }
    expect(again?.vocabSize).toBe(original.vocabSize);
    if (original.bos !== undefined) expect(again?.bos).toBe(original.bos);
    if (original.eos !== undefined) expect(again?.eos).toEqual(original.eos.slice(0, 1));
  });

  test.each(["bert-bge (vocab.txt)", "t5-small (tokenizer.json)"])("%s is refused by name", (name) => {
    if (haveShared) expect(() => toGgufVocabulary(open(name))).toThrow(/cannot hold a tokenizer of the kind/);
  });
});

/** Texts of all kinds of characters, the same in every run. */
function randomTexts(count: number): string[] {
  let state = 12345;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const ranges = [
    [0x20, 0x7e],
    [0x09, 0x0d],
    [0xa0, 0x24f],
    [0x300, 0x36f],
    [0x400, 0x4ff],
    [0x5d0, 0x6ff],
    [0x900, 0x97f],
    [0x2000, 0x206f],
    [0x3040, 0x30ff],
    [0x4e00, 0x9fff],
    [0xac00, 0xd7a3],
    [0xfe00, 0xffff],
    [0x1f300, 0x1faff],
    [0x20000, 0x2a6df],
    [0xe0000, 0xe007f],
  ] as const;
  return Array.from({ length: count }, () => {
    let text = "";
    for (let i = below(60); i >= 0; i--) {
      const [low, high] = ranges[below(ranges.length)] ?? [0, 0];
      text += String.fromCodePoint(low + below(high - low + 1));
    }
    return text;
  });
}
