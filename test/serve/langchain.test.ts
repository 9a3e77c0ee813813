/** LangChain's client for OpenAI, pointed at the server. */
import { type AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, type ChatOpenAIFields, OpenAI } from "@langchain/openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { fakeModel } from "../support/fake-model.ts";
import { tinyChat } from "../support/tiny-chat.ts";

const template = "{% for tool in tools %}{{ tool }}{% endfor %}<tool_call>";
const scripted = fakeModel({
  template,
  contextLength: 4096,
  answer: (prompt) =>
    prompt.includes("tool: ")
      ? "It is sunny."
      : prompt.includes("Weather")
        ? '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>'
        : "Hello, world! Grüße 🌍.",
});
const weather = tool(({ city }) => `sunny in ${city}`, {
  ...{ name: "weather", description: "The weather of a city" },
  schema: z.object({ city: z.enum(["Bern", "Rome"]) }),
});
const Joke = z.object({ kind: z.enum(["pun", "riddle"]), rating: z.number().int().min(1).max(10) });

let tiny: LanguageModel;
let remove: () => void;
const servers: Listening[] = [];
const chat = (i: number, model: string, more: ChatOpenAIFields = {}) =>
  new ChatOpenAI({
    ...{ model, apiKey: "none", maxRetries: 0, configuration: { baseURL: `${servers[i]!.url}/v1` } },
    ...more,
  });

beforeAll(async () => {
  const made = await tinyChat();
  remove = made.remove;
  tiny = await open(made.folder, { threads: 1 });
  for (const model of [scripted, tiny])
    servers.push(await listen(createApp(model), { host: "127.0.0.1", port: 0 }));
});
afterAll(async () => {
  for (const server of servers) await server.close(0);
  await tiny.close();
  remove();
});

describe("LangChain", () => {
  it("invokes, with usage, and several at once", async () => {
    const model = chat(0, "fake", { temperature: 0.5, maxTokens: 100, stop: ["zzz"], topP: 0.9 });
    const answer = await model.invoke([new SystemMessage("Be brief."), new HumanMessage("Hi")]);
    expect(answer.content).toBe("Hello, world! Grüße 🌍.");
    expect(answer.usage_metadata).toMatchObject({ output_tokens: 28 });
    expect(answer.response_metadata).toMatchObject({ finish_reason: "stop" });
    expect(scripted.calls.at(-1)!.options).toMatchObject({ temperature: 0.5, maxTokens: 100, topP: 0.9 });
    const all = await model.batch(["a", "b", "c"]);
    expect(all.map(({ content }) => content)).toEqual(Array(3).fill("Hello, world! Grüße 🌍."));
  });

  it("streams, with log-probabilities", async () => {
    let whole: AIMessageChunk | undefined;
    for await (const chunk of await chat(0, "fake", { logprobs: true, topLogprobs: 2 }).stream("Hi"))
      whole = whole ? whole.concat(chunk) : chunk;
    expect(whole!.content).toBe("Hello, world! Grüße 🌍.");
    expect(whole!.usage_metadata).toMatchObject({ input_tokens: 10, output_tokens: 28 });
    const { logprobs } = whole!.response_metadata as { logprobs: { content: unknown[] } };
    expect(logprobs.content).toHaveLength(28);
  });

  it("completes texts", async () => {
    const model = new OpenAI({
      ...{ model: "fake", apiKey: "none", maxTokens: 5, maxRetries: 0 },
      configuration: { baseURL: `${servers[0]!.url}/v1` },
    });
    expect(await model.invoke("Once")).toBe("Hello");
  });

  it.each(["jsonSchema", "functionCalling", "jsonMode"] as const)(
    "gets structured output by %s",
    async (method) => {
      const settings = { maxTokens: 300, temperature: 1, modelKwargs: { seed: 4 } };
      const json = fakeModel({ answer: '{"kind": "pun", "rating": 3}', contextLength: 4096 });
      const server = await listen(createApp(json), { host: "127.0.0.1", port: 0 });
      servers.push(server);
      // A model that is free to choose its fields would hardly choose those.
      const model =
        method === "jsonMode" ? chat(servers.length - 1, "fake", settings) : chat(1, tiny.name, settings);
      const joke = await model.withStructuredOutput(Joke, { method, name: "joke" }).invoke("A joke as JSON.");
      expect(Joke.parse(joke)).toEqual(joke);
    },
  );

  it("binds tools, sends their results back, and demands them", async () => {
    const model = chat(0, "fake").bindTools([weather]);
    const question = new HumanMessage("Weather?");
    const called = await model.invoke([question]);
    expect(called.tool_calls).toMatchObject([{ name: "weather", args: { city: "Bern" } }]);
    const results = await Promise.all(called.tool_calls!.map((call) => weather.invoke(call)));
    expect(results[0]).toBeInstanceOf(ToolMessage);
    const answer = await model.invoke([question, called, ...(results as ToolMessage[])]);
    expect(answer.content).toBe("It is sunny.");
    let streamed: AIMessageChunk | undefined;
    for await (const chunk of await model.stream([question]))
      streamed = streamed ? streamed.concat(chunk) : chunk;
    expect(streamed!.tool_calls).toMatchObject([{ name: "weather", args: { city: "Bern" } }]);
    for (const tool_choice of ["any", "required", "weather"]) {
      const forced = chat(1, tiny.name, { maxTokens: 300 }).bindTools([weather], {
        ...{ tool_choice, parallel_tool_calls: false },
      });
      const { tool_calls } = await forced.invoke("Weather?");
      expect(tool_calls).toMatchObject([
        { name: "weather", args: { city: expect.stringMatching(/Bern|Rome/) } },
      ]);
    }
  });

  it("talks to the responses endpoint too", async () => {
    const model = chat(0, "fake", { useResponsesApi: true });
    expect((await model.invoke("Hi")).text).toBe("Hello, world! Grüße 🌍.");
    let text = "";
    for await (const chunk of await model.stream("Hi")) text += chunk.text;
    expect(text).toBe("Hello, world! Grüße 🌍.");
  });
});
