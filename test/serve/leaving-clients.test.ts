/** What Anthropic's and Ollama's clients, and the AI SDK, do when they leave, and when an answer breaks off. */

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { streamText } from "ai";
import { Ollama } from "ollama";
import { afterEach, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { Gate } from "../../src/serve/gate.ts";
import { listen } from "../../src/serve/listen.ts";
import { type FakeModel, fakeModel } from "../support/fake-model.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

interface Served {
  readonly url: string;
  readonly model: FakeModel;
  readonly gate: Gate;
}

async function serve(timeout: number): Promise<Served> {
  const model = fakeModel({ delay: 2, contextLength: 100_000, answer: "on and on ".repeat(9000) });
  const gate = new Gate(8);
  const app = createApp(model, { gate, timeout });
  const server = await listen(app, { host: "127.0.0.1", port: 0 });
  ends.push(() => server.close(0));
  return { url: server.url, model, gate };
}

const messages = [{ role: "user" as const, content: "Hi" }];
const body = { model: "fake", max_tokens: 80_000, messages };

describe("Anthropic's client", () => {
  const client = (url: string) => new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });

  it("aborts streams and answers, and their generations end", async () => {
    const { url, model, gate } = await serve(60_000);
    const stream = client(url).messages.stream(body);
    stream.once("text", () => stream.abort());
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIUserAbortError);
    const leaving = new AbortController();
    const timeout = 60_000; // with so many tokens the client would rather stream
    const whole = client(url).messages.create(body, { signal: leaving.signal, timeout });
    await expect.poll(() => model.calls.length).toBe(2);
    leaving.abort();
    await expect(whole).rejects.toBeInstanceOf(Anthropic.APIUserAbortError);
    await expect.poll(() => model.endings).toEqual(["abort", "abort"]);
    await gate.drain();
  });

  it("is told of an answer that breaks off", async () => {
    const { url } = await serve(100);
    const stream = client(url).messages.stream(body);
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIError);
    await expect(stream.finalMessage()).rejects.toThrow(/not complete after 0.1 s/);
    const whole = client(url).messages.create(body, { timeout: 60_000 });
    await expect(whole).rejects.toMatchObject({ status: 504 });
  });
});

describe("Ollama's client", () => {
  it("aborts streams, and their generations end", async () => {
    const { url, model, gate } = await serve(60_000);
    const client = new Ollama({ host: url });
    for (const stream of [
      await client.chat({ model: "fake", messages, stream: true }),
      await client.generate({ model: "fake", prompt: "Hi", stream: true }),
    ])
      await expect(
        (async () => {
          for await (const _ of stream) client.abort();
        })(),
      ).rejects.toMatchObject({ name: "AbortError" });
    await expect.poll(() => model.endings).toEqual(["abort", "abort"]);
    await gate.drain();
  });

  it("is told of an answer that breaks off, and of what does not exist", async () => {
    const { url } = await serve(100);
    const client = new Ollama({ host: url });
    const read = async () => {
      for await (const _ of await client.chat({ model: "fake", messages, stream: true }));
    };
    await expect(read()).rejects.toThrow(/not complete after 0.1 s/);
    await expect(client.chat({ model: "fake", messages })).rejects.toMatchObject({ status_code: 504 });
    await expect(client.chat({ model: "other", messages })).rejects.toThrow(/"other" not found/);
    await expect(client.embed({ model: "fake", input: "x" })).rejects.toMatchObject({ status_code: 404 });
  });
});

it("the AI SDK is told of an answer that breaks off", async () => {
  const { url } = await serve(100);
  const provider = createOpenAICompatible({ name: "fovea", baseURL: `${url}/v1` });
  const errors: unknown[] = [];
  const result = streamText({
    ...{ model: provider("fake"), prompt: "Hi", maxRetries: 0 },
    onError: ({ error }) => {
      errors.push(error);
    },
  });
  let text = "";
  for await (const piece of result.textStream) text += piece;
  expect(text).toMatch(/^o/);
  expect(JSON.stringify(errors)).toMatch(/not complete after 0.1 s/);
  expect(await result.finishReason).toBe("error");
});
