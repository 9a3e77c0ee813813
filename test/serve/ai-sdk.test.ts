/** Vercel's AI SDK with its provider for OpenAI-compatible servers. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { clientServers, toolCall, toolTemplate } from "../support/client-servers.ts";
import { fakeModel } from "../support/fake-model.ts";

Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

const scripted = fakeModel({
  template: toolTemplate,
  contextLength: 4096,
  answer: (prompt) => (prompt.includes("tool: ") ? "It is sunny." : toolCall("weather", { city: "Bern" })),
});
const talker = fakeModel({ contextLength: 4096, delay: 1 });
const Recipe = z.object({
  name: z.enum(["soup", "bread"]),
  steps: z.array(z.object({ minutes: z.number().int().min(1).max(90) })).max(3),
});

const served = clientServers(scripted, talker);
const provider = (model: LanguageModel, supportsStructuredOutputs = true) =>
  createOpenAICompatible({
    ...{ name: "fovea", baseURL: served.url(model), includeUsage: true },
    ...{ supportsStructuredOutputs },
  });
const tinyModel = () => provider(served.tiny)(served.tiny.name);
const quiet = { maxRetries: 0 };

describe("texts", () => {
  it("are streamed, with usage and the reason of the end", async () => {
    const result = streamText({ model: provider(talker)("fake"), prompt: "Hi", ...quiet });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    expect(text).toBe("Hello, world! Grüße 🌍.");
    expect(await result.finishReason).toBe("stop");
    expect(await result.usage).toMatchObject({ outputTokens: 28, inputTokens: 10, totalTokens: 38 });
  });

  it("are generated with all settings that the SDK has", async () => {
    const { text, response } = await generateText({
      ...{ model: provider(talker)("fake"), system: "Be brief.", prompt: "Hi", ...quiet },
      ...{ maxOutputTokens: 5, temperature: 0.5, topP: 0.9, seed: 3, stopSequences: ["zzz"] },
      ...{ presencePenalty: 0.1, frequencyPenalty: 0.2 },
    });
    expect(text).toBe("Hello");
    expect(response.modelId).toBe("fake");
    expect(talker.calls.at(-1)!.options).toMatchObject({
      ...{ maxTokens: 5, temperature: 0.5, topP: 0.9, seed: 3, stop: ["zzz"] },
      ...{ presencePenalty: 0.1, frequencyPenalty: 0.2 },
    });
  });

  it("of a prompt alone come from the endpoint of text completions", async () => {
    const { text } = await generateText({
      ...{ model: provider(talker).completionModel("fake"), prompt: "Once", maxOutputTokens: 5, ...quiet },
    });
    expect(text).toBe("Hello");
  });

  it("end with the client's signal", async () => {
    const before = talker.endings.length;
    const leaving = new AbortController();
    const { textStream } = streamText({
      ...{ model: provider(talker)("fake"), prompt: "Hi", abortSignal: leaving.signal, ...quiet },
      providerOptions: { fovea: { ignore_eos: true } },
    });
    for await (const _ of textStream) leaving.abort();
    await expect.poll(() => talker.endings.slice(before)).toEqual(["abort"]);
  });

  it("that are refused tell why", async () => {
    const wrong = generateText({ model: provider(talker)("fake"), prompt: "Hi", temperature: 9, ...quiet });
    await expect(wrong).rejects.toMatchObject({
      ...{ name: "AI_APICallError", statusCode: 400, isRetryable: false },
      message: expect.stringMatching(/^temperature: must be a number from 0 to 2/),
    });
  });
});

describe("objects", () => {
  const settings = { prompt: "Cook.", seed: 2, temperature: 1, maxOutputTokens: 600, ...quiet };

  it("fit their schema, whole and streamed", async () => {
    const { object } = await generateObject({ model: tinyModel(), schema: Recipe, ...settings });
    expect(Recipe.parse(object)).toEqual(object);
    const streamed = streamObject({ model: tinyModel(), schema: Recipe, ...settings });
    let parts = 0;
    for await (const _ of streamed.partialObjectStream) parts++;
    expect(await streamed.object).toEqual(object);
    expect(parts).toBeGreaterThan(1);
  });

  it("come as outputs of texts, and as choices", async () => {
    const { output } = await generateText({
      ...{ model: tinyModel(), output: Output.object({ schema: Recipe }), ...settings },
    });
    expect(Recipe.parse(output)).toEqual(output);
    const chosen = await generateText({
      ...{ model: tinyModel(), output: Output.choice({ options: ["yes", "no"] }), ...settings },
    });
    expect(["yes", "no"]).toContain(chosen.output);
  });

  it("without a schema on the wire are JSON all the same", async () => {
    const answer = fakeModel({ answer: '{"name": "soup", "steps": []}', contextLength: 4096 });
    await served.add(answer);
    const { object } = await generateObject({
      ...{ model: provider(answer, false)("fake"), schema: Recipe, ...settings },
    });
    expect(object).toEqual({ name: "soup", steps: [] });
    expect(answer.calls[0]!.options.grammar).toMatchObject({ jsonSchema: { type: "object" } });
  });
});

describe("tools", () => {
  const asked: string[] = [];
  const weather = tool({
    description: "The weather of a city",
    inputSchema: z.object({ city: z.enum(["Bern", "Rome"]) }),
    execute: ({ city }) => {
      asked.push(city);
      return { sky: "sunny" };
    },
  });

  it.each([false, true])("take several steps; streamed: %s", async (stream) => {
    asked.length = 0;
    const settings = {
      ...{ model: provider(scripted)("fake"), prompt: "Weather?", tools: { weather }, ...quiet },
      stopWhen: stepCountIs(4),
    };
    const result = stream ? streamText(settings) : await generateText(settings);
    expect(await result.text).toBe("It is sunny.");
    expect(asked).toEqual(["Bern"]);
    expect((await result.steps).map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
    const said = String.fromCharCode(...scripted.calls.at(-1)!.prompt.slice(1));
    expect(said).toContain('tool: {"sky":"sunny"}');
  });

  it.each([false, true])("that are demanded are called by any model; streamed: %s", async (stream) => {
    const settings = {
      ...{ model: tinyModel(), prompt: "Weather?", tools: { weather }, ...quiet },
      ...{ seed: 1, maxOutputTokens: 300, toolChoice: { type: "tool", toolName: "weather" } as const },
    };
    const result = stream ? streamText(settings) : await generateText(settings);
    const calls = await result.toolCalls;
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      toolName: "weather",
      input: { city: expect.stringMatching(/Bern|Rome/) },
    });
  });
});
