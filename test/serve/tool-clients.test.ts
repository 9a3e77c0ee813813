/** Tools, formats and thoughts in the dialects of Responses, Anthropic and Ollama, each with its official client. */
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { type FakeModel, fakeModel } from "../support/fake-model.ts";
import { templates } from "../support/tool-templates.ts";

const schema = {
  type: "object" as const,
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const written = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>';
const base = { template: templates.qwen3, rendered: true, contextLength: 4096 };
const models = {
  text: fakeModel({ ...base, answer: "Sunny." }),
  call: fakeModel({ ...base, answer: written }),
  two: fakeModel({ ...base, answer: `<think>\nHm.\n</think>\n\nLet me see.\n${written}\n${written}` }),
  json: fakeModel({ ...base, answer: '{"city": "Bern"}' }),
  mistral: fakeModel({
    ...base,
    template: templates.mistral,
    answer: '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Bern"}}]',
  }),
  gemma: fakeModel({ ...base, template: templates.gemma4, answer: "So" }),
  plain: fakeModel({ ...base, template: "{% for message in messages %}{{ message.content }}{% endfor %}" }),
};
type Name = keyof typeof models;
const servers = {} as Record<Name, Listening>;

beforeAll(async () => {
  for (const [name, model] of Object.entries(models) as [Name, FakeModel][])
    servers[name] = await listen(createApp(model, { onError: () => {} }), { host: "127.0.0.1", port: 0 });
});
afterAll(() => Promise.all(Object.values(servers).map((server) => server.close(0))));

const said = (name: Name): string =>
  new TextDecoder().decode(Uint8Array.from(models[name].calls.at(-1)!.prompt.filter((id) => id < 256)));

describe("responses", () => {
  const client = (name: Name) =>
    new OpenAI({ baseURL: `${servers[name].url}/v1`, apiKey: "none", maxRetries: 0 });
  const tools = [{ type: "function" as const, name: "get_weather", parameters: schema, strict: true }];
  const ask = (name: Name, more: object = {}) =>
    client(name).responses.create({ model: "fake", input: "Weather?", tools, ...more, stream: false });

  it("have thoughts, text and calls as items", async () => {
    const response = await ask("two", { tool_choice: "auto" });
    expect(response).toMatchObject({
      status: "completed",
      tools,
      tool_choice: "auto",
      parallel_tool_calls: true,
    });
    const kinds = response.output.map(({ type }) => type);
    expect(kinds).toEqual(["reasoning", "message", "function_call", "function_call"]);
    expect(response.output_text).toBe("Let me see.");
    // Tokens are bytes here: those of "Hm." and of the mark behind it, at least.
    const { output_tokens_details, output_tokens } = response.usage!;
    expect(output_tokens_details.reasoning_tokens).toBeGreaterThan(10);
    expect(output_tokens_details.reasoning_tokens).toBeLessThan(output_tokens / 2);
    expect(response.output[0]).toMatchObject({
      summary: [],
      content: [{ type: "reasoning_text", text: "Hm." }],
    });
    expect(response.output[2]).toMatchObject({
      name: "get_weather",
      arguments: '{"city": "Bern"}',
      status: "completed",
    });
  });

  it("have one call at most where parallel ones are switched off", async () => {
    const response = await ask("two", { parallel_tool_calls: false });
    expect(response.output.map(({ type }) => type)).toEqual(["reasoning", "message", "function_call"]);
    const chat = await client("two").chat.completions.create({
      model: "fake",
      messages: [{ role: "user", content: "Weather?" }],
      tools: [{ type: "function", function: { name: "get_weather", parameters: schema } }],
      parallel_tool_calls: false,
    });
    expect(chat.choices[0]?.message.tool_calls).toHaveLength(1);
    expect(chat.choices[0]?.finish_reason).toBe("tool_calls");
  });

  it("are streamed in the published order", async () => {
    const stream = client("two").responses.stream({ model: "fake", input: "Weather?", tools });
    const kinds: string[] = [];
    for await (const { type } of stream) if (kinds.at(-1) !== type) kinds.push(type);
    const part = (delta: string) => [
      ...["response.output_item.added", "response.content_part.added", `response.${delta}.delta`],
      ...[`response.${delta}.done`, "response.content_part.done", "response.output_item.done"],
    ];
    const call = [
      ...["response.output_item.added", "response.function_call_arguments.delta"],
      ...["response.function_call_arguments.done", "response.output_item.done"],
    ];
    expect(kinds).toEqual([
      ...["response.created", "response.in_progress"],
      ...[...part("reasoning_text"), ...part("output_text"), ...call, ...call],
      "response.completed",
    ]);
    const whole = await ask("two");
    const plain = (output: readonly object[]) =>
      output.map((item) => ({ ...item, id: "", call_id: "", parsed_arguments: 0 }));
    const final = await stream.finalResponse();
    expect(
      plain(final.output.map(({ ...item }) => item)).map((item) =>
        JSON.stringify(item, (key, value: unknown) => (key === "parsed" ? undefined : value)),
      ),
    ).toEqual(plain(whole.output).map((item) => JSON.stringify(item)));
  });

  it("go on over turns of tools, stored or sent back", async () => {
    const first = await ask("call");
    const [call] = first.output as [OpenAI.Responses.ResponseFunctionToolCall];
    const result = { type: "function_call_output" as const, call_id: call.call_id, output: "sun" };
    const history =
      '<|user|>Weather?<|assistant|>\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call><tool_response>\nsun\n</tool_response><|assistant|>';
    const second = await ask("call", { previous_response_id: first.id, input: [result] });
    expect(said("call")).toContain(history);
    const items = await client("call").responses.inputItems.list(second.id);
    expect(items.data).toMatchObject([
      { type: "function_call_output", call_id: call.call_id, output: "sun" },
    ]);
    await ask("text", { input: [{ role: "user", content: "Weather?" }, ...first.output, result] });
    expect(said("text")).toContain(history);
    const thoughts = await ask("two");
    await ask("two", { input: [{ role: "user", content: "Weather?" }, ...thoughts.output] });
    expect(said("two")).toContain("<think>\nHm.\n</think>\n\nLet me see.\n<tool_call>");
  });

  it("call when they must, and answer in a format", async () => {
    for (const tool_choice of ["required", { type: "function", name: "get_weather" }]) {
      expect((await ask("call", { tool_choice })).output).toMatchObject([{ type: "function_call" }]);
      await expect(ask("text", { tool_choice })).rejects.toMatchObject({ status: 500 });
    }
    await ask("text", { tool_choice: "none" });
    expect(models.text.calls.at(-1)?.options.tools).toBeUndefined();
    const format = { type: "json_schema" as const, name: "weather", schema, strict: true };
    const parsed = await client("json").responses.parse({ model: "fake", input: "?", text: { format } });
    expect(parsed).toMatchObject({ output_text: '{"city": "Bern"}', text: { format } });
    await ask("json", { tools: [], text: { format: { type: "json_object" } } });
    expect(models.json.calls.at(-1)?.options.grammar).toMatchObject({ jsonSchema: { type: "object" } });
  });

  it("refuse what a form of calls cannot be held to", async () => {
    const parameters = { type: "object", properties: { city: { type: "string", pattern: "^B" } } };
    const more = { tools: [{ ...tools[0], parameters }], tool_choice: "required" };
    await expect(ask("gemma", more)).rejects.toMatchObject({
      ...{ status: 400, param: "tools" },
      message: expect.stringMatching(/\/properties\/city\/pattern: .*Gemma/),
    });
  });

  it("tell log-probabilities of the message alone", async () => {
    const response = await ask("two", { include: ["message.output_text.logprobs"] });
    const message = response.output[1] as { content: { logprobs: { token: string }[] }[] };
    expect(
      message.content[0]!.logprobs.map(({ token }) => token)
        .join("")
        .trim(),
    ).toBe("Let me see.");
  });

  it.each([
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ tools: [{ type: "function", name: "a b" }] }, "tools[0].name"],
    [{ tools: [...tools, ...tools] }, "tools"],
    [{ tools: [], tool_choice: "required" }, "tool_choice"],
    [{ tool_choice: { type: "function", name: "other" } }, "tool_choice.name"],
    [{ tool_choice: { type: "allowed_tools", mode: "auto", tools: [] } }, "tool_choice.type"],
    [{ input: [{ type: "function_call_output", call_id: "none", output: "x" }] }, "input[0].call_id"],
    [
      { text: { format: { type: "json_schema", name: "x", schema: { type: "array", uniqueItems: true } } } },
      "text.format",
    ],
    [{ tool_choice: "required", text: { format: { type: "json_object" } } }, "text.format"],
    [{ tools: [{ ...tools[0], parameters: { uniqueItems: true } }], tool_choice: "required" }, "tools"],
  ])("%j is refused by name", async (body, param) => {
    await expect(ask("text", body)).rejects.toMatchObject({ status: 400, param });
  });
});

