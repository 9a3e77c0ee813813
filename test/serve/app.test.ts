/** The server as a function of requests, over a model whose answers are known. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import { loadAssets } from "../../src/serve/assets.ts";
import { type FakeOptions, fakeModel } from "../support/fake-model.ts";

interface ErrorShape {
  readonly error: { message: string; type: string; param: string | null; code: string | null };
}

function server(fake: FakeOptions = {}, options: AppOptions = {}) {
  const errors: unknown[] = [];
  const model = fakeModel(fake);
  const app = createApp(model, { onError: (error) => errors.push(error), ...options });
  const send = (path: string, body: unknown, init: RequestInit = {}) =>
    app.request(`http://localhost${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
    });
  const refused = async (path: string, body: unknown, status = 400) => {
    const response = await send(path, body);
    const { error } = (await response.json()) as ErrorShape;
    expect(response.status, error?.message).toBe(status);
    expect(error.type).toBe(status < 500 ? "invalid_request_error" : "server_error");
    return error;
  };
  return { app, model, send, refused, errors };
}

const chat = "/v1/chat/completions";
const text = "/v1/completions";
const messages = [{ role: "user", content: "Hi" }];

const events = async (response: Response): Promise<string[]> =>
  (await response.text())
    .split("\n\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^data: /, ""));

describe("routes", () => {
  it("answers /health and lists its model", async () => {
    const { app } = server();
    expect(await (await app.request("http://localhost/health")).json()).toEqual({
      status: "ok",
      model: "fake",
    });
    const list = await (await app.request("http://localhost/v1/models")).json();
    expect(list).toMatchObject({
      object: "list",
      data: [{ id: "fake", object: "model", owned_by: "fovea", context_length: 128, chat: true }],
    });
    expect((await app.request("http://localhost/v1/models/fake")).status).toBe(200);
    expect((await app.request("http://localhost/v1/models/org/other")).status).toBe(404);
  });

  it("tells what is not here as JSON", async () => {
    const { app } = server();
    for (const [method, path] of [
      ["GET", "/v1/nothing"],
      ["POST", "/v1/embeddings"],
      ["DELETE", "/v1/models/fake"],
    ]) {
      const response = await app.request(`http://localhost${path}`, { method: method! });
      expect(response.status).toBe(404);
      expect(((await response.json()) as ErrorShape).error.code).toBe("not_found");
    }
  });

  it("refuses a model without a tokenizer", () => {
    expect(() => createApp(fakeModel({ tokenizer: false }))).toThrow(/tokenizer/);
  });

  it("refuses foreign hosts and pages, unless it serves a network", async () => {
    const { app } = server();
    expect((await app.request("http://attacker.example/v1/models")).status).toBe(403);
    const from = (origin: string) => app.request("http://127.0.0.1:8080/health", { headers: { origin } });
    expect((await from("https://attacker.example")).status).toBe(403);
    expect((await from("null")).status).toBe(403);
    expect((await from("http://localhost:5173")).status).toBe(200);
    const open = server({}, { loopback: false });
    expect((await open.app.request("http://box.lan/v1/models")).status).toBe(200);
  });

  it("limits the body", async () => {
    const { send } = server({}, { maxBody: 100 });
    expect((await send(text, { prompt: "x".repeat(200) })).status).toBe(413);
  });

  it("does not tell a client about a bug, but its log", async () => {
    const { app, errors, model } = server();
    model.describe = () => {
      throw new TypeError("secret");
    };
    const response = await app.request("http://localhost/v1/models");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(errors).toHaveLength(1);
  });

  it("serves no page that was not built, and says so", async () => {
    const { app } = server({}, { assets: loadAssets("/no/such/folder") });
    expect(await (await app.request("http://localhost/")).text()).toContain("the page was not built");
  });
});

describe("the page", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fovea-page-"));
    await mkdir(join(folder, "assets"));
    await writeFile(join(folder, "index.html"), "<!doctype html><title>Page</title>");
    await writeFile(join(folder, "assets", "index-abc.js"), "1");
    await writeFile(join(folder, "notes.txt"), "not served");
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("is served with its types, its policy and its caching", async () => {
    const { app } = server({}, { assets: loadAssets(folder) });
    const get = (path: string, headers = {}) => app.request(`http://localhost${path}`, { headers });
    const page = await get("/");
    expect(await page.text()).toContain("<title>Page");
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const again = await get("/", { "if-none-match": page.headers.get("etag") });
    expect(again.status).toBe(304);
    const script = await get("/assets/index-abc.js");
    expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(script.headers.get("cache-control")).toContain("immutable");
    for (const path of ["/notes.txt", "/../package.json", "/assets/%2e%2e/notes.txt", "/constructor"])
      expect((await get(path)).status, path).toBe(404);
  });
});

describe("chat completions", () => {
  it("answers whole", async () => {
    const { send, model } = server();
    const response = await send(chat, { model: "fake", messages, temperature: 0, max_tokens: 100 });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      object: "chat.completion",
      model: "fake",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello, world! Grüße 🌍.", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: { prompt_tokens: 10, completion_tokens: 28, total_tokens: 38 },
    });
    expect(model.calls[0]?.options).toMatchObject({ temperature: 0, maxTokens: 100 });
  });

  it("streams", async () => {
    const { send } = server();
    const response = await send(chat, {
      messages,
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 5,
    });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const lines = await events(response);
    expect(lines.at(-1)).toBe("[DONE]");
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line));
    expect(chunks[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.map((c) => c.choices[0]?.delta.content ?? "").join("")).toBe("Hello");
    expect(chunks.at(-2).choices[0]).toMatchObject({ delta: {}, finish_reason: "length" });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 5 } });
    expect(new Set(chunks.map((c) => c.id)).size).toBe(1);
  });

  it("gives every parameter to the model", async () => {
    const { send, model } = server();
    const response = await send(chat, {
      messages,
      n: 2,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.05,
      typical_p: 0.8,
      repetition_penalty: 1.1,
      presence_penalty: 0.5,
      frequency_penalty: -0.5,
      logit_bias: { "65": -100 },
      seed: 7,
      stop: ["!", "?"],
      stop_token_ids: [66],
      ignore_eos: true,
      logprobs: true,
      top_logprobs: 2,
      max_completion_tokens: 40,
      user: "someone",
      metadata: { a: "b" },
      store: false,
      service_tier: "auto",
      response_format: { type: "text" },
      tool_choice: "none",
    });
    expect(response.status).toBe(200);
    const { signal: _, ...options } = model.calls[0]!.options;
    expect(options).toEqual({
      cacheSalt: "",
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      minP: 0.05,
      typicalP: 0.8,
      repetitionPenalty: 1.1,
      presencePenalty: 0.5,
      frequencyPenalty: -0.5,
      logitBias: { "65": -100 },
      seed: 7,
      stop: ["!", "?"],
      stopTokens: [66],
      ignoreEnd: true,
      logprobs: 2,
      maxTokens: 40,
    });
    expect(model.calls[1]?.options.seed).toBe(6);
    const body = (await response.json()) as { choices: { message: { content: string } }[] };
    expect(body.choices.map((c) => c.message.content)).toEqual(["Hello, world", "Hello, world"]);
  });

  it("reports log-probabilities with bytes", async () => {
    const { send } = server({ answer: "é" });
    const response = await send(chat, { messages, logprobs: true, top_logprobs: 1, max_tokens: 2 });
    const body = (await response.json()) as { choices: { logprobs: { content: object[] } }[] };
    expect(body.choices[0]?.logprobs.content).toEqual([
      {
        token: "\ufffd",
        logprob: -0.5,
        bytes: [0xc3],
        top_logprobs: [{ token: "\ufffd", logprob: -0.5, bytes: [0xc3] }],
      },
      {
        token: "\ufffd",
        logprob: -0.5,
        bytes: [0xa9],
        top_logprobs: [{ token: "\ufffd", logprob: -0.5, bytes: [0xa9] }],
      },
    ]);
  });

  it("takes text parts and messages that it sent itself", async () => {
    const { send, model } = server();
    const response = await send(chat, {
      messages: [
        {
          role: "developer",
          content: [
            { type: "text", text: "Be " },
            { type: "text", text: "brief" },
          ],
        },
        { role: "user", content: "Hi", name: "Ann" },
        { role: "assistant", content: "Hello", refusal: null, annotations: [], tool_calls: [] },
        { role: "user", content: "Bye" },
      ],
    });
    expect(response.status).toBe(200);
    expect(Buffer.from(model.calls[0]!.prompt.slice(1)).toString()).toBe(
      "system: Be brief\nuser: Hi\nassistant: Hello\nuser: Bye\n",
    );
  });

  const hopeless: [string, object][] = [
    ["messages", {}],
    ["messages", { messages: [] }],
    ["messages[0].role", { messages: [{ role: "constructor", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    ["messages[0].content[0].type", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }],
    ["messages[0].mood", { messages: [{ role: "user", content: "x", mood: "good" }] }],
    ["reasoning_effort", { messages, reasoning_effort: "low" }],
    ["store", { messages, store: true }],
    ["temperature", { messages, temperature: 3 }],
    ["temperature", { messages, temperature: "hot" }],
    ["top_p", { messages, top_p: -1 }],
    ["top_k", { messages, top_k: 1.5 }],
    ["typical_p", { messages, typical_p: 0 }],
    ["n", { messages, n: 0 }],
    ["stop", { messages, stop: [""] }],
    ["stop", { messages, stop: 5 }],
    ["stop_token_ids", { messages, stop_token_ids: [258] }],
    ["logit_bias", { messages, logit_bias: { a: 1 } }],
    ["logit_bias", { messages, logit_bias: { 300: 1 } }],
    ["logit_bias", { messages, logit_bias: { 3: 101 } }],
    ["top_logprobs", { messages, top_logprobs: 2 }],
    ["logprobs", { messages, logprobs: 2 }],
    ["max_tokens", { messages, max_tokens: 0 }],
    ["max_tokens", { messages, max_tokens: 129 }],
    ["max_tokens", { messages, max_tokens: 5, max_completion_tokens: 6 }],
    ["stream_options", { messages, stream_options: { include_usage: true } }],
    ["stream_options.all", { messages, stream: true, stream_options: { all: true } }],
    ["best_guess", { messages, best_guess: 1 }],
    ["__proto__", JSON.parse(`{"messages": ${JSON.stringify(messages)}, "__proto__": 1}`)],
  ];
  it.each(hopeless)("refuses %s by name", async (param, body) => {
    const { refused, model } = server();
    const error = await refused(chat, body);
    expect(error.param).toBe(param);
    expect(error.message).toContain(param);
    expect(model.calls).toHaveLength(0);
  });

  it("refuses what is no JSON object", async () => {
    const { refused } = server();
    for (const body of ["{", "[]", "null", ""])
      expect((await refused(chat, body)).code, body).toBe("invalid_json");
  });

  it("refuses another model's name with 404", async () => {
    const { refused } = server();
    expect((await refused(chat, { messages, model: "gpt-4o" }, 404)).code).toBe("model_not_found");
  });

  it("says when the model cannot chat", async () => {
    const { refused } = server({ chats: false });
    expect((await refused(chat, { messages })).message).toContain("/v1/completions");
  });

  it("tells both numbers when the context is exceeded, before a stream begins too", async () => {
    const { refused } = server();
    for (const stream of [false, true]) {
      const error = await refused(chat, { messages, max_tokens: 125, stream });
      expect(error.param).toBe("max_tokens");
      expect(error.message).toMatch(/10 .* 125 .* 128/);
    }
  });
});

describe("text completions", () => {
  const choicesOf = async (response: Response) =>
    ((await response.json()) as { choices: { index: number; text: string; finish_reason: string }[] })
      .choices;

  it("takes the prompt in its four forms", async () => {
    const forms: [unknown, number[][]][] = [
      ["AB", [[256, 65, 66]]],
      [
        ["A", "B"],
        [
          [256, 65],
          [256, 66],
        ],
      ],
      [[65, 66], [[65, 66]]],
      [
        [[65], [66, 67]],
        [[65], [66, 67]],
      ],
    ];
    for (const [prompt, ids] of forms) {
      const { send, model } = server();
      const choices = await choicesOf(await send(text, { prompt, max_tokens: 5, n: 2 }));
      expect(model.calls.map((c) => c.prompt)).toEqual(ids.flatMap((p) => [p, p]));
      expect(choices.map((c) => c.index)).toEqual(choices.map((_, i) => i));
      expect(choices.every((c) => c.text === "Hello" && c.finish_reason === "length")).toBe(true);
    }
  });

  it("continues by 16 tokens when nothing is said", async () => {
    const { send, model } = server();
    await send(text, { prompt: "A" });
    expect(model.calls[0]?.options.maxTokens).toBe(16);
  });

  it("echoes, with log-probabilities of the prompt", async () => {
    const { send } = server({ answer: "xyz" });
    const [choice] = (
      (await (await send(text, { prompt: "AB", echo: true, logprobs: 1, max_tokens: 2 })).json()) as {
        choices: { text: string; logprobs: Record<string, unknown[]> }[];
      }
    ).choices;
    expect(choice?.text).toBe("ABxy");
    expect(choice?.logprobs.tokens).toEqual(["<s>", "A", "B", "x", "y"]);
    expect(choice?.logprobs.text_offset).toEqual([0, 0, 1, 2, 3]);
    expect(choice?.logprobs.token_logprobs?.[0]).toBeNull();
    // A row of the fake is k/3, so ln Σ e^(k/3) over 258 entries is 257/3 − ln(1 − e^(−1/3)).
    const normalizer = 257 / 3 - Math.log(1 - Math.exp(-1 / 3));
    expect(choice?.logprobs.token_logprobs?.[1]).toBeCloseTo(65 / 3 - normalizer, 4);
    expect(choice?.logprobs.top_logprobs?.[1]).toHaveProperty("</s>");
    expect(choice?.logprobs.token_logprobs?.slice(3)).toEqual([-0.5, -0.5]);
  });

  it("scores without generating", async () => {
    const { send, model } = server();
    const [choice] = await choicesOf(
      await send(text, { prompt: "AB", echo: true, logprobs: 0, max_tokens: 0 }),
    );
    expect(choice).toMatchObject({ text: "AB", finish_reason: "length" });
    expect(model.calls).toHaveLength(0);
  });

  it("streams several prompts, each in order", async () => {
    const { send } = server({ delay: 1 });
    const lines = await events(
      await send(text, {
        prompt: ["A", "B"],
        max_tokens: 27,
        stream: true,
        echo: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(lines.pop()).toBe("[DONE]");
    const chunks = lines.map((line) => JSON.parse(line));
    const of = (index: number) => chunks.filter((c) => c.choices[0]?.index === index);
    expect(
      of(0)
        .map((c) => c.choices[0].text)
        .join(""),
    ).toBe("AHello, world! Grüße 🌍.");
    expect(
      of(1)
        .map((c) => c.choices[0].text)
        .join(""),
    ).toBe("BHello, world! Grüße 🌍.");
    expect(of(1).at(-1).choices[0].finish_reason).toBe("length");
    expect(chunks.at(-1).usage).toEqual({ prompt_tokens: 4, completion_tokens: 54, total_tokens: 58 });
  });

  it("distinguishes tokens that are no whole characters", async () => {
    const { send } = server({ answer: "é" });
    const body = (await (await send(text, { prompt: "A", logprobs: 0, max_tokens: 2 })).json()) as {
      choices: { logprobs: { tokens: string[] } }[];
    };
    expect(body.choices[0]?.logprobs.tokens).toEqual(["bytes:\\xc3", "bytes:\\xa9"]);
  });

  const hopeless: [string, object][] = [
    ["prompt", {}],
    ["prompt", { prompt: [] }],
    ["prompt", { prompt: [1, "a"] }],
    ["prompt[1]", { prompt: ["a", 1] }],
    ["prompt", { prompt: [999] }],
    ["prompt", { prompt: "x".repeat(200) }],
    ["max_tokens", { prompt: "a", max_tokens: 200 }],
    ["max_tokens", { prompt: "a", max_tokens: 0 }],
    ["suffix", { prompt: "a", suffix: "b" }],
    ["best_of", { prompt: "a", best_of: 3 }],
    ["logprobs", { prompt: "a", logprobs: true }],
    ["n", { prompt: ["a", "b"], n: 100 }],
    ["messages", { prompt: "a", messages }],
  ];
  it.each(hopeless)("refuses %s by name", async (param, body) => {
    const { refused } = server();
    expect((await refused(text, body)).param).toBe(param);
  });
});

describe("the end of a request", () => {
  it("ends the generation when the stream is dropped", async () => {
    const { send, model } = server({ delay: 5, contextLength: 4096 });
    const response = await send(text, { prompt: "A", stream: true, ignore_eos: true, max_tokens: 4000 });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await expect.poll(() => model.endings).toEqual(["abort"]);
  });

  it("ends every choice when one fails", async () => {
    const { refused, model } = server({ contextLength: 64 });
    const generate = model.generate;
    model.generate = (prompt, options) => {
      const generation = generate(prompt, options);
      if (model.calls.length === 2) generation.result = () => Promise.reject(new Error("broken"));
      return generation;
    };
    await refused(text, { prompt: "A", n: 2 }, 500);
    expect(model.calls[0]?.options.signal?.aborted).toBe(true);
  });

  it("tells a stream's reader what failed on the way", async () => {
    const { send, model, errors } = server();
    const generate = model.generate;
    model.generate = (prompt, options) => {
      const generation = generate(prompt, options);
      return {
        ...generation,
        async *events() {
          yield { token: 65, logprob: -1, text: "A" };
          throw new Error("broken");
        },
      };
    };
    const lines = await events(await send(text, { prompt: "A", stream: true }));
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ error: { type: "server_error" } });
    expect(errors).toHaveLength(1);
  });

  it("answers 503 when the server stops", async () => {
    const stop = new AbortController();
    const { refused } = server({ delay: 5 }, { shutdown: stop.signal });
    setTimeout(() => stop.abort(), 20);
    expect((await refused(chat, { messages }, 503)).code).toBe("stopping");
  });
});
