/**
 * Broken and malicious tokenizer files: each opens right or is refused by name, without a crash, a hang or
 * a large allocation. The mutations are the same in every run.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CheckpointError, FoveaError, ParameterError } from "../../src/base/errors.ts";
import {
  ChatTemplate,
  openTokenizer,
  type Tokenizer,
  tokenizerFromGguf,
} from "../../src/checkpoint/tokenizer/index.ts";

const folder = mkdtempSync(join(tmpdir(), "fovea-hostile-"));
afterAll(() => rmSync(folder, { recursive: true }));

function openFiles(files: Record<string, string | Uint8Array>): Tokenizer | undefined {
  const path = mkdtempSync(join(folder, "case-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return openTokenizer(path);
}

/** A little of everything that a tokenizer.json can hold. */
const letters = [..."abcdefgh ĠĊ", "▁", "<0x0A>", "ab", "abc", "Ġa", "▁a", "##b", "[UNK]", "<s>", "</s>"];
const byteBpe = {
  version: "1.0",
  added_tokens: [
    {
      id: 19,
      content: "<s>",
      special: true,
      lstrip: true,
      rstrip: false,
      normalized: false,
      single_word: false,
    },
    { id: 20, content: "</s>", special: true, normalized: false, rstrip: true },
    { id: 21, content: "extra", special: false, normalized: true, single_word: true },
  ],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "NFC" },
      { type: "Replace", pattern: { Regex: "x+" }, content: "a" },
      { type: "Lowercase" },
    ],
  },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: "\\p{L}+|\\s+(?!\\S)" }, behavior: "Isolated", invert: false },
      { type: "Digits", individual_digits: true },
      { type: "Punctuation", behavior: "Contiguous" },
      { type: "ByteLevel", add_prefix_space: false, use_regex: false },
    ],
  },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [19], tokens: ["<s>"] } },
  },
  decoder: { type: "ByteLevel" },
  model: {
    type: "BPE",
    unk_token: "[UNK]",
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(letters.map((token, id) => [token, id])),
    merges: ["a b", ["ab", "c"], "Ġ a"],
  },
};
const spaceBpe = {
  ...byteBpe,
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: { ...byteBpe.model, byte_fallback: true, fuse_unk: true, merges: ["a b", "▁ a"] },
};
const unigram = {
  ...byteBpe,
  normalizer: { type: "Precompiled", precompiled_charsmap: "BAAAAAAAAABhAA==" },
  pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "Metaspace" }] },
  decoder: { type: "Metaspace" },
  model: { type: "Unigram", unk_id: 0, vocab: letters.map((token, id) => [token, -id]) },
};
const wordPiece = {
  ...byteBpe,
  normalizer: { type: "BertNormalizer", lowercase: true },
  pre_tokenizer: { type: "BertPreTokenizer" },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    vocab: byteBpe.model.vocab,
  },
};
const configuration = {
  tokenizer_class: "LlamaTokenizerFast",
  bos_token: { content: "<s>", special: true },
  eos_token: "</s>",
  add_bos_token: true,
  add_eos_token: false,
  additional_special_tokens: ["<s>"],
  added_tokens_decoder: { "22": { content: "more", special: false } },
  chat_template:
    "{% for message in messages %}{{ message.role }}: {{ message.content | trim }}\n{% endfor %}",
};
const ggufEntries: [string, unknown][] = [
  ["tokenizer.ggml.model", "llama"],
  ["tokenizer.ggml.pre", "llama-bpe"],
  ["tokenizer.ggml.tokens", letters],
  ["tokenizer.ggml.scores", letters.map((_, id) => -id)],
  ["tokenizer.ggml.token_type", letters.map((_, id) => (id >= 18 ? 3 : 1))],
  ["tokenizer.ggml.merges", ["a b", "Ġ a"]],
  ["tokenizer.ggml.bos_token_id", 19],
  ["tokenizer.ggml.eos_token_id", 20],
  ["tokenizer.ggml.unknown_token_id", 18],
  ["tokenizer.ggml.add_bos_token", true],
  ["tokenizer.ggml.add_space_prefix", true],
  ["tokenizer.ggml.precompiled_charsmap", [4, 0, 0, 0, 1, 2, 3, 4, 0]],
  ["tokenizer.chat_template", configuration.chat_template],
];