describe("Anthropic's messages", () => {
  const client = (name: Name) => new Anthropic({ baseURL: servers[name].url, apiKey: "none", maxRetries: 0 });
  const tools = [{ name: "get_weather", description: "Now", input_schema: schema }];
  const messages = [{ role: "user" as const, content: "Weather?" }];
  const request = { model: "fake", max_tokens: 300, messages, tools };
  const ask = (name: Name, more: object = {}) =>
    client(name).messages.create({ ...request, ...more } as Anthropic.MessageCreateParamsNonStreaming);

  it("have thoughts, text and calls as blocks, whole and as a stream", async () => {
    const expected = {
      stop_reason: "tool_use",
      content: [
        { type: "thinking", thinking: "Hm.", signature: "" },
        { type: "text", text: "Let me see." },
        { type: "tool_use", name: "get_weather", input: { city: "Bern" } },
        { type: "tool_use", name: "get_weather", input: { city: "Bern" } },
      ],
    };
    const whole = await ask("two");
    expect(whole).toMatchObject(expected);
    const stream = client("two").messages.stream(request);
    let json = "";
    stream.on("inputJson", (piece) => (json += piece));
    expect(await stream.finalMessage()).toMatchObject(expected);
    expect(json).toBe('{"city": "Bern"}{"city": "Bern"}');
  });

  it("go on over turns of tools", async () => {
    const first = await ask("two");
    const results = first.content.flatMap((block) =>
      block.type === "tool_use"
        ? [{ type: "tool_result" as const, tool_use_id: block.id, content: "sun" }]
        : [],
    );
    const last = results[1]!;
    await ask("text", {
      messages: [
        ...messages,
        { role: "assistant", content: first.content },
        { role: "user", content: [results[0], { ...last, is_error: true }, { type: "text", text: "And?" }] },
      ],
    });
    const call = '\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>';
    expect(said("text")).toContain(
      `<|assistant|><think>\nHm.\n</think>\n\nLet me see.${call}${call}<tool_response>\nsun\n</tool_response><tool_response>\nError: sun\n</tool_response><|user|>And?<|assistant|>`,
    );
    const { input_tokens } = await client("text").messages.countTokens({ model: "fake", messages, tools });
    expect(input_tokens).toBeGreaterThan(JSON.stringify(schema).length);
  });

  it("call when they must, one or more", async () => {
    const forced = { type: "tool", name: "get_weather" };
    for (const tool_choice of [{ type: "any" }, { type: "any", disable_parallel_tool_use: true }, forced])
      expect((await ask("call", { tool_choice })).stop_reason).toBe("tool_use");
    await expect(ask("text", { tool_choice: forced })).rejects.toMatchObject({ status: 500 });
    expect((await ask("text", { tool_choice: { type: "auto" } })).stop_reason).toBe("end_turn");
    await ask("text", { tool_choice: { type: "none" } });
    expect(models.text.calls.at(-1)?.options.tools).toBeUndefined();
  });

  it("answer in a format, and think or not", async () => {
    const output_config = { format: { type: "json_schema" as const, schema } };
    const { content } = await ask("json", { tools: [], output_config });
    expect(content).toMatchObject([{ type: "text", text: '{"city": "Bern"}' }]);
    await ask("text", { thinking: { type: "disabled" } });
    expect(said("text").endsWith("<think>\n\n</think>\n\n")).toBe(true);
    await expect(ask("plain", { tools: [], thinking: { type: "adaptive" } })).rejects.toThrow(
      /thinking: the model does not think/,
    );
  });

  it.each([
    [{ tools: [{ name: "x" }] }, /tools\[0\]\.input_schema: is needed/],
    [{ tools: [{ type: "bash_20250124", name: "bash" }] }, /tools\[0\]\.type: tools that run on the server/],
    [{ tool_choice: { type: "tool", name: "other" } }, /tool_choice\.name: .*none of the tools/],
    [{ tool_choice: { type: "some" } }, /tool_choice\.type/],
    [{ tools: [], tool_choice: { type: "any" } }, /tool_choice: needs tools/],
    [{ output_config: { effort: "low" } }, /output_config\.effort/],
    [
      { output_config: { format: { type: "json_schema", schema: { uniqueItems: true } } }, tools: [] },
      /output_config\.format: .*uniqueItems/,
    ],
    [
      { messages: [{ role: "user", content: [{ type: "tool_result", content: "x" }] }] },
      /tool_use_id: is needed/,
    ],
    [{ messages: [{ role: "user", content: [{ type: "tool_use" }] }] }, /messages\[0\]\.content\[0\]\.type/],
  ])("%j is refused by name", async (body, message) => {
    const error = await ask("text", body).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect((error as Error).message.replaceAll('\\"', '"')).toMatch(message);
  });

  it("are refused tools where the template knows none", async () => {
    await expect(ask("plain")).rejects.toThrow(/tools: the chat template of this model knows no tools/);
  });
});

