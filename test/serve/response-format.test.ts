/** `response_format` over a real socket, with the official client. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";

const answer = '{"city": "Bern", "degrees": 21.5}';
const model = fakeModel({ answer, contextLength: 4096 });
const schema = {
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "number" } },
  required: ["city", "degrees"],
  additionalProperties: false,
};
const messages = [{ role: "user" as const, content: "Weather?" }];
let server: Listening;
let client: OpenAI;

beforeAll(async () => {
  server = await listen(createApp(model), { host: "127.0.0.1", port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close(0));

const format = (json_schema: object) => ({
  type: "json_schema" as const,
  json_schema: { name: "weather", strict: true, ...json_schema },
});

describe("response_format", () => {
  it("is parsed by the client's helper, whole and as a stream", async () => {
    const response_format = format({ schema });
    const whole = await client.chat.completions.parse({ model: "fake", messages, response_format, n: 2 });
    expect(whole.choices.map(({ message }) => message.content)).toEqual([answer, answer]);
    const stream = client.chat.completions.stream({ model: "fake", messages, response_format });
    expect((await stream.finalChatCompletion()).choices[0]?.message.content).toBe(answer);
    expect(model.calls.at(-1)?.options.grammar).toEqual({ jsonSchema: schema, whitespace: "single" });
  });

  it("takes any object, and text", async () => {
    const object = await client.chat.completions.create({
      model: "fake",
      messages,
      response_format: { type: "json_object" },
    });
    expect(object.choices[0]?.message.content).toBe(answer);
    expect(model.calls.at(-1)?.options.grammar).toEqual({
      jsonSchema: { type: "object" },
      whitespace: "single",
    });
    await client.chat.completions.create({ model: "fake", messages, response_format: { type: "text" } });
    expect(model.calls.at(-1)?.options.grammar).toBeUndefined();
  });

  it.each([
    [{ type: "json_schema" }, "response_format.json_schema", /missing/],
    [format({ name: "a b" }), "response_format.json_schema.name", /letters/],
    [format({ other: 1 }), "response_format.json_schema.other", /no such field/],
    [
      format({ schema: { type: "array", uniqueItems: true } }),
      "response_format",
      /\/uniqueItems: the keyword/,
    ],
    [format({ schema: { type: "integer", minimum: 2, maximum: 1 } }), "response_format", /allows no text/],
    [{ type: "xml" }, "response_format.type", /must be text/],
  ])("%j is refused by name", async (response_format, param, message) => {
    const asked = client.chat.completions.create({
      model: "fake",
      messages,
      response_format: response_format as never,
    });
    await expect(asked).rejects.toMatchObject({
      status: 400,
      param,
      message: expect.stringMatching(message),
    });
  });

  it("is refused with ignore_eos", async () => {
    const body = { model: "fake", messages, response_format: { type: "json_object" }, ignore_eos: true };
    await expect(client.chat.completions.create(body as never)).rejects.toMatchObject({
      status: 400,
      param: "ignore_eos",
    });
  });
});
