/** The official OpenAI client's helpers: tools that run by themselves, parsed answers, retries. */
import OpenAI from "openai";
import { LengthFinishReasonError } from "openai/error";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createApp } from "../../src/serve/app.ts";
import { Gate } from "../../src/serve/gate.ts";
import { listen } from "../../src/serve/listen.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { clientServers, toolCall, toolTemplate } from "../support/client-servers.ts";
import { fakeModel } from "../support/fake-model.ts";

const messages = [{ role: "user" as const, content: "Weather in Bern?" }];
/** Asks for the weather, then for a conversion of it, then says it. */
const scripted = fakeModel({
  template: toolTemplate,
  contextLength: 4096,
  answer: (prompt) =>
    prompt.includes("tool: 294")
      ? "It is 294 K in Bern."
      : prompt.includes("tool: 21")
        ? toolCall("kelvin", { celsius: 21 })
        : toolCall("weather", { city: "Bern" }),
});

const Person = z.object({
  name: z.enum(["Ada", "Alan"]),
  born: z.number().int().min(1000).max(2000),
  tags: z.array(z.enum(["a", "b"])).max(2),
});

const served = clientServers(scripted);
const client = (model: LanguageModel) =>
  new OpenAI({ baseURL: served.url(model), apiKey: "none", maxRetries: 0 });

describe("tools that the client runs", () => {
  const ran: string[] = [];
  const tools = [
    zodFunction({
      name: "weather",
      parameters: z.object({ city: z.string() }),
      function: ({ city }) => {
        ran.push(`weather ${city}`);
        return "21";
      },
    }),
    zodFunction({
      name: "kelvin",
      parameters: z.object({ celsius: z.number() }),
      function: ({ celsius }) => {
        ran.push(`kelvin ${celsius}`);
        return String(celsius + 273);
      },
    }),
  ];

  it.each([false, true])("take as many steps as the model wants; streamed: %s", async (stream) => {
    ran.length = 0;
    const { completions } = client(scripted).chat;
    const runner = stream
      ? completions.runTools({
          ...{ model: "fake", messages, tools },
          ...{ stream: true, stream_options: { include_usage: true } },
        })
      : completions.runTools({ model: "fake", messages, tools });
    expect(await runner.finalContent()).toBe("It is 294 K in Bern.");
    expect(ran).toEqual(["weather Bern", "kelvin 21"]);
    expect(runner.messages.map(({ role }) => role)).toEqual([
      ...["user", "assistant", "tool", "assistant", "tool", "assistant"],
    ]);
    expect((await runner.totalUsage()).completion_tokens).toBeGreaterThan(20);
  });

  it("are called with arguments that a model without sense gets right, where they are demanded", async () => {
    const weather = zodFunction({
      name: "weather",
      parameters: z.object({ city: z.enum(["Bern", "Rome"]), days: z.number().int().min(1).max(9) }),
    });
    for (let seed = 0; seed < 5; seed++) {
      const answer = await client(served.tiny).chat.completions.parse({
        ...{ model: served.tiny.name, messages, seed, max_completion_tokens: 400 },
        tools: [weather],
        tool_choice: { type: "function", function: { name: "weather" } },
      });
      const made = answer.choices[0]!.message.tool_calls![0]!;
      expect(made.function.parsed_arguments).toMatchObject({
        city: expect.stringMatching(/^(Bern|Rome)$/),
        days: expect.any(Number),
      });
    }
  });
});

describe("answers that the client parses", () => {
  it("fit the schema, all choices of them, with log-probabilities of every token", async () => {
    const answer = await client(served.tiny).chat.completions.parse({
      ...{ model: served.tiny.name, messages, n: 3, seed: 1, temperature: 1.5, max_completion_tokens: 400 },
      ...{ logprobs: true, top_logprobs: 2 },
      response_format: zodResponseFormat(Person, "person"),
    });
    expect(answer.choices).toHaveLength(3);
    for (const { message, finish_reason, logprobs } of answer.choices) {
      expect(finish_reason).toBe("stop");
      expect(Person.parse(message.parsed)).toEqual(message.parsed);
      const bytes = logprobs!.content!.flatMap((token) => token.bytes ?? []);
      expect(Buffer.from(bytes).toString()).toContain(message.content);
      for (const { logprob, top_logprobs } of logprobs!.content!) {
        expect(logprob).toBeLessThanOrEqual(0);
        expect(top_logprobs).toHaveLength(2);
      }
    }
    expect(new Set(answer.choices.map(({ message }) => message.content)).size).toBeGreaterThan(1);
  });

  it("are put together from a stream, piece by piece, and are those of the answer in whole", async () => {
    const request = {
      ...{ model: served.tiny.name, messages, seed: 5, temperature: 1, max_completion_tokens: 400 },
      response_format: zodResponseFormat(Person, "person"),
    };
    const stream = client(served.tiny).chat.completions.stream(request);
    const partly: unknown[] = [];
    stream.on("content.delta", ({ parsed }) => partly.push(parsed));
    const streamed = (await stream.finalChatCompletion()).choices[0]!.message.parsed;
    const whole = (await client(served.tiny).chat.completions.parse(request)).choices[0]!.message.parsed;
    expect(streamed).toEqual(whole);
    expect(partly.length).toBeGreaterThan(5);
  });

  it("that are cut short are told as cut, not parsed", async () => {
    const cut = client(served.tiny).chat.completions.parse({
      ...{ model: served.tiny.name, messages, max_completion_tokens: 3 },
      response_format: zodResponseFormat(Person, "person"),
    });
    await expect(cut).rejects.toBeInstanceOf(LengthFinishReasonError);
  });
});