describe("Ollama", () => {
  const client = (name: Name) => new Ollama({ host: servers[name].url });
  const tools = [
    { type: "function", function: { name: "get_weather", description: "Now", parameters: schema } },
  ];
  const messages = [{ role: "user", content: "Weather?" }];
  const calls = [{ function: { name: "get_weather", arguments: { city: "Bern" } } }];

  it("calls, whole and as a stream", async () => {
    const { message } = await client("two").chat({ model: "fake", messages, tools });
    expect(message).toEqual({
      role: "assistant",
      content: "Let me see.",
      thinking: "Hm.",
      tool_calls: [...calls, ...calls],
    });
    const joined = { content: "", thinking: "", tool_calls: [] as object[] };
    for await (const part of await client("two").chat({ model: "fake", messages, tools, stream: true })) {
      joined.content += part.message.content;
      joined.thinking += part.message.thinking ?? "";
      joined.tool_calls.push(...(part.message.tool_calls ?? []));
    }
    expect(joined).toEqual({ content: "Let me see.", thinking: "Hm.", tool_calls: [...calls, ...calls] });
    expect((await client("two").show({ model: "fake" })).capabilities).toEqual([
      "completion",
      "tools",
      "thinking",
    ]);
  });

  it("goes on over turns of tools, whose ids a template may want", async () => {
    const talk = [
      ...messages,
      { role: "assistant", content: "", tool_calls: [...calls, ...calls] },
      { role: "tool", content: "sun", tool_name: "get_weather" },
      { role: "tool", content: "rain", tool_name: "get_weather" },
    ];
    await client("mistral").chat({ model: "fake", messages: talk, tools });
    const prompt = said("mistral");
    const ids = [...prompt.matchAll(/"id": "(\w{9})"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(2);
    expect(prompt).toContain(`{"call_id": "${ids[0]}", "content": sun}`);
    expect(prompt).toContain(`{"call_id": "${ids[1]}", "content": rain}`);
    await client("gemma").chat({ model: "fake", messages: talk });
    expect(said("gemma")).toContain('response:get_weather{value:<|"|>sun<|"|>}');
  });

  it("answers in a format, and thinks or not", async () => {
    for (const format of ["json", schema]) {
      expect((await client("json").chat({ model: "fake", messages, format })).message.content).toBe(
        '{"city": "Bern"}',
      );
      expect((await client("json").generate({ model: "fake", prompt: "?", format })).response).toBe(
        '{"city": "Bern"}',
      );
      expect(models.json.calls.at(-1)?.options.grammar).toBeDefined();
      await client("json").generate({ model: "fake", prompt: "?", raw: true, format });
      expect(models.json.calls.at(-1)?.options.grammar).toBeDefined();
    }
    await client("text").chat({ model: "fake", messages, think: false });
    expect(said("text").endsWith("<think>\n\n</think>\n\n")).toBe(true);
    const thought = await client("two").generate({ model: "fake", prompt: "?", think: true });
    expect(thought).toMatchObject({ thinking: "Hm." });
  });

  it.each([
    [{ tools: [{ type: "web" }] }, /tools\[0\]\.type/],
    [{ format: "xml" }, /format: must be/],
    [{ format: { uniqueItems: true } }, /format: .*uniqueItems/],
    [{ think: "high" }, /think: /],
    [{ messages: [{ role: "user", content: "x", tool_calls: [{}] }] }, /messages\[0\]\.tool_calls/],
  ])("%j is refused by name", async (body, message) => {
    const asked = client("text").chat({ model: "fake", messages, ...body } as never);
    await expect(asked).rejects.toThrow(message);
  });
});

describe("chat completions", () => {
  const client = (name: Name) =>
    new OpenAI({ baseURL: `${servers[name].url}/v1`, apiKey: "none", maxRetries: 0 });
  const messages = [{ role: "user" as const, content: "Weather?" }];

  it("tell thoughts apart, whole and as a stream, and give them back to the template", async () => {
    const { choices } = await client("two").chat.completions.create({ model: "fake", messages });
    expect(choices[0]?.message).toMatchObject({ reasoning_content: "Hm." });
    expect(choices[0]?.message.content).toMatch(/^Let me see\.\n<tool_call>/);
    let thoughts = "";
    for await (const {
      choices: [choice],
    } of await client("two").chat.completions.create({ model: "fake", messages, stream: true }))
      thoughts += (choice?.delta as { reasoning_content?: string } | undefined)?.reasoning_content ?? "";
    expect(thoughts).toBe("Hm.");
    const before = { role: "assistant", content: "Hello", reasoning_content: "Hm." } as const;
    await client("text").chat.completions.create({
      model: "fake",
      messages: [...messages, before, ...messages],
    });
    expect(said("text")).toContain("<think>\nHm.\n</think>\n\nHello");
  });

  it("set names of the template", async () => {
    const body = { model: "fake", messages, chat_template_kwargs: { enable_thinking: false } };
    await client("text").chat.completions.create(body);
    expect(said("text").endsWith("<think>\n\n</think>\n\n")).toBe(true);
    for (const chat_template_kwargs of [1, false])
      await expect(
        client("text").chat.completions.create({ ...body, chat_template_kwargs } as never),
      ).rejects.toMatchObject({ status: 400, param: "chat_template_kwargs" });
  });
});
