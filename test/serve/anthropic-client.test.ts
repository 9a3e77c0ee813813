/** The official Anthropic client over a real socket. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";

const model = fakeModel({ delay: 1, contextLength: 256 });
let server: Listening;
let client: Anthropic;
const messages = [{ role: "user" as const, content: "Hi" }];
const text = "Hello, world! Grüße 🌍.";

beforeAll(async () => {
  server = await listen(createApp(model, { keys: ["secret"] }), { host: "127.0.0.1", port: 0 });
  client = new Anthropic({ baseURL: server.url, apiKey: "secret", maxRetries: 0 });
});
afterAll(() => server.close(0));

describe("the official client", () => {
  it("gets a message", async () => {
    const message = await client.messages.create({ model: "fake", max_tokens: 64, messages });
    expect(message).toMatchObject({
      type: "message",
      role: "assistant",
      model: "fake",
      content: [{ type: "text", text }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: { input_tokens: 10, output_tokens: 28 },
    });
    expect(message.id).toMatch(/^msg-/);
  });

  it("streams, and its own reader puts the message together", async () => {
    const kinds: string[] = [];
    const stream = client.messages.stream({ model: "fake", max_tokens: 64, messages });
    stream.on("streamEvent", ({ type }) => kinds.push(type));
    const message = await stream.finalMessage();
    expect(message.content).toMatchObject([{ type: "text", text }]);
    expect(message.usage).toMatchObject({ input_tokens: 10, output_tokens: 28 });
    expect(message.stop_reason).toBe("end_turn");
    expect([...new Set(kinds)]).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
  });

  it("is told which stop text ended an answer, and when the limit did", async () => {
    const stopped = await client.messages.create({
      model: "fake",
      max_tokens: 64,
      messages,
      stop_sequences: ["wor", "Gr"],
    });
    expect(stopped).toMatchObject({
      content: [{ text: "Hello, " }],
      stop_reason: "stop_sequence",
      stop_sequence: "wor",
    });
    const cut = await client.messages.create({ model: "fake", max_tokens: 3, messages });
    expect(cut).toMatchObject({ content: [{ text: "Hel" }], stop_reason: "max_tokens" });
  });

  it("gives system, blocks and sampling to the model", async () => {
    await client.messages.create({
      model: "fake",
      max_tokens: 5,
      system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
      messages: [
        { role: "user", content: [{ type: "text", text: "a" }] },
        { role: "assistant", content: "b" },
        { role: "user", content: "c" },
      ],
      temperature: 0.5,
      top_k: 10,
      top_p: 0.9,
      metadata: { user_id: "u" },
    } as never);
    const { prompt, options } = model.calls.at(-1)!;
    expect(String.fromCharCode(...prompt.slice(1))).toBe(
      "system: Be brief.\nuser: a\nassistant: b\nuser: c\n",
    );
    expect(options).toMatchObject({ temperature: 0.5, topK: 10, topP: 0.9, maxTokens: 5 });
  });

  it("counts tokens and lists models", async () => {
    expect(await client.messages.countTokens({ model: "fake", messages })).toEqual({ input_tokens: 10 });
    const list = await client.models.list();
    expect(list.data).toMatchObject([{ type: "model", id: "fake" }]);
    expect(await client.models.retrieve("fake")).toMatchObject({ id: "fake", display_name: "fake" });
  });

  it("gets refusals as the errors that it knows", async () => {
    const create = (body: object) =>
      client.messages.create({ model: "fake", max_tokens: 5, messages, ...body } as never);
    const wrong: [object, new (...args: never[]) => Error, RegExp][] = [
      [{ temperature: 2 }, Anthropic.BadRequestError, /temperature: must be a number from 0 to 1/],
      [{ colour: "red" }, Anthropic.BadRequestError, /colour: no such field/],
      [{ max_tokens: undefined }, Anthropic.BadRequestError, /max_tokens: is needed/],
      [{ max_tokens: 300 }, Anthropic.BadRequestError, /300 tokens exceed .* 256/],
      [{ messages: [] }, Anthropic.BadRequestError, /at least one message/],
      [
        { messages: [...messages, { role: "assistant", content: "So" }] },
        Anthropic.BadRequestError,
        /must end with a message of the user/,
      ],
      [
        { messages: [{ role: "user", content: [{ type: "image" }] }] },
        Anthropic.BadRequestError,
        /only ..text../,
      ],
      [
        { messages: [{ role: "user", content: "x".repeat(300) }] },
        Anthropic.BadRequestError,
        /context of 256/,
      ],
      [
        { thinking: { type: "enabled", budget_tokens: 1024 } },
        Anthropic.BadRequestError,
        /thinking.budget_tokens: /,
      ],
      [{ model: "other" }, Anthropic.NotFoundError, /serves ..fake/],
    ];
    for (const [body, kind, message] of wrong) {
      const error = await create(body).then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(kind);
      expect((error as Error).message).toMatch(message);
      expect(error).toMatchObject({ error: { type: "error", error: { type: expect.any(String) } } });
    }
    const stranger = new Anthropic({ baseURL: server.url, apiKey: "wrong", maxRetries: 0 });
    await expect(stranger.messages.create({ model: "fake", max_tokens: 5, messages })).rejects.toBeInstanceOf(
      Anthropic.AuthenticationError,
    );
  });
});
