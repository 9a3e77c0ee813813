/** Calls of tools: found in streams however they are cut, and forced by grammars. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { AnswerParser, readAnswer } from "../../../src/decode/answer.ts";
import { GrammarCompiler } from "../../../src/decode/grammar/index.ts";
import { behindReasoning, reasoningOf } from "../../../src/decode/reasoning.ts";
import type { Mark, ToolDefinition, ToolDialect } from "../../../src/decode/tools/dialect.ts";
import { dialectOf } from "../../../src/decode/tools/known.ts";
import { type ToolEvent, ToolParser } from "../../../src/decode/tools/parser.ts";
import { accepts, sample, smallVocabulary } from "../../support/grammars.ts";
import { Random } from "../../support/random.ts";
import { validator } from "../../support/schemas.ts";
import { shared } from "../../support/shared.ts";

const hermes = dialectOf("{{ tools }} <tool_call>")!;
const llama3 = dialectOf("{{ tools }} <|python_tag|>")!;
const plain = dialectOf("{% for tool in tools %}")!;
const mistral = dialectOf('{{ tools }} "[TOOL_CALLS] ["')!;
const mistralNamed = dialectOf('{{ tools }} "[TOOL_CALLS]" "[CALL_ID]" "[ARGS]"')!;
const deepseek3 = dialectOf("<｜tool▁calls▁begin｜> '```json'")!;
const deepseek31 = dialectOf("{{ tools }} <｜tool▁calls▁begin｜>")!;
const functionGemma = dialectOf("{{ tools }} <start_function_call>")!;
const gemma4 = dialectOf("{{ tools }} <|tool_call>")!;
const qwenCoder = dialectOf("{{ tools }} <tool_call> <function=a> <parameter=b>")!;
const definitions: readonly ToolDefinition[] = [
  {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "array" } } },
  },
  {
    name: "add",
    parameters: {
      type: "object",
      properties: {
        a: { type: "integer" },
        b: { type: "number" },
        note: { anyOf: [{ type: "string" }, { type: "null" }] },
      },
    },
  },
];

/** Everything put together, from pieces. */
function read(dialect: ToolDialect, pieces: readonly string[], single = false) {
  const parser = new ToolParser(dialect, definitions, single);
  const events: ToolEvent[] = [...pieces.flatMap((piece) => parser.push(piece)), ...parser.flush()];
  let text = "";
  const calls: { name: string; arguments: string }[] = [];
  for (const event of events) {
    if (event.kind === "text") text += event.text;
    else if (event.kind === "call") calls[event.index] = { name: event.name, arguments: "" };
    else calls[event.index]!.arguments += event.text;
  }
  return { text, calls };
}

