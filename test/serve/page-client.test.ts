/** What the page asks of the server, over the server itself. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type AnswerEvent, chat, complete, firstModel } from "../../src/web/chat/api.ts";
import { welcomeOf } from "../../src/web/chat/welcome.ts";
import { type FakeOptions, fakeModel } from "../support/fake-model.ts";

/** Sends the page's requests to an app over this model. */
function serve(fake: FakeOptions = {}) {
  const model = fakeModel(fake);
  const app = createApp(model, { onError: () => {} });
  vi.stubGlobal("fetch", (path: string, init?: RequestInit) => app.request(`http://localhost${path}`, init));
  return model;
}
afterEach(() => {
  vi.unstubAllGlobals();
});

const settings = { temperature: 0.5, maxTokens: 5 };
const { signal } = new AbortController();
const all = async (events: AsyncIterable<AnswerEvent>) => {
  const list: AnswerEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
};
const textOf = (events: readonly AnswerEvent[]) =>
  events.map((event) => (event.kind === "text" ? event.text : "")).join("");

describe("the page's client", () => {
  it("learns what is served", async () => {
    serve({ chats: false });
    expect(await firstModel()).toMatchObject({
      id: "fake",
      chat: false,
      context_length: 128,
      parameters: 1000,
    });
  });

  it("streams a talk and a text, with how they ended and what they took", async () => {
    const model = serve();
    for (const events of [
      await all(chat([{ role: "user", content: "Hi" }], settings, signal)),
      await all(complete("Once", settings, signal)),
    ]) {
      expect(textOf(events)).toBe("Hello");
      expect(events).toContainEqual({ kind: "finish", reason: "length" });
      expect(events.at(-1)).toMatchObject({ kind: "usage", tokens: 5 });
    }
    expect(model.calls[1]?.options).toMatchObject({ temperature: 0.5, maxTokens: 5 });
  });

  it("shows the server's own words when it is refused, and when a stream fails", async () => {
    const model = serve();
    await expect(all(complete("x".repeat(200), settings, signal))).rejects.toThrow(
      /201 tokens .* context of 128/,
    );
    const { generate } = model;
    model.generate = (prompt, options) => ({
      ...generate(prompt, options),
      async *events() {
        yield { token: 65, text: "A" };
        throw new Error("broken");
      },
    });
    await expect(all(complete("Once", settings, signal))).rejects.toThrow(/the server failed/);
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
