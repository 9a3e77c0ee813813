/** OpenAI's responses through the official client over a real socket, and what is kept of them. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { ResponseStore } from "../../src/serve/responses/store.ts";
import { fakeModel } from "../support/fake-model.ts";

const model = fakeModel({ delay: 1, contextLength: 256 });
let server: Listening;
let client: OpenAI;
let other: OpenAI;
const text = "Hello, world! Grüße 🌍.";

beforeAll(async () => {
  server = await listen(createApp(model, { keys: ["one", "two"] }), { host: "127.0.0.1", port: 0 });
  const baseURL = `${server.url}/v1`;
  client = new OpenAI({ baseURL, apiKey: "one", maxRetries: 0 });
  other = new OpenAI({ baseURL, apiKey: "two", maxRetries: 0 });
});
afterAll(() => server.close(0));

const said = (): string => String.fromCharCode(...model.calls.at(-1)!.prompt.filter((id) => id < 128));

describe("responses", () => {
  it("are answered whole", async () => {
    const response = await client.responses.create({ model: "fake", input: "Hi", metadata: { a: "b" } });
    expect(response.output_text).toBe(text);
    expect(response).toMatchObject({
      object: "response",
      status: "completed",
      model: "fake",
      error: null,
      metadata: { a: "b" },
      usage: { input_tokens: 10, output_tokens: 28, total_tokens: 38 },
    });
  });

  it("are streamed, and the client's own reader puts them together", async () => {
    const stream = client.responses.stream({
      model: "fake",
      input: "Hi",
      include: ["message.output_text.logprobs"],
      top_logprobs: 1,
    });
    const numbers: number[] = [];
    const kinds: string[] = [];
    let deltas = "";
    for await (const event of stream) {
      numbers.push(event.sequence_number);
      if (event.type === "response.output_text.delta") deltas += event.delta;
      if (kinds.at(-1) !== event.type) kinds.push(event.type);
    }
    expect(deltas).toBe(text);
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(kinds).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const final = await stream.finalResponse();
    expect(final.output_text).toBe(text);
    const [item] = final.output;
    expect(item).toMatchObject({ type: "message", content: [{ type: "output_text", text }] });
    expect((item as { content: { logprobs: unknown[] }[] }).content[0]!.logprobs).toHaveLength(28);
  });

  it("go on from one another; instructions do not", async () => {
    const first = await client.responses.create({ model: "fake", input: "One", instructions: "Rhyme." });
    expect(said()).toBe("system: Rhyme.\nuser: One\n");
    const second = await client.responses.create({
      model: "fake",
      previous_response_id: first.id,
      input: [{ role: "user", content: [{ type: "input_text", text: "Two" }] }],
      max_output_tokens: 5,
    });
    expect(said()).toMatch(/^user: One\nassistant: Hello, world![^\n]*\nuser: Two\n$/);
    expect(second).toMatchObject({
      previous_response_id: first.id,
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
    });
    // A client may also send all of it back, as it got it.
    await client.responses.create({
      model: "fake",
      input: [
        { role: "user", content: "One" },
        ...first.output,
        { role: "developer", content: "Stop." },
      ] as never,
    });
    expect(said()).toMatch(/^user: One\nassistant: Hello, world![^\n]*\nsystem: Stop.\n$/);
  });

  it("are kept for their owner, until they are deleted", async () => {
    const { id } = await client.responses.create({ model: "fake", input: "Keep" });
    expect((await client.responses.retrieve(id)).output_text).toBe(text);
    const items = await client.responses.inputItems.list(id);
    expect(items.data).toMatchObject([{ type: "message", role: "user", content: [{ text: "Keep" }] }]);
    const inputs = ["a", "b", "c"].map((content) => ({ role: "user" as const, content }));
    const long = await client.responses.create({ model: "fake", input: inputs });
    const seen: unknown[] = [];
    for await (const item of client.responses.inputItems.list(long.id, { order: "asc", limit: 2 }))
      seen.push(item);
    expect(seen).toMatchObject(inputs.map(({ content }) => ({ content: [{ text: content }] })));
    await expect(client.responses.inputItems.list(id, { after: "x" })).rejects.toMatchObject({
      ...{ status: 400, param: "after" },
    });
    await expect(other.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    await expect(
      other.responses.create({ model: "fake", input: "x", previous_response_id: id }),
    ).rejects.toMatchObject({ status: 404, param: "previous_response_id" });
    await client.responses.delete(id);
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    const gone = await client.responses.create({ model: "fake", input: "Forget", store: false });
    await expect(client.responses.retrieve(gone.id)).rejects.toMatchObject({ status: 404 });
  });

  it("are refused by name", async () => {
    const create = (body: object) =>
      client.responses.create({ model: "fake", input: "Hi", ...body } as never);
    const wrong: [object, string][] = [
      [{ truncation: "auto" }, "truncation"],
      [{ background: true }, "background"],
      [{ reasoning: { effort: "low" } }, "reasoning"],
      [{ colour: "red" }, "colour"],
      [{ input: [] }, "input"],
      [{ input: [{ type: "function_call_output", call_id: "a", output: "b" }] }, "input[0].call_id"],
      [{ input: [{ type: "web_search_call" }] }, "input[0].type"],
      [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0].type"],
      [{ include: ["file_search_call.results"] }, "include"],
      [{ top_logprobs: 2 }, "top_logprobs"],
      [{ stream_options: { include_obfuscation: false } }, "stream_options"],
      [{ max_output_tokens: 300 }, "max_output_tokens"],
      [{ input: "x".repeat(300) }, "input"],
    ];
    for (const [body, param] of wrong)
      await expect(create(body)).rejects.toMatchObject({ status: 400, param });
    const { id } = await client.responses.create({ model: "fake", input: "Hi" });
    for (const query of [{ stream: true as const }, { include: ["reasoning.encrypted_content" as const] }])
      await expect(client.responses.retrieve(id, query)).rejects.toMatchObject({ status: 400 });
  });
});

it("a full store forgets the oldest", () => {
  const store = new ResponseStore<string>(100);
  for (let i = 0; i < 10; i++) store.put(`r${i}`, "", "x".repeat(28));
  expect(() => store.get("r6", "")).toThrow(/the oldest are forgotten/);
  expect(store.get("r7", "")).toHaveLength(28);
  store.delete("r8", "");
  store.put("r10", "", "x".repeat(28));
  expect(store.get("r7", "")).toHaveLength(28);
});

describe("tokens", () => {
  const post = async (path: string, body: object) => {
    const response = await fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { "x-api-key": "one" },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as object };
  };

  it("go there and back", async () => {
    const there = await post("/tokenize", { prompt: "Grüße" });
    expect(there.body).toEqual({
      count: 8,
      max_model_len: 256,
      tokens: [256, 71, 114, 195, 188, 195, 159, 101],
    });
    const bare = await post("/tokenize", { prompt: "a", add_special_tokens: false });
    expect(bare.body).toMatchObject({ tokens: [97] });
    const talk = await post("/tokenize", { messages: [{ role: "user", content: "Hi" }] });
    expect(talk.body).toMatchObject({ count: 10 });
    expect((await post("/detokenize", { tokens: [71, 114, 195, 188] })).body).toEqual({ prompt: "Grü" });
  });

  it("are refused by name", async () => {
    for (const [path, body, param] of [
      ["/tokenize", {}, "prompt"],
      ["/tokenize", { prompt: "a", messages: [] }, "prompt"],
      ["/detokenize", {}, "tokens"],
      ["/detokenize", { tokens: [999] }, "tokens"],
      ["/detokenize", { tokens: [1], text: "" }, "text"],
    ] as const) {
      const { status, body: answer } = await post(path, body);
      expect([status, answer]).toMatchObject([400, { error: { param } }]);
    }
  });
});