const weather = '{"city": "Bern }\\"] </tool_call>", "days": [1, {"a": null}]}';
const twoCalls = [
  { name: "add", arguments: '{"a": 1}' },
  { name: "get_weather", arguments: '{"city": "Bern"}' },
];
const texts: [string, ToolDialect, string, ReturnType<typeof read>][] = [
  [
    "a call",
    hermes,
    `<tool_call>\n{"name": "get_weather", "arguments": ${weather}}\n</tool_call>`,
    { text: "", calls: [{ name: "get_weather", arguments: weather }] },
  ],
  [
    "two calls behind text",
    hermes,
    `Let me see.\n\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n<tool_call>{"name":"add","arguments":{}}</tool_call>`,
    {
      text: "Let me see.",
      calls: [
        { name: "add", arguments: '{"a": 1}' },
        { name: "add", arguments: "{}" },
      ],
    },
  ],
  ["text", hermes, "1 < 2 and <tool> <tool_call", { text: "1 < 2 and <tool> <tool_call", calls: [] }],
  [
    "no call after all",
    hermes,
    "<tool_call>hello</tool_call> there",
    { text: "<tool_call>hello</tool_call> there", calls: [] },
  ],
  [
    "an unknown name",
    hermes,
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    { text: '<tool_call>{"name": "rm", "arguments": {}}</tool_call>', calls: [] },
  ],
  [
    "a bare call",
    llama3,
    ` {"name": "add", "parameters": {"a": 1}}`,
    { text: "", calls: [{ name: "add", arguments: '{"a": 1}' }] },
  ],
  ["other JSON", llama3, '{"answer": 42}', { text: '{"answer": 42}', calls: [] }],
  [
    "text with braces",
    plain,
    'Like {"name": "add", "arguments": {}}',
    { text: 'Like {"name": "add", "arguments": {}}', calls: [] },
  ],
  [
    "arguments that are a number",
    plain,
    '{"name": "add", "arguments": 12}',
    { text: "", calls: [{ name: "add", arguments: "12" }] },
  ],
  [
    "another order of keys",
    hermes,
    '<tool_call>\n{"id": "x", "arguments": {"a": 1}, "name": "add"}\n</tool_call>',
    { text: "", calls: [{ name: "add", arguments: '{"a":1}' }] },
  ],
  [
    "calls that name their type, one behind the other",
    llama3,
    '<|python_tag|>{"type": "function", "name": "add", "parameters": {"a": 1}}; {"name": "add", "parameters": {}}',
    {
      text: "",
      calls: [
        { name: "add", arguments: '{"a":1}' },
        { name: "add", arguments: "{}" },
      ],
    },
  ],
  [
    "a list of Mistral, with ids",
    mistral,
    'Well.[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "abcdefghi"}, {"name": "get_weather", "arguments": {"city": "Bern"}}]',
    { text: "Well.", calls: twoCalls },
  ],
  [
    "named calls of Mistral",
    mistralNamed,
    '[TOOL_CALLS]add[CALL_ID]abcdefghi[ARGS]{"a": 1}[TOOL_CALLS]get_weather[ARGS]{"city": "Bern"}',
    { text: "", calls: twoCalls },
  ],
  ["a list of nothing", mistral, "[TOOL_CALLS] []!", { text: "[TOOL_CALLS] []!", calls: [] }],
  [
    "calls of DeepSeek V3",
    deepseek3,
    'Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    { text: "Hm.", calls: twoCalls },
  ],
  [
    "calls of DeepSeek V3.1",
    deepseek31,
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Bern"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    { text: "", calls: twoCalls },
  ],
  [
    "calls of FunctionGemma",
    functionGemma,
    '<start_function_call>call:get_weather{city:<escape>Be"rn, {x}<escape>,days:[1,{a:null}],more:yes}<end_function_call><start_function_call>call:add{}<end_function_call>',
    {
      text: "",
      calls: [
        { name: "get_weather", arguments: '{"city":"Be\\"rn, {x}","days":[1,{"a":null}],"more":"yes"}' },
        { name: "add", arguments: "{}" },
      ],
    },
  ],
  [
    "arguments as a text of JSON",
    hermes,
    '<tool_call>\n{"name": "add", "arguments": "{\\"a\\": 1}"}\n</tool_call>',
    { text: "", calls: [{ name: "add", arguments: '{"a": 1}' }] },
  ],
  [
    "commas behind the last member",
    gemma4,
    "<|tool_call>call:add{a:1, b:[2,3, ], }<tool_call|>",
    { text: "", calls: [{ name: "add", arguments: '{"a":1,"b":[2,3]}' }] },
  ],
  [
    "a call of Gemma 4",
    gemma4,
    "So: <|tool_call>call:add{a:1,b:-2.5e3}<tool_call|>",
    { text: "So:", calls: [{ name: "add", arguments: '{"a":1,"b":-2.5e3}' }] },
  ],
  [
    "calls of Qwen3-Coder",
    qwenCoder,
    "Sure.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nBern\n<b>\n</parameter>\n<parameter=days>\n[1, 2]\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n</function>\n</tool_call>",
    {
      text: "Sure.",
      calls: [
        { name: "get_weather", arguments: '{"city": "Bern\\n<b>", "days": [1, 2]}' },
        { name: "add", arguments: "{}" },
      ],
    },
  ],
  [
    "values of the types that the schema names",
    qwenCoder,
    "<tool_call>\n<function=add>\n<parameter=note>\n10115\n</parameter>\n<parameter=a>\n7\n</parameter>\n</function>\n</tool_call>",
    { text: "", calls: [{ name: "add", arguments: '{"note": "10115", "a": 7}' }] },
  ],
];

describe("the parser", () => {
  it.each(texts)("finds %s, however the text is cut", (_, dialect, text, expected) => {
    expect(read(dialect, [text])).toEqual(expected);
    expect(read(dialect, [...text])).toEqual(expected);
    const random = new Random(1);
    for (let i = 0; i < 50; i++) {
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = random.int(1, 12);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      expect(read(dialect, pieces)).toEqual(expected);
    }
  });

  it.each(texts)("tells the first call only where it is to tell one, of %s", (_, dialect, text, expected) => {
    const first = { ...expected, calls: expected.calls.slice(0, 1) };
    expect(read(dialect, [text], true)).toEqual(first);
    expect(read(dialect, [...text], true)).toEqual(first);
  });

  it("gives arguments as they come", () => {
    const parser = new ToolParser(hermes, definitions);
    expect(parser.push('<tool_call>\n{"name": "add", "arguments": {"a"')).toEqual([
      { kind: "call", index: 0, name: "add" },
      { kind: "arguments", index: 0, text: '{"a"' },
    ]);
    expect(parser.push(": 12")).toEqual([{ kind: "arguments", index: 0, text: ": 12" }]);
  });
});

