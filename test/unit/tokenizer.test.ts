/**
 * The parts of tokenizers that published vocabularies seldom show: flags of added tokens, ends of words,
 * named templates, what is found in a folder.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ParameterError } from "../../src/base/errors.ts";
import { openTokenizer, type Tokenizer, tokenizerFromGguf } from "../../src/checkpoint/tokenizer/index.ts";

const folder = mkdtempSync(join(tmpdir(), "fovea-tokenizer-"));
afterAll(() => rmSync(folder, { recursive: true }));

function open(files: Record<string, unknown>): Tokenizer {
  const path = mkdtempSync(join(folder, "case-"));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
  const tokenizer = openTokenizer(path);
  if (tokenizer === undefined) throw new Error("no tokenizer");
  return tokenizer;
}

const vocab = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));
const characters = (changes: object = {}, model: object = {}) => ({
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
  model: { type: "BPE", vocab: vocab([..." ab<>x", "ab"]), merges: ["a b"], ...model },
  ...changes,
});

describe("added tokens", () => {
  const added = (flags: object) =>
    characters({ added_tokens: [{ id: 7, content: "<x>", special: true, ...flags }] });
  const tokens = (tokenizer: Tokenizer, text: string) =>
    tokenizer.encode(text).map((id) => tokenizer.token(id));

  test("stand in texts, or are text themselves", () => {
    const tokenizer = open({ "tokenizer.json": added({}) });
    expect(tokens(tokenizer, "ab <x> a")).toEqual(["ab", " ", "<x>", " ", "a"]);
    expect(tokenizer.encode("<x>", { parseSpecial: false })).toEqual([3, 5, 4]);
    expect(tokenizer.isSpecial(7)).toBe(true);
    expect(tokenizer.decode([6, 7, 1], { skipSpecial: true })).toBe("aba");
    expect(tokenizer.decode([6, 7, 1])).toBe("ab<x>a");
  });

  test("take white space along", () => {
    expect(tokens(open({ "tokenizer.json": added({ lstrip: true }) }), "a  <x>  a")).toEqual([
      "a",
      "<x>",
      " ",
      " ",
      "a",
    ]);
    expect(tokens(open({ "tokenizer.json": added({ rstrip: true }) }), "a  <x>  a")).toEqual([
      "a",
      " ",
      " ",
      "<x>",
      "a",
    ]);
  });

  test("stand alone", () => {
    const tokenizer = open({
      "tokenizer.json": characters({ added_tokens: [{ id: 7, content: "aa", single_word: true }] }),
    });
    expect(tokenizer.encode("aa baa aab aa")).toEqual([7, 0, 2, 1, 1, 0, 1, 6, 0, 7]);
  });

  test("the longest is found", () => {
    const two = [
      { id: 7, content: "<x", special: true },
      { id: 8, content: "<x>a", special: true },
    ];
    expect(open({ "tokenizer.json": characters({ added_tokens: two }) }).encode("<x>ab<x>b")).toEqual([
      8, 2, 7, 4, 2,
    ]);
  });
});

describe("byte-pair models", () => {
  test("a suffix ends words, and is no space at the end of a text", () => {
    const tokenizer = open({
      "tokenizer.json": characters(
        { pre_tokenizer: { type: "WhitespaceSplit" }, decoder: { type: "BPEDecoder", suffix: "</w>" } },
        {
          vocab: vocab(["a", "b", "b</w>", "ab</w>", "a</w>"]),
          merges: ["a b</w>"],
          end_of_word_suffix: "</w>",
        },
      ),
    });
    const ids = tokenizer.encode("ab aab a");
    expect(ids).toEqual([3, 0, 3, 4]);
    expect(tokenizer.decode(ids)).toBe("ab aab a");
    const stream = tokenizer.detokenizer();
    expect(ids.map((id) => stream.push(id))).toEqual(["ab", " a", "ab", " a"]);
    expect(stream.flush()).toBe("");
  });

  test("unknown characters: bytes, one unknown token, or nothing", () => {
    const bytes = Array.from(
      { length: 256 },
      (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`,
    );
    const decoder = { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] };
    const fallback = open({
      "tokenizer.json": characters(
        { decoder },
        { vocab: vocab(["a", ...bytes]), merges: [], byte_fallback: true },
      ),
    });
    expect(fallback.encode("é")).toEqual([1 + 0xc3, 1 + 0xa9]);
    expect(fallback.decode([1 + 0xc3, 1 + 0xa9, 0])).toBe("éa");
    const stream = fallback.detokenizer();
    expect([stream.push(1 + 0xc3), stream.push(1 + 0xa9), stream.push(1 + 0xf0), stream.flush()]).toEqual([
      "",
      "é",
      "",
      "\ufffd",
    ]);
    const unknown = { vocab: vocab(["a", "?"]), merges: [], unk_token: "?" };
    expect(
      open({ "tokenizer.json": characters({}, { ...unknown, fuse_unk: true }) }).encode("axyaz"),
    ).toEqual([0, 1, 0, 1]);
    expect(open({ "tokenizer.json": characters({}, unknown) }).encode("axya")).toEqual([0, 1, 1, 0]);
    expect(open({ "tokenizer.json": characters() }).encode("a?b")).toEqual([1, 2]);
  });

  test("half a surrogate pair encodes as U+FFFD", () => {
    const tokenizer = open({
      "tokenizer.json": characters({}, { vocab: vocab(["a", "\ufffd"]), merges: [] }),
    });
    expect(tokenizer.encode("a\ud83da")).toEqual([0, 1, 0]);
  });

  test("merges may be written in pairs, with escapes", () => {
    const text = `{"model": {"merges": [["\\u0061", "b"], ["ab", "\\""]], "vocab": {"\\u0061": 0, "b": 1, "ab": 2, "\\"": 3, "ab\\"": 4}}, "decoder": null}`;
    const tokenizer = open({ "tokenizer.json": text });
    expect(tokenizer.encode(`ab"ab`)).toEqual([4, 2]);
    expect(tokenizer.token(4)).toBe(`ab"`);
    expect(tokenizer.id(`"`)).toBe(3);
  });
});

describe("configuration files", () => {
  test("ends of texts come from both", () => {
    const tokenizer = open({
      "tokenizer.json": characters(),
      "tokenizer_config.json": { bos_token: "<", eos_token: { content: ">" } },
      "generation_config.json": { eos_token_id: [4, 6] },
    });
    expect(tokenizer.bos).toBe(3);
    expect(tokenizer.eos).toEqual([4, 6]);
  });

  test("a template for tools is used when there are tools", () => {
    const chat_template = [
      { name: "default", template: "plain {{ messages[0].content }}{{ eos_token }}" },
      { name: "tool_use", template: "tools {{ tools[0].name }}" },
    ];
    const { chatTemplate } = open({
      "tokenizer.json": characters(),
      "tokenizer_config.json": { chat_template, eos_token: ">" },
    });
    const messages = [{ role: "user", content: "hi" }];
    expect(chatTemplate?.render(messages)).toBe("plain hi>");
    expect(chatTemplate?.render(messages, { tools: [{ name: "f" }] })).toBe("tools f");
  });

  test("chat_template.jinja goes before the configuration", () => {
    const { chatTemplate } = open({
      "tokenizer.json": characters(),
      "tokenizer_config.json": { chat_template: "old" },
      "chat_template.jinja": "new, {{ strftime_now('%d %b %Y') }}",
    });
    expect(chatTemplate?.render([], { now: new Date(2024, 6, 5) })).toBe("new, 05 Jul 2024");
  });

  test("a folder without a tokenizer has none", () => {
    expect(openTokenizer(folder)).toBeUndefined();
    expect(tokenizerFromGguf("model.gguf", new Map())).toBeUndefined();
  });
});

test("what is not an id is refused", () => {
  const tokenizer = open({ "tokenizer.json": characters() });
  expect(() => tokenizer.decode([1.5])).toThrow(ParameterError);
  // Models have rows for which there are no tokens.
  expect(tokenizer.decode([1, 500, 2])).toBe("ab");
  expect(tokenizer.tokenBytes(500)).toHaveLength(0);
});

test("GGUF refuses a pre-tokenizer that it does not know, by name", () => {
  const metadata = new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "martian"],
    ["tokenizer.ggml.tokens", ["a"]],
    ["tokenizer.ggml.merges", []],
  ]);
  expect(() => tokenizerFromGguf("model.gguf", metadata)).toThrow(/tokenizer\.ggml\.pre.*"martian"/);
});