/** Counts on a fixed sequence, so that a failure can be repeated from its number. */
function dice(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const oddities: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  4e9,
  2 ** 53,
  1e308,
  "",
  " ",
  "a",
  "▁",
  "\ud800",
  "(a+)+$",
  "(",
  "[^",
  "\\p{Nonsense}",
  "__proto__",
  "constructor",
  "x".repeat(5000),
  [],
  {},
  [[]],
  [null],
  { type: "Sequence" },
  { type: "Nonsense" },
  { type: "ByteLevel" },
  { type: "Fuse" },
  { type: "Metaspace" },
  { content: "<s>" },
];

/** Changes one place of a JSON value. */
function mutateJson(value: unknown, roll: (n: number) => number, depth = 0): unknown {
  const stop = roll(6) === 0 && depth > 0;
  if (stop || typeof value !== "object" || value === null) {
    if (typeof value === "number" && roll(2) === 0) return value + roll(7) - 3;
    if (typeof value === "string" && roll(2) === 0)
      return value.slice(roll(3)) + String.fromCharCode(roll(0x3000));
    return oddities[roll(oddities.length)];
  }
  if (Array.isArray(value)) {
    const copy = [...value];
    const at = roll(copy.length + 1);
    const change = roll(6);
    if (change === 0) copy.splice(at, 1);
    else if (change === 1) copy.splice(at, 0, oddities[roll(oddities.length)]);
    else if (at < copy.length) copy[at] = mutateJson(copy[at], roll, depth + 1);
    return copy;
  }
  const copy: Record<string, unknown> = { ...value };
  const names = Object.keys(copy);
  const name = names[roll(names.length)];
  if (name === undefined) return { surprise: oddities[roll(oddities.length)] };
  if (roll(6) === 0) delete copy[name];
  else if (roll(8) === 0) {
    copy[`${name}x`] = copy[name];
    delete copy[name];
  } else copy[name] = mutateJson(copy[name], roll, depth + 1);
  return copy;
}

function mutateBytes(text: string, roll: (n: number) => number): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(text));
  const at = roll(bytes.length);
  if (roll(3) === 0) return bytes.subarray(0, at);
  bytes[at] = roll(256);
  return bytes;
}

/** Milliseconds. What is stopped takes five seconds; what hangs, longer than any machine stalls. */
const patience = 60_000;

/** Opens, and uses what was opened: everything that is thrown must be ours, and soon. */
function expectOrderly(open: () => Tokenizer | undefined, what: string): boolean {
  const start = performance.now();
  let opened = false;
  try {
    const tokenizer = open();
    opened = tokenizer !== undefined;
    if (tokenizer !== undefined) {
      const ids = tokenizer.encode("abc <s> ab\u00e9 extra 123 \ud83d\ude80");
      for (const id of ids)
        expect(Number.isInteger(id) && id >= 0 && id < 1e6, `${what}: id ${id}`).toBe(true);
      const stream = tokenizer.detokenizer();
      const whole = tokenizer.decode(ids);
      expect(ids.map((id) => stream.push(id)).join("") + stream.flush(), what).toBe(whole);
      expect(tokenizer.vocabSize).toBeLessThan(1e6);
      tokenizer.chatTemplate?.render([{ role: "user", content: "hi" }]);
    }
  } catch (error) {
    if (!(error instanceof FoveaError)) throw new Error(`${what}: ${String(error)}`, { cause: error });
    if (error instanceof CheckpointError) expect(error.field ?? error.file, what).not.toBe("");
  }
  expect(performance.now() - start, what).toBeLessThan(patience);
  return opened;
}