describe("the client's own classes", () => {
  it("name each refusal", async () => {
    const gate = new Gate(1);
    const model = fakeModel({ delay: 10, contextLength: 4096 });
    const app = createApp(model, { keys: ["secret"], gate, maxBody: 10_000 });
    const server = await listen(app, { host: "127.0.0.1", port: 0 });
    try {
      const options = { baseURL: `${server.url}/v1`, apiKey: "secret", maxRetries: 0 };
      const client = new OpenAI(options);
      const ask = (from: OpenAI, body: object = {}, signal?: AbortSignal) =>
        from.chat.completions.create(
          { model: "fake", messages, ...body, stream: false },
          signal ? { signal } : {},
        );
      await expect(ask(new OpenAI({ ...options, apiKey: "x" }))).rejects.toBeInstanceOf(
        OpenAI.AuthenticationError,
      );
      await expect(ask(client, { model: "other" })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
      await expect(ask(client, { stop: [""] })).rejects.toBeInstanceOf(OpenAI.BadRequestError);
      const long = ask(client, { messages: [{ role: "user", content: "x".repeat(10_000) }] });
      await expect(long).rejects.toMatchObject({ status: 413, code: "body_too_large" });
      const far = ask(client, { messages: [{ role: "user", content: "x".repeat(5_000) }] });
      await expect(far).rejects.toMatchObject({ code: "context_length_exceeded", param: "messages" });

      const before = model.calls.length;
      const leaving = new AbortController();
      const cut = ask(client, { max_tokens: 4000, ignore_eos: true }, leaving.signal);
      await expect.poll(() => model.calls.length).toBeGreaterThan(before);
      await expect(ask(client)).rejects.toBeInstanceOf(OpenAI.RateLimitError);
      // A client that tries again is told when, and comes through.
      const patient = ask(new OpenAI({ ...options, maxRetries: 2 }), { max_tokens: 2 });
      leaving.abort();
      await expect(cut).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
      expect((await patient).choices[0]!.message.content).toBe("He");

      await gate.drain();
      await expect(ask(client)).rejects.toBeInstanceOf(OpenAI.InternalServerError);
    } finally {
      await server.close(0);
    }
  });

  it("name a failure in the middle of a stream", async () => {
    const app = createApp(fakeModel({ delay: 5, contextLength: 4096 }), { timeout: 60 });
    const server = await listen(app, { host: "127.0.0.1", port: 0 });
    try {
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
      const body = { model: "fake", messages, max_tokens: 4000, ignore_eos: true, stream: true } as const;
      const read = async () => {
        for await (const _ of await client.chat.completions.create(body));
      };
      await expect(read()).rejects.toBeInstanceOf(OpenAI.APIError);
      await expect(read()).rejects.toThrow(/not complete after/);
    } finally {
      await server.close(0);
    }
  });
});

describe("responses", () => {
  it("are streamed, kept, gone on from, and forgotten", async () => {
    const { responses } = client(scripted);
    const stream = responses.stream({ model: "fake", input: "tool: 294", instructions: "Be brief." });
    let text = "";
    stream.on("response.output_text.delta", ({ delta }) => {
      text += delta;
    });
    const first = await stream.finalResponse();
    expect(first.output_text).toBe("It is 294 K in Bern.");
    expect(text).toBe(first.output_text);
    const second = await responses.create({
      ...{ model: "fake", input: "Thanks", previous_response_id: first.id },
      ...{ include: ["message.output_text.logprobs"], top_logprobs: 2 },
    });
    const said = String.fromCharCode(...scripted.calls.at(-1)!.prompt.slice(1));
    expect(said).toBe("user: tool: 294\nassistant: It is 294 K in Bern.\nuser: Thanks\n");
    expect(second.previous_response_id).toBe(first.id);
    expect((await responses.retrieve(second.id)).output_text).toBe(second.output_text);
    expect((await responses.inputItems.list(second.id)).data).toMatchObject([{ role: "user" }]);
    await responses.delete(first.id);
    await expect(responses.retrieve(first.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(
      responses.create({ model: "fake", input: "x", previous_response_id: first.id }),
    ).rejects.toMatchObject({ param: "previous_response_id" });
  });
});