describe("the grammar", () => {
  const tools = [
    {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: {
          city: { enum: ["Bern", "Rome"] },
          note: { type: "string" },
          days: { type: "array", items: { type: "integer" }, maxItems: 2 },
        },
        required: ["city"],
        additionalProperties: false,
      },
    },
    {
      name: "add",
      parameters: {
        type: "object",
        properties: {
          a: { type: "integer", minimum: 3, maximum: 400 },
          b: { anyOf: [{ type: "null" }, { type: "boolean" }] },
        },
        required: ["a"],
        additionalProperties: false,
      },
    },
  ];
  const compiler = new GrammarCompiler(smallVocabulary);
  const text: Mark = (mark) => ({ text: mark });

  it.each([
    ...[
      hermes,
      llama3,
      plain,
      mistral,
      mistralNamed,
      deepseek3,
      deepseek31,
      functionGemma,
      gemma4,
      qwenCoder,
    ],
  ])("of $name makes calls that the parser finds", (dialect) => {
    const grammar = compiler.compile(dialect.grammar(tools, true, text));
    const validate = new Map(tools.map(({ name, parameters }) => [name, validator(parameters)]));
    const random = new Random(6);
    let found = 0;
    for (let i = 0; i < 40; i++) {
      const bytes = sample(grammar, smallVocabulary, random, 90);
      if (bytes === undefined) continue;
      const written = new TextDecoder().decode(bytes);
      const answer = readAnswer({ tools: { dialect, definitions: tools, single: false } }, written);
      expect(answer.text, written).toBe("");
      expect(answer.calls.length).toBeGreaterThan(0);
      for (const { name, arguments: given } of answer.calls) {
        found++;
        expect(validate.get(name)!(JSON.parse(given)), written).toBe(true);
      }
    }
    expect(found).toBeGreaterThan(5);
  });

  it("makes one call only where that is asked for", () => {
    const one = '<tool_call>\n{"name": "add", "arguments": {"a": 5}}\n</tool_call>';
    const single = compiler.compile(hermes.grammar(tools, false, text));
    const many = compiler.compile(hermes.grammar(tools, true, text));
    expect([one, `${one}\n${one}`].map((text) => accepts(single, text))).toEqual([true, false]);
    expect([one, `${one}\n${one}`].map((text) => accepts(many, text))).toEqual([true, true]);
  });

  it.each([
    [
      functionGemma,
      { properties: { a: { type: "string", pattern: "x" } } },
      /\/properties\/a\/pattern: .*Gemma/,
    ],
    [gemma4, { properties: { a: { oneOf: [] } } }, /\/properties\/a\/oneOf/],
    [gemma4, { properties: { a: { enum: 5 } } }, /\/properties\/a\/enum: must be a list/],
    [gemma4, { required: true }, /\/required: must be a list/],
    [
      qwenCoder,
      { properties: { a: { type: "string", maxLength: 3 } } },
      /\/properties\/a\/maxLength: .*Qwen3/,
    ],
  ])("of $name refuses by name what the notation cannot be held to", (dialect, parameters, message) => {
    const tool = { name: "f", parameters: { type: "object", ...parameters } };
    expect(() => dialect.grammar([tool], true, text)).toThrow(message);
  });

  it("uses special tokens where the vocabulary has them", () => {
    const source = {
      vocabSize: 258,
      tokenBytes: (id: number) => Uint8Array.of(id),
      isSpecial: (id: number) => id > 255,
      token: (id: number) => (id === 256 ? "[TOOL_CALLS]" : "</s>"),
    };
    const special = new GrammarCompiler(source);
    const mark: Mark = (name) => (name === "[TOOL_CALLS]" ? { token: name } : { text: name });
    const constraint = special.compile(mistral.grammar(tools.slice(1), false, mark)).start([257]);
    const bits = [...constraint.allowed()].flatMap((word, i) =>
      Array.from({ length: 32 }, (_, bit) => ((word >>> bit) & 1 ? 32 * i + bit : -1)).filter(
        (id) => id >= 0,
      ),
    );
    expect(bits).toEqual([256]);
    constraint.accept(256);
    for (const byte of new TextEncoder().encode(' [{"name": "add", "arguments": {"a": 7}}]'))
      constraint.accept(byte);
    expect([constraint.canEnd, constraint.allows(257)]).toEqual([true, true]);
    expect(() => special.compile({ token: "[ARGS]" })).toThrow(/"\[ARGS\]" is no special token/);
    expect(() => special.compile({ repeat: { text: "a" }, max: 2.5 })).toThrow(/whole numbers/);
    // The byte that stands for special tokens inside is not to be taken for one.
    expect(special.compile({ regex: "[\\s\\S]*" }).start([]).allows(255)).toBe(false);
  });
});

