/** What the page asks of the server, over the server itself. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { failureOf } from "../../src/web/api/failure.ts";
import { setKey } from "../../src/web/api/http.ts";
import { listModels } from "../../src/web/api/models.ts";
import { ask, type Question, tokensOf } from "../../src/web/api/stream.ts";
import { welcomeOf } from "../../src/web/chat/welcome.ts";
import { all, serve, textOf } from "./support.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  setKey(undefined);
});

const { signal } = new AbortController();
const talk: Question = { kind: "chat", messages: [{ role: "user", content: "Hi" }] };
const text: Question = { kind: "text", prompt: "Once" };
const plain = { fields: {}, probabilities: false };
const failure = (work: Promise<unknown>) => work.then(() => undefined, failureOf);

describe("the page's client", () => {
  it("learns what is served", async () => {
    serve({ chats: false });
    expect(await listModels()).toEqual([
      { id: "fake", chat: false, contextLength: 128, parameters: 1000, device: "none" },
    ]);
  });

  it("streams a talk and a text, with how they ended and what they took", async () => {
    const model = serve();
    for (const [question, limit] of [
      [talk, "max_completion_tokens"],
      [text, "max_tokens"],
    ] as const) {
      const asking = { fields: { temperature: 0.5, [limit]: 5 }, model: "fake", probabilities: false };
      const events = await all(ask(question, asking, signal));
      expect(textOf(events)).toBe("Hello");
      expect(events).toContainEqual({ kind: "finish", reason: "length" });
      expect(events.at(-1)).toMatchObject({ kind: "usage", tokens: 5 });
    }
    expect(model.calls[1]?.options).toMatchObject({ temperature: 0.5, maxTokens: 5 });
    expect(model.calls[1]?.options.logprobs).toBeUndefined();
  });

  it("gets each token with its probability, its alternatives and its part of the text", async () => {
    serve();
    for (const question of [talk, text]) {
      const fields = question.kind === "text" ? { max_tokens: 40 } : {};
      const events = await all(ask(question, { fields, probabilities: true }, signal));
      const tokens = events.flatMap((event) => (event.kind === "text" ? (event.tokens ?? []) : []));
      expect(textOf(events)).toBe("Hello, world! Grüße 🌍.");
      expect(tokens.map((token) => token.text).join("")).toBe(textOf(events));
      expect(tokens[0]).toEqual({
        text: "H",
        logprob: -0.5,
        top: [
          ["H", -0.5],
          ["I", -1.5],
          ["J", -2.5],
          ["K", -3.5],
          ["L", -4.5],
        ],
      });
      // Half a character has no text, but a name.
      expect(tokens.filter((token) => token.text === "" && token.name !== "").length).toBeGreaterThan(4);
    }
  });

  it("knows the tokens of a text and of messages", async () => {
    serve();
    expect(await tokensOf({ prompt: "AB", add_special_tokens: false }, undefined, signal)).toEqual([65, 66]);
    const messages = [{ role: "user", content: "A" }];
    expect(await tokensOf({ messages }, "fake", signal)).toEqual([256, ...Buffer.from("user: A\n")]);
  });

  it("shows the server's own words when it is refused, and when a stream fails", async () => {
    const model = serve();
    const long: Question = { kind: "text", prompt: "x".repeat(200) };
    expect(await failure(all(ask(long, plain, signal)))).toMatchObject({
      message: expect.stringMatching(/201 tokens .* context of 128/),
      status: 400,
      code: "context_length_exceeded",
      param: "prompt",
    });
    const { generate } = model;
    model.generate = (prompt, options) => ({
      ...generate(prompt, options),
      async *events() {
        yield { token: 65, text: "A" };
        throw new Error("broken");
      },
    });
    expect(await failure(all(ask(text, plain, signal)))).toMatchObject({
      message: expect.stringMatching(/the server failed/),
    });
  });

  it("says that a connection broke, that none was had, and what a stranger answered", async () => {
    vi.stubGlobal("fetch", async () => new Response('data: {"choices":[{"text":"A"}]}\n\n'));
    expect((await failure(all(ask(text, plain, signal))))?.message).toMatch(/ended before the answer was/);
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("refused");
    });
    expect((await failure(listModels()))?.message).toBe("The server cannot be reached: refused.");
    vi.stubGlobal(
      "fetch",
      async () => new Response("Bad gateway", { status: 502, headers: { "retry-after": "3" } }),
    );
    expect(await failure(listModels())).toEqual({ message: "Bad gateway", status: 502, retryAfter: 3 });
  });

  it("sends the key that it was given", async () => {
    serve({}, { keys: ["secret"] });
    expect(await failure(listModels())).toMatchObject({ status: 401, code: "missing_api_key" });
    setKey("secret");
    expect(await listModels()).toHaveLength(1);
  });
});

describe("the welcome", () => {
  it("says what a model does, and that the default one continues prose", () => {
    expect(welcomeOf({ id: "default", chat: false }).about).toMatch(/continues prose.*does not chat/);
    expect(welcomeOf({ id: "stories260K", chat: false }).beginnings[0]).toMatch(/^Once upon a time/);
    expect(welcomeOf({ id: "another", chat: false }).about).toMatch(/does not chat/);
    expect(welcomeOf({ id: "default", chat: true }).title).toBe("Ask something.");
    expect(welcomeOf({ id: "constructor", chat: false }).title).toBe("Begin a text.");
  });
});