describe("mutated tokenizer files", () => {
  const kinds = { byteBpe, spaceBpe, unigram, wordPiece };

  test.each(Object.entries(kinds))("%s: as it is, it opens", (_name, json) => {
    const tokenizer = openFiles({
      "tokenizer.json": JSON.stringify(json),
      "tokenizer_config.json": JSON.stringify(configuration),
    });
    expect(tokenizer?.encode("ab <s>").length).toBeGreaterThan(1);
    expect(tokenizer?.chatTemplate?.render([{ role: "user", content: " hi " }])).toBe("user: hi\n");
  });

  test.each(Object.entries(kinds))("%s: 350 changed values, 150 changed bytes", (name, json) => {
    let opened = 0;
    for (let seed = 0; seed < 500; seed++) {
      const roll = dice(seed * 7919 + name.length);
      let changed: unknown = json;
      for (let times = roll(3); times >= 0; times--) changed = mutateJson(changed, roll);
      const content = seed < 350 ? JSON.stringify(changed) : mutateBytes(JSON.stringify(json), roll);
      opened += Number(expectOrderly(() => openFiles({ "tokenizer.json": content }), `${name} ${seed}`));
    }
    // The changes are small, so many of them do no harm: both ways out are seen.
    expect(opened).toBeGreaterThan(20);
    expect(opened).toBeLessThan(480);
  });

  test("300 changed configurations", () => {
    for (let seed = 0; seed < 300; seed++) {
      const roll = dice(seed * 104729);
      const config = JSON.stringify(mutateJson(mutateJson(configuration, roll), roll));
      const files = { "tokenizer.json": JSON.stringify(byteBpe), "tokenizer_config.json": config };
      expectOrderly(() => openFiles(files), `config ${seed}: ${config}`);
    }
  });

  test("800 changed GGUF vocabularies", () => {
    for (let seed = 0; seed < 800; seed++) {
      const roll = dice(seed * 15485863);
      const metadata = new Map(ggufEntries);
      metadata.set("tokenizer.ggml.model", ["llama", "gpt2", "t5", "bert"][seed % 4]);
      if (seed % 3 > 0) metadata.delete("tokenizer.ggml.precompiled_charsmap");
      for (let times = roll(3); times >= 0; times--) {
        const [key, value] = ggufEntries[roll(ggufEntries.length)] as [string, unknown];
        if (roll(8) === 0) metadata.delete(key);
        else metadata.set(key, roll(5) === 0 ? 2n ** 60n : mutateJson(value, roll, 1));
      }
      expectOrderly(() => tokenizerFromGguf("changed.gguf", metadata), `gguf ${seed}`);
    }
  });

  test("300 changed SentencePiece models", () => {
    const text = (number: number, bytes: Uint8Array): number[] => [number * 8 + 2, bytes.length, ...bytes];
    const pieces = letters.flatMap((token, id) =>
      text(1, Uint8Array.from([...text(1, Buffer.from(token)), 0x15, 0, 0, id, 0xc0, 0x18, id < 18 ? 1 : 3])),
    );
    const model = Uint8Array.from([
      ...pieces,
      ...text(2, Uint8Array.of(0x18, 2)),
      ...text(3, Uint8Array.of(0x18, 1)),
    ]);
    expect(openFiles({ "tokenizer.model": model })?.encode("ab", { addSpecial: false })).toEqual([11, 13]);
    for (let seed = 0; seed < 300; seed++) {
      const roll = dice(seed * 31 + 5);
      const bytes = Uint8Array.from(model);
      for (let times = roll(4); times >= 0; times--) bytes[roll(bytes.length)] = roll(256);
      const content = roll(3) === 0 ? bytes.subarray(0, roll(bytes.length)) : bytes;
      expectOrderly(() => openFiles({ "tokenizer.model": content }), `model ${seed}`);
    }
  });
});