describe("thoughts", () => {
  const marks = reasoningOf("{{ '</think>' }}")!;

  it.each([
    ["<think>\nHm.\n\n</think>\n\nYes.", false, { reasoning: "Hm.", text: "Yes." }],
    ["\nHm. <b> </think>Yes. </think>", true, { reasoning: "Hm. <b>", text: "Yes. </think>" }],
    ["Yes.", false, { reasoning: "", text: "Yes." }],
    ["  Yes <think>no</think>", false, { reasoning: "", text: "  Yes <think>no</think>" }],
    ["<think>\n\n</think>\n\nYes.", false, { reasoning: "", text: "Yes." }],
    ["cut off ", true, { reasoning: "cut off", text: "" }],
  ])("of %j are told apart", (text, opened, expected) => {
    const form = { reasoning: { marks, opened } };
    expect(readAnswer(form, text)).toEqual({ ...expected, calls: [] });
    const parser = new AnswerParser(form);
    const events = [...[...text].flatMap((c) => parser.push(c)), ...parser.flush()];
    const joined = { reasoning: "", text: "" };
    for (const event of events)
      if (event.kind === "text" || event.kind === "reasoning") joined[event.kind] += event.text;
    expect(joined).toEqual(expected);
  });

  it("stand before calls", () => {
    const form = {
      reasoning: { marks, opened: true },
      tools: { dialect: hermes, definitions, single: false },
    };
    const text = 'So <tool_call>?\n</think>\n\n<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>';
    expect(readAnswer(form, text)).toEqual({
      reasoning: "So <tool_call>?",
      text: "",
      calls: [{ name: "add", arguments: "{}" }],
    });
  });

  it("may come before what a grammar asks for, and must end first where they have begun", () => {
    const compiler = new GrammarCompiler(smallVocabulary);
    const text: Mark = (mark) => ({ text: mark });
    const answer = { regex: "[0-9]+" };
    const free = compiler.compile(behindReasoning(marks, false, answer, text));
    const begun = compiler.compile(behindReasoning(marks, true, answer, text));
    const cases = ["12", "<think>a < b</think>\n\n12", "a </thin</think>12", "a </think>", "x"];
    expect(cases.map((one) => accepts(free, one))).toEqual([true, true, false, false, false]);
    expect(cases.map((one) => accepts(begun, one))).toEqual([false, true, true, false, false]);
  });
});

describe("dialects", () => {
  it("are told by the template", () => {
    expect([hermes, llama3, plain].map(({ name }) => name)).toEqual(["hermes", "llama3", "json"]);
    expect(dialectOf("{{ messages }}")).toBeUndefined();
    expect(() => dialectOf("{{ tools }} <tool_call> <arg_key>")).toThrow(/^tools: .*GLM/);
    expect([functionGemma, gemma4, qwenCoder].map(({ name }) => name)).toEqual([
      ...["functiongemma", "gemma4", "qwen3-coder"],
    ]);
  });

  it.skipIf(!existsSync(shared("templates")))(
    "of published templates with tools are known or refused by name",
    () => {
      const { cases } = JSON.parse(readFileSync(shared("templates/chat_template_cases.json"), "utf8")) as {
        cases: { chat_template: string }[];
      };
      const found = new Set<string>();
      for (const { chat_template } of cases) {
        try {
          found.add(dialectOf(chat_template)?.name ?? "none");
        } catch (error) {
          expect((error as Error).message).toMatch(/^tools: calls in the form of/);
        }
      }
      expect([...found]).toEqual(
        expect.arrayContaining(["hermes", "llama3", "mistral", "deepseek-v3", "qwen3-coder"]),
      );
    },
  );
});
