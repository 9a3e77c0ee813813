/** LangChain's client for OpenAI, pointed at the server. */
import { type AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, type ChatOpenAIFields, OpenAI } from "@langchain/openai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { clientServers, toolCall, toolTemplate } from "../support/client-servers.ts";
import { fakeModel } from "../support/fake-model.ts";

const scripted = fakeModel({
  template: toolTemplate,
  contextLength: 4096,
  answer: (prompt) =>
    prompt.includes("tool: ")
      ? "It is sunny."
      : prompt.includes("Weather")
        ? toolCall("weather", { city: "Bern" })
        : "Hello, world! Grüße 🌍.",
});
const weather = tool(({ city }) => `sunny in ${city}`, {
  ...{ name: "weather", description: "The weather of a city" },
  schema: z.object({ city: z.enum(["Bern", "Rome"]) }),
});
const Joke = z.object({ kind: z.enum(["pun", "riddle"]), rating: z.number().int().min(1).max(10) });

const served = clientServers(scripted);
const chat = (model: LanguageModel, more: ChatOpenAIFields = {}) =>
  new ChatOpenAI({
    ...{ model: model.name, apiKey: "none", maxRetries: 0, configuration: { baseURL: served.url(model) } },
    ...more,
  });

describe("LangChain", () => {
  it("invokes, with usage, and several at once", async () => {
    const model = chat(scripted, { temperature: 0.5, maxTokens: 100, stop: ["zzz"], topP: 0.9 });
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
    for await (const chunk of await chat(scripted, { logprobs: true, topLogprobs: 2 }).stream("Hi"))
      whole = whole ? whole.concat(chunk) : chunk;
    expect(whole!.content).toBe("Hello, world! Grüße 🌍.");
    expect(whole!.usage_metadata).toMatchObject({ input_tokens: 10, output_tokens: 28 });
    const { logprobs } = whole!.response_metadata as { logprobs: { content: unknown[] } };
    expect(logprobs.content).toHaveLength(28);
  });

  it("completes texts", async () => {
    const model = new OpenAI({
      ...{ model: "fake", apiKey: "none", maxTokens: 5, maxRetries: 0 },
      configuration: { baseURL: served.url(scripted) },
    });
    expect(await model.invoke("Once")).toBe("Hello");
  });

  it.each(["jsonSchema", "functionCalling", "jsonMode"] as const)(
    "gets structured output by %s",
    async (method) => {
      const settings = { maxTokens: 300, temperature: 1, modelKwargs: { seed: 4 } };
      const json = fakeModel({ answer: '{"kind": "pun", "rating": 3}', contextLength: 4096 });
      await served.add(json);
      // A model that is free to choose its fields would hardly choose those.
      const model = chat(method === "jsonMode" ? json : served.tiny, settings);
      const joke = await model.withStructuredOutput(Joke, { method, name: "joke" }).invoke("A joke as JSON.");
      expect(Joke.parse(joke)).toEqual(joke);
    },
  );

  it("binds tools, sends their results back, and demands them", async () => {
    const model = chat(scripted).bindTools([weather]);
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
      const forced = chat(served.tiny, { maxTokens: 300 }).bindTools([weather], {
        ...{ tool_choice, parallel_tool_calls: false },
      });
      const { tool_calls } = await forced.invoke("Weather?");
      expect(tool_calls).toMatchObject([
        { name: "weather", args: { city: expect.stringMatching(/Bern|Rome/) } },
      ]);
    }
  });

  it("talks to the responses endpoint too", async () => {
    const model = chat(scripted, { useResponsesApi: true });
    expect((await model.invoke("Hi")).text).toBe("Hello, world! Grüße 🌍.");
    let text = "";
    for await (const chunk of await model.stream("Hi")) text += chunk.text;
    expect(text).toBe("Hello, world! Grüße 🌍.");
  });
});