describe("malice", () => {
  const withModel = (changes: object, rest: object = {}) => ({
    "tokenizer.json": JSON.stringify({ ...byteBpe, ...rest, model: { ...byteBpe.model, ...changes } }),
  });

  test("an id of four thousand million makes no table of that size", () => {
    const before = process.memoryUsage().rss;
    expect(() => openFiles(withModel({ vocab: { a: 4e9 } }))).toThrow(CheckpointError);
    expect(() => openFiles(withModel({}, { added_tokens: [{ id: 4e9, content: "x" }] }))).toThrow(
      /added_tokens\[0\]/,
    );
    const config = { added_tokens_decoder: { "400000000": { content: "x" } } };
    const files = { ...withModel({}), "tokenizer_config.json": JSON.stringify(config) };
    expect(() => openFiles(files)).toThrow(/added_tokens_decoder/);
    expect(process.memoryUsage().rss - before).toBeLessThan(64e6);
  });

  test("a pattern that never ends is stopped", () => {
    const split = (Regex: string) => ({
      pre_tokenizer: { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
    });
    const tokenizer = openFiles(withModel({}, split("(a+)+$")));
    expect(tokenizer?.encode("aaaa").length).toBeGreaterThan(0);
    const start = performance.now();
    expect(() => tokenizer?.encode(`${"a".repeat(60)}!`)).toThrow(/pattern took longer/);
    expect(performance.now() - start).toBeLessThan(patience);
  });

  test("nesting without end is refused", () => {
    let normalizer: unknown = { type: "NFC" };
    for (let i = 0; i < 50; i++) normalizer = { type: "Sequence", normalizers: [normalizer] };
    expect(() => openFiles(withModel({}, { normalizer }))).toThrow(CheckpointError);
    const deep = "[".repeat(1e6);
    expect(() => openFiles({ "tokenizer.json": deep })).toThrow(CheckpointError);
  });

  test("merges that make no token are refused when they are met", () => {
    const tokenizer = openFiles(withModel({ merges: ["c d"] }));
    expect(() => tokenizer?.encode("cd")).toThrow(/makes a token that the vocabulary lacks/);
  });

  test("one word of a million letters is merged in good time", () => {
    const tokenizer = openFiles(withModel({}, { pre_tokenizer: { type: "ByteLevel", use_regex: false } }));
    const start = performance.now();
    expect(tokenizer?.encode("abcab".repeat(200_000)).length).toBeGreaterThan(300_000);
    expect(performance.now() - start).toBeLessThan(patience);
  });
});

describe("malicious chat templates", () => {
  const render = (source: string) => () =>
    new ChatTemplate(source, {}, "config.json", "chat_template").render([]);

  test.each([
    ["a huge range", "{% for i in range(10**9) %}x{% endfor %}"],
    ["nested loops", "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"],
    [
      "doubling text",
      "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    ],
    [
      "doubling lists",
      "{% set n = namespace(s=[1,2]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    ],
    ["a huge indentation", "{{ 'a\\nb' | indent(500000000) }}"],
    ["a huge indentation by name", "{{ {'a': 1} | tojson(indent=500000000) }}"],
    ["a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"],
    ["deep brackets", `{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`],
    ["no Jinja", "{% for %}{{"],
    ["an unknown filter", "{{ [1] | nonsense }}"],
    ["a megabyte", "x".repeat(2 ** 20 + 1)],
  ])("%s is refused", (_name, source) => {
    const start = performance.now();
    expect(render(source)).toThrow(CheckpointError);
    expect(performance.now() - start).toBeLessThan(patience);
  });

  test("a template may refuse messages", () => {
    expect(render("{{ raise_exception('roles must alternate') }}")).toThrow(ParameterError);
    expect(render("{{ raise_exception('roles must alternate') }}")).toThrow(
      /messages: .*roles must alternate/,
    );
  });
});
