/** Tools in chat completions, with the official client. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";

const call = (city: string): string =>
  `<tool_call>\n{"name": "get_weather", "arguments": {"city": "${city}"}}\n</tool_call>`;
const template = "{% for tool in tools %}{{ tool }}{% endfor %}<tool_call>";
const tools = [
  {
    type: "function" as const,
    function: {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
        additionalProperties: false,
      },
    },
  },
];
const messages = [{ role: "user" as const, content: "Weather?" }];

const text = fakeModel({ answer: "Sunny.", template, contextLength: 4096 });
const one = fakeModel({ answer: call("Bern"), template, contextLength: 4096 });
const two = fakeModel({
  answer: `Let me see.\n${call("Bern")}\n${call("Rome")}`,
  template,
  contextLength: 4096,
});
const servers: Listening[] = [];
const clients = new Map<unknown, OpenAI>();

beforeAll(async () => {
  for (const model of [text, one, two]) {
    const server = await listen(createApp(model), { host: "127.0.0.1", port: 0 });
    servers.push(server);
    clients.set(model, new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 }));
  }
});
afterAll(async () => {
  for (const server of servers) await server.close(0);
});

const ask = (model: unknown, more: object = {}) =>
  clients.get(model)!.chat.completions.create({ model: "fake", messages, tools, ...more, stream: false });

describe("tools", () => {
  it("are called, whole and as a stream", async () => {
    const answer = (await ask(two)).choices[0]!;
    expect(answer.finish_reason).toBe("tool_calls");
    expect(answer.message.content).toBe("Let me see.");
    expect(answer.message.tool_calls?.map((c) => c.type === "function" && c.function)).toEqual([
      { name: "get_weather", arguments: '{"city": "Bern"}' },
      { name: "get_weather", arguments: '{"city": "Rome"}' },
    ]);
    expect(new Set(answer.message.tool_calls?.map(({ id }) => id)).size).toBe(2);
    const stream = clients.get(two)!.chat.completions.stream({ model: "fake", messages, tools, n: 2 });
    const streamed = await stream.finalChatCompletion();
    for (const choice of streamed.choices) {
      expect(choice.finish_reason).toBe("tool_calls");
      expect(choice.message.content).toBe("Let me see.");
      expect(choice.message.tool_calls?.map((c) => c.type === "function" && c.function.arguments)).toEqual([
        '{"city": "Bern"}',
        '{"city": "Rome"}',
      ]);
    }
    expect(two.calls.at(-1)?.options.tools).toEqual(tools);
    expect(two.calls.at(-1)?.options.grammar).toBeUndefined();
  });

  it("may be left alone", async () => {
    const answer = (await ask(text)).choices[0]!;
    expect([answer.finish_reason, answer.message.content, answer.message.tool_calls]).toEqual([
      "stop",
      "Sunny.",
      undefined,
    ]);
    await ask(text, { tool_choice: "none" });
    expect(text.calls.at(-1)?.options.tools).toBeUndefined();
  });

  it("are demanded through a grammar", async () => {
    for (const tool_choice of ["required", { type: "function", function: { name: "get_weather" } }]) {
      const answer = (await ask(one, { tool_choice })).choices[0]!;
      expect(answer.message.content).toBeNull();
      expect(answer.message.tool_calls).toHaveLength(1);
      expect(one.calls.at(-1)?.options.grammar).toBeDefined();
    }
    // The fake keeps to what it was given: text is no call.
    await expect(ask(text, { tool_choice: "required" })).rejects.toMatchObject({ status: 500 });
  });

  it("leave the choice between a call and an answer in response_format", async () => {
    const response_format = { type: "json_object" };
    const answer = (await ask(one, { response_format })).choices[0]!;
    expect(answer.message.tool_calls).toHaveLength(1);
    await expect(ask(text, { response_format })).rejects.toMatchObject({ status: 500 });
  });

  it("run in the client's own loop, with results sent back", async () => {
    const conversation = [
      ...messages,
      {
        role: "assistant" as const,
        content: null,
        tool_calls: [
          {
            id: "a",
            type: "function" as const,
            function: { name: "get_weather", arguments: '{"city":"Bern"}' },
          },
        ],
      },
      { role: "tool" as const, tool_call_id: "a", content: "sun" },
    ];
    await ask(text, { messages: conversation });
    const prompt = new TextDecoder().decode(
      Uint8Array.from(text.calls.at(-1)!.prompt.filter((id) => id < 256)),
    );
    expect(prompt).toContain('"arguments":{"city":"Bern"}');
    expect(prompt).toContain("tool: sun");
  });

  it.each([
    [{ tools: [{ type: "function", function: { name: "a b" } }] }, "tools[0].function.name"],
    [{ tools: [{ type: "web" }] }, "tools[0].type"],
    [{ tools: [{ type: "function" }] }, "tools[0].function"],
    [
      { tools: [{ type: "function", function: { name: "a", parameters: "x" } }] },
      "tools[0].function.parameters",
    ],
    [{ tools: [tools[0], tools[0]] }, "tools"],
    [{ tool_choice: "sometimes" }, "tool_choice"],
    [{ tool_choice: { type: "function", function: { name: "other" } } }, "tool_choice.function.name"],
    [{ tools: undefined, tool_choice: "required" }, "tool_choice"],
    [{ tool_choice: "required", response_format: { type: "json_object" } }, "response_format"],
    [
      {
        tool_choice: "required",
        tools: [{ type: "function", function: { name: "a", parameters: { uniqueItems: true } } }],
      },
      "tools",
    ],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].tool_call_id"],
  ])("%j is refused by name", async (body, param) => {
    await expect(ask(text, body)).rejects.toMatchObject({ status: 400, param });
  });

  it("are refused where the template knows none", async () => {
    const app = createApp(fakeModel({ template: "{{ messages }}" }));
    const body = JSON.stringify({ messages, tools });
    const response = await app.request("http://localhost/v1/chat/completions", { method: "POST", body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { param: "tools", message: expect.stringMatching(/knows no tools/) },
    });
  });
});
