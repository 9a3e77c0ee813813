/** The official OpenAI client over a real socket. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";

const model = fakeModel({ delay: 1, contextLength: 4096 });
let server: Listening;
let client: OpenAI;
const messages = [{ role: "user" as const, content: "Hi" }];

beforeAll(async () => {
  server = await listen(createApp(model), { host: "127.0.0.1", port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close(0));

describe("the official client", () => {
  it("lists and retrieves models", async () => {
    const list = await client.models.list();
    expect(list.data.map((m) => m.id)).toEqual(["fake"]);
    expect((await client.models.retrieve("fake")).object).toBe("model");
  });

  it("chats", async () => {
    const answer = await client.chat.completions.create({ model: "fake", messages, temperature: 0 });
    expect(answer.choices[0]?.message.content).toBe("Hello, world! Grüße 🌍.");
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.usage?.total_tokens).toBe(38);
  });

  it("streams a chat", async () => {
    const stream = await client.chat.completions.create({
      model: "fake",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect(text).toBe("Hello, world! Grüße 🌍.");
    expect(usage).toBe(28);
  });

  it("uses the streaming helper, with log-probabilities", async () => {
    const runner = client.chat.completions.stream({
      model: "fake",
      messages,
      logprobs: true,
      top_logprobs: 2,
    });
    const final = await runner.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe("Hello, world! Grüße 🌍.");
    expect(final.choices[0]?.logprobs?.content).toHaveLength(28);
    expect(final.choices[0]?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(2);
  });

  it("completes text, whole and as a stream", async () => {
    const whole = await client.completions.create({
      model: "fake",
      prompt: "A",
      max_tokens: 5,
      n: 2,
      logprobs: 1,
    });
    expect(whole.choices.map((c) => c.text)).toEqual(["Hello", "Hello"]);
    expect(whole.choices[0]?.logprobs?.tokens).toEqual(["H", "e", "l", "l", "o"]);
    const stream = await client.completions.create({
      model: "fake",
      prompt: "A",
      max_tokens: 5,
      stream: true,
    });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? "";
    expect(text).toBe("Hello");
  });

  it("gets errors as its own classes", async () => {
    const bad = client.chat.completions.create({ model: "fake", messages, temperature: 9 });
    await expect(bad).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(bad).rejects.toMatchObject({ status: 400, param: "temperature" });
    const missing = client.chat.completions.create({ model: "other", messages });
    await expect(missing).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it("aborts a stream, and the generation ends", async () => {
    const before = model.endings.length;
    const stream = await client.completions.create({
      model: "fake",
      prompt: "A",
      max_tokens: 4000,
      stream: true,
      ignore_eos: true,
    } as never);
    for await (const _ of stream as unknown as AsyncIterable<unknown>) break;
    await expect.poll(() => model.endings.slice(before)).toEqual(["abort"]);
  });

  it("aborts an answer that is not streamed, and the generation ends", async () => {
    const before = model.endings.length;
    const calls = model.calls.length;
    const controller = new AbortController();
    const body = { model: "fake", prompt: "A", max_tokens: 4000, ignore_eos: true };
    const pending = client.completions.create(body as never, { signal: controller.signal });
    await expect.poll(() => model.calls.length).toBeGreaterThan(calls);
    controller.abort();
    await expect(pending).rejects.toThrow();
    await expect.poll(() => model.endings.slice(before)).toEqual(["abort"]);
  });

  it("serves many at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        client.completions.create({ model: "fake", prompt: "A", max_tokens: 5 }),
      ),
    );
    expect(answers.every((a) => a.choices[0]?.text === "Hello")).toBe(true);
  });

  it("refuses a port in use in one sentence", async () => {
    await expect(listen(createApp(model), { host: "127.0.0.1", port: server.port })).rejects.toThrow(
      /in use/,
    );
  });

  it("waits for running requests when it closes, and takes no new ones", async () => {
    const slow = fakeModel({ delay: 10 });
    const own = await listen(createApp(slow), { host: "127.0.0.1", port: 0 });
    const url = `${own.url}/v1/completions`;
    const pending = fetch(url, { method: "POST", body: JSON.stringify({ prompt: "A", max_tokens: 10 }) });
    await expect.poll(() => slow.calls.length).toBe(1);
    const closed = own.close(50_000);
    expect((await pending).status).toBe(200);
    await closed;
    await expect(fetch(`${own.url}/health`)).rejects.toThrow();
  });
});
