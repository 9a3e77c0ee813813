/** The official Ollama client over a real socket. */
import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";

const model = fakeModel({ delay: 1, contextLength: 256 });
const plain = fakeModel({ chats: false });
const servers: Listening[] = [];
let client: Ollama;
let ofPlain: Ollama;
const text = "Hello, world! Grüße 🌍.";
const messages = [{ role: "user", content: "Hi" }];

beforeAll(async () => {
  for (const served of [model, plain])
    servers.push(await listen(createApp(served), { host: "127.0.0.1", port: 0 }));
  [client, ofPlain] = servers.map(({ url }) => new Ollama({ host: url })) as [Ollama, Ollama];
});
afterAll(() => Promise.all(servers.map((server) => server.close(0))));

const said = (prompt: readonly number[]): string => String.fromCharCode(...prompt.filter((id) => id < 256));

describe("the official client", () => {
  it("chats, whole and as a stream", async () => {
    const whole = await client.chat({ model: "fake", messages });
    expect(whole).toMatchObject({
      model: "fake",
      message: { role: "assistant", content: text },
      done: true,
      done_reason: "stop",
      prompt_eval_count: 10,
      eval_count: 28,
    });
    expect(whole.total_duration).toBe(whole.prompt_eval_duration + whole.eval_duration);
    let joined = "";
    let last: object | undefined;
    for await (const part of await client.chat({ model: "fake:latest", messages, stream: true })) {
      joined += part.message.content;
      last = part;
    }
    expect(joined).toBe(text);
    expect(last).toMatchObject({ done: true, done_reason: "stop", eval_count: 28 });
  });

  it("gives its options to the model under the library's names", async () => {
    await client.chat({
      model: "fake",
      messages,
      keep_alive: "5m",
      options: {
        temperature: 0,
        top_k: 5,
        top_p: 0.5,
        min_p: 0.1,
        typical_p: 0.7,
        repeat_penalty: 1.2,
        repeat_last_n: 32,
        presence_penalty: 0.5,
        frequency_penalty: 0.25,
        seed: 3,
        num_predict: 4,
        stop: ["x"],
        num_ctx: 64,
        num_batch: 512,
        mirostat: 0,
        num_keep: 4,
      },
    });
    expect(model.calls.at(-1)!.options).toMatchObject({
      temperature: 0,
      topK: 5,
      topP: 0.5,
      minP: 0.1,
      typicalP: 0.7,
      repetitionPenalty: 1.2,
      repetitionWindow: 32,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      seed: 3,
      maxTokens: 4,
      stop: ["x"],
    });
    await client.chat({ model: "fake", messages, options: { repeat_penalty: 1.2, repeat_last_n: 0 } });
    expect(model.calls.at(-1)!.options).not.toHaveProperty("repetitionPenalty");
  });

  it("generates: through the template, raw, and on from a context", async () => {
    const told = await client.generate({ model: "fake", prompt: "Say", system: "Be brief." });
    expect(told).toMatchObject({ response: text, done: true });
    expect(said(model.calls.at(-1)!.prompt)).toBe("system: Be brief.\nuser: Say\n");
    await client.generate({ model: "fake", prompt: "Say", raw: true });
    expect(said(model.calls.at(-1)!.prompt)).toBe("Say");
    const first = await ofPlain.generate({ model: "fake", prompt: "Say", options: { num_predict: 3 } });
    expect(first).toMatchObject({
      response: "Hel",
      done_reason: "length",
      context: [256, 83, 97, 121, 72, 101, 108],
    });
    await ofPlain.generate({
      model: "fake",
      prompt: "!",
      context: first.context,
      options: { num_predict: 3 },
    });
    expect(plain.calls.at(-1)!.prompt).toEqual([...first.context, 33]);
  });

  it("reports log-probabilities", async () => {
    const { logprobs } = await client.chat({ model: "fake", messages, logprobs: true, top_logprobs: 2 });
    expect(logprobs).toHaveLength(28);
    expect(logprobs![0]).toEqual({
      token: "H",
      logprob: -0.5,
      top_logprobs: [
        { token: "H", logprob: -0.5 },
        { token: "I", logprob: -1.5 },
      ],
    });
  });

  it("lists, shows, and makes ready", async () => {
    expect((await client.list()).models).toMatchObject([
      { name: "fake", size: 4000, details: { family: "llama" } },
    ]);
    expect((await client.ps()).models).toMatchObject([{ name: "fake", size_vram: 0 }]);
    const shown = await client.show({ model: "fake" });
    expect(shown).toMatchObject({
      details: { parameter_size: "1K", quantization_level: "F32" },
      model_info: { "llama.context_length": 256, "general.parameter_count": 1000 },
      capabilities: ["completion"],
    });
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
    const calls = model.calls.length;
    const ready = await client.generate({ model: "fake", prompt: "" });
    expect(ready).toMatchObject({ response: "", done: true, done_reason: "load" });
    expect(model.calls).toHaveLength(calls);
  });

  it("is refused by name, with both numbers where a context is exceeded", async () => {
    const chat = (body: object) => client.chat({ model: "fake", messages, ...body } as never);
    const wrong: [object, RegExp][] = [
      [{ model: "other" }, /model "other" not found/],
      [{ options: { colour: 1 } }, /options\.colour: no such field/],
      [{ options: { temperature: -1 } }, /options\.temperature: must be a number from 0/],
      [{ options: { mirostat: 2 } }, /options\.mirostat: .*not served/],
      [{ options: { num_thread: 4 } }, /options\.num_thread: .*fovea serve --threads/],
      [{ options: { num_ctx: 512 } }, /options\.num_ctx: 512 exceeds .* 256/],
      [{ options: { num_ctx: 32, num_predict: 30 } }, /10 tokens of the prompt and 30 new ones .* 32/],
      [{ options: { num_ctx: 8 } }, /10 tokens of the prompt and 1 new ones .* 8/],
      [{ think: true }, /think: /],
      [{ messages: [{ role: "user", content: "a", images: ["aGk="] }] }, /messages\[0\]\.images: only text/],
      [{ keep_alive: "soon" }, /keep_alive: must be seconds/],
      [{ keep_alive: 0 }, /keep_alive: 0 asks for the model to be unloaded; this one stays/],
      [{ keep_alive: "0s" }, /keep_alive: "0s" asks for the model to be unloaded/],
    ];
    for (const [body, message] of wrong) await expect(chat(body)).rejects.toThrow(message);
    await expect(ofPlain.chat({ model: "fake", messages })).rejects.toThrow(
      /no chat template; use \/api\/generate/,
    );
    await expect(ofPlain.generate({ model: "fake", prompt: "a", system: "b" })).rejects.toThrow(/system: /);
    await expect(client.generate({ model: "fake", prompt: "a", context: [1] })).rejects.toThrow(/context: /);
  });
});
