/** POST /v1/chat/completions, over a model whose answers are known. */
import { describe, expect, it } from "vitest";
import { chatPath, events, messages, server } from "../support/app.ts";

describe("chat completions", () => {
  it("answers whole", async () => {
    const { send, model } = server();
    const response = await send(chatPath, { model: "fake", messages, temperature: 0, max_tokens: 100 });
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
    const response = await send(chatPath, {
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
    const response = await send(chatPath, {
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
    const response = await send(chatPath, { messages, logprobs: true, top_logprobs: 1, max_tokens: 2 });
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
    const response = await send(chatPath, {
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
    const error = await refused(chatPath, body);
    expect(error.param).toBe(param);
    expect(error.message).toContain(param);
    expect(model.calls).toHaveLength(0);
  });

  it("refuses what is no JSON object", async () => {
    const { refused } = server();
    for (const body of ["{", "[]", "null", ""])
      expect((await refused(chatPath, body)).code, body).toBe("invalid_json");
  });

  it("refuses another model's name with 404", async () => {
    const { refused } = server();
    expect((await refused(chatPath, { messages, model: "gpt-4o" }, 404)).code).toBe("model_not_found");
  });

  it("says when the model cannot chat", async () => {
    const { refused } = server({ chats: false });
    expect((await refused(chatPath, { messages })).message).toContain("/v1/completions");
  });

  it("tells both numbers when the context is exceeded, before a stream begins too", async () => {
    const { refused } = server();
    for (const stream of [false, true]) {
      const error = await refused(chatPath, { messages, max_tokens: 125, stream });
      expect(error.param).toBe("max_tokens");
      expect(error.message).toMatch(/10 .* 125 .* 128/);
    }
  });
});
