/** Calls of tools: found in streams however they are cut, and forced by grammars. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { GrammarCompiler } from "../../../src/decode/grammar/index.ts";
import { callGrammar, dialectOf, type ToolDialect } from "../../../src/decode/tools/dialect.ts";
import { type ToolEvent, ToolParser } from "../../../src/decode/tools/parser.ts";
import { accepts, sample, smallVocabulary } from "../../support/grammars.ts";
import { Random } from "../../support/random.ts";
import { shared } from "../../support/shared.ts";

const hermes = dialectOf("{{ tools }} <tool_call>")!;
const llama3 = dialectOf("{{ tools }} <|python_tag|>")!;
const plain = dialectOf("{% for tool in tools %}")!;
const names = ["get_weather", "add"];

/** Everything put together, from pieces. */
function read(dialect: ToolDialect, pieces: readonly string[]) {
  const parser = new ToolParser(dialect, names);
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

  it("gives arguments as they come", () => {
    const parser = new ToolParser(hermes, names);
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
        properties: { city: { enum: ["Bern", "Rome"] } },
        required: ["city"],
        additionalProperties: false,
      },
    },
    {
      name: "add",
      parameters: {
        type: "object",
        properties: { a: { $ref: "#/$defs/n" } },
        required: ["a"],
        additionalProperties: false,
        $defs: { n: { type: "integer" } },
      },
    },
  ];
  const compiler = new GrammarCompiler(smallVocabulary);

  it.each([hermes, llama3, plain])("of $name makes calls that the parser finds", (dialect) => {
    const grammar = compiler.compile(callGrammar(dialect, tools, { parallel: true }));
    const random = new Random(6);
    for (let i = 0; i < 25; i++) {
      const bytes = sample(grammar, smallVocabulary, random, 40);
      if (bytes === undefined) continue;
      const { text, calls } = read(dialect, [new TextDecoder().decode(bytes)]);
      expect(text).toBe("");
      expect(calls.length).toBeGreaterThan(0);
      for (const call of calls) {
        const given = JSON.parse(call.arguments) as Record<string, unknown>;
        if (call.name === "add") expect(given).toEqual({ a: expect.any(Number) });
        else expect(["Bern", "Rome"]).toContain(given.city);
      }
    }
  });

  it("makes one call only where that is asked for", () => {
    const one = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>';
    const single = compiler.compile(callGrammar(hermes, tools, { parallel: false }));
    const many = compiler.compile(callGrammar(hermes, tools, { parallel: true }));
    expect([one, `${one}\n${one}`].map((text) => accepts(single, text))).toEqual([true, false]);
    expect([one, `${one}\n${one}`].map((text) => accepts(many, text))).toEqual([true, true]);
  });
});

describe("dialects", () => {
  it("are told by the template", () => {
    expect([hermes, llama3, plain].map(({ name }) => name)).toEqual(["hermes", "llama3", "json"]);
    expect(dialectOf("{{ messages }}")).toBeUndefined();
    expect(() => dialectOf("{{ tools }} [TOOL_CALLS]")).toThrow(/^tools: .*Mistral/);
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
      expect(found).toContain("hermes");
      expect(found).toContain("llama3");
    },
  );
});
