/**
 * Each form of calls with a template in its published form, special tokens where it has them, and random weights: a
 * grammar makes any model call, and calls and results go back through the template.
 */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { writeChattingModel } from "../support/chatting-model.ts";
import { fakeModel } from "../support/fake-model.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { specialMarks, type TemplateName, templates } from "../support/tool-templates.ts";

const tools = [
  {
    type: "function" as const,
    function: {
      name: "get_weather",
      description: "The weather",
      parameters: {
        type: "object",
        properties: { city: { enum: ["Bern", "Rome"] }, days: { type: "integer", minimum: 1, maximum: 14 } },
        required: ["city"],
        additionalProperties: false,
      },
    },
  },
  {
    type: "function" as const,
    function: {
      name: "add",
      parameters: {
        type: "object",
        properties: { a: { type: "boolean" } },
        required: ["a"],
        additionalProperties: false,
      },
    },
  },
];
const messages = [{ role: "user" as const, content: "Weather?" }];
const folder = temporaryFolder();

/** How each template writes a call that was made and its result. */
const written: Readonly<Record<TemplateName, string>> = {
  qwen3:
    '<|assistant|>\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern", "days": 2}}\n</tool_call><tool_response>\nsun\n</tool_response><|assistant|>',
  llama3:
    '<|assistant|>{"name": "get_weather", "parameters": {"city": "Bern", "days": 2}}<|ipython|>sun<|assistant|>',
  mistral:
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Bern", "days": 2}, "id": "5d7963c4f"}][TOOL_RESULTS] {"call_id": "5d7963c4f", "content": sun}[/TOOL_RESULTS]<|assistant|>',
  mistralNamed:
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Bern", "days": 2}[TOOL_RESULTS]sun[/TOOL_RESULTS]<|assistant|>',
  deepseekV3:
    '<|assistant|><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city":"Bern","days":2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜tool▁output▁begin｜>sun<｜tool▁output▁end｜><|assistant|>',
  deepseekV31:
    '<|assistant|><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city":"Bern","days":2}<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜tool▁output▁begin｜>sun<｜tool▁output▁end｜><|assistant|>',
  functionGemma:
    "<start_function_call>call:get_weather{city:<escape>Bern<escape>,days:2}<end_function_call><start_function_response>response:get_weather{value:<escape>sun<escape>}<end_function_response><|assistant|>",
  gemma4:
    '<|tool_call>call:get_weather{city:<|"|>Bern<|"|>,days:2}<tool_call|><|tool_response>response:get_weather{value:<|"|>sun<|"|>}<tool_response|><|assistant|>',
  qwenCoder:
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nBern\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call><tool_response>\nsun\n</tool_response><|assistant|>",
};

describe.each(Object.keys(templates) as TemplateName[])("%s", (name) => {
  let model: LanguageModel;
  let server: Listening;
  let client: OpenAI;
  beforeAll(async () => {
    await writeChattingModel(`${folder}/${name}`, templates[name], specialMarks);
    model = await open(`${folder}/${name}`, { packedCache: false });
    server = await listen(createApp(model), { host: "127.0.0.1", port: 0 });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  });
  afterAll(async () => {
    await server.close(0);
    await model.close();
  });

  it("calls when it must, whole and as a stream, and goes on with the results", async () => {
    const request = { model: name, messages, tools, temperature: 1.5, seed: 1, max_tokens: 400 };
    for (const tool_choice of [
      "required" as const,
      { type: "function" as const, function: { name: "get_weather" } },
    ]) {
      const body = { ...request, tool_choice, parallel_tool_calls: false };
      const { message, finish_reason } = (await client.chat.completions.create(body)).choices[0]!;
      expect([finish_reason, message.content]).toEqual(["tool_calls", null]);
      const [call] = message.tool_calls!;
      if (call?.type !== "function") throw new Error("no call");
      const given = JSON.parse(call.function.arguments) as { city?: string; a?: boolean };
      if (call.function.name === "add") expect(typeof given.a).toBe("boolean");
      else expect(["Bern", "Rome"]).toContain(given.city);
      if (name.startsWith("mistral")) expect(call.id).toMatch(/^[a-zA-Z0-9]{9}$/);

      const streamed = await client.chat.completions.stream(body).finalChatCompletion();
      const [again] = streamed.choices[0]!.message.tool_calls!;
      expect(again?.type === "function" && again.function).toMatchObject(call.function);

      const next = await client.chat.completions.create({
        ...request,
        messages: [...messages, message, { role: "tool", tool_call_id: call.id, content: "sun" }],
        max_tokens: 3,
      });
      expect(next.choices[0]?.finish_reason).toBe("length");
    }
  });

  it("gets calls and results as its template writes them", async () => {
    const fake = fakeModel({
      template: templates[name],
      rendered: true,
      contextLength: 4096,
      answer: "Sunny.",
    });
    const app = createApp(fake);
    const body = {
      tools,
      messages: [
        ...messages,
        {
          role: "assistant",
          content: null,
          tool_calls: [
            {
              id: "call-1",
              type: "function",
              function: { name: "get_weather", arguments: '{"city": "Bern", "days": 2}' },
            },
          ],
        },
        { role: "tool", tool_call_id: "call-1", content: "sun" },
      ],
    };
    const response = await app.request("http://localhost/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    const prompt = new TextDecoder().decode(Uint8Array.from(fake.calls[0]!.prompt));
    expect(prompt).toContain(written[name]);
    // Tools are shown by the template, or by the system's message.
    expect(prompt).toContain('"get_weather"');
    expect(prompt).toContain("The weather");
  });
});
