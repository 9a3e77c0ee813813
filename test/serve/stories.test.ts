/** The whole way: the official client, a socket, the server, and a trained model. */
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { haveShared, shared } from "../support/shared.ts";

const folder = shared("models/stories260K/hf");

describe.skipIf(!haveShared)("stories260K behind the server", () => {
  let model: LanguageModel;
  let server: Listening;
  let client: OpenAI;
  let golden: string;
  beforeAll(async () => {
    golden = (JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as { greedy_text: string })
      .greedy_text;
    model = await open(folder);
    server = await listen(createApp(model), { host: "127.0.0.1", port: 0 });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  });
  afterAll(async () => {
    await server.close(0);
    await model.close();
  });
  const request = (prompt: OpenAI.CompletionCreateParams["prompt"]) => ({
    model: model.name,
    prompt,
    temperature: 0,
    max_tokens: 40,
  });

  it("writes its golden text, whole, streamed, and beside other requests", async () => {
    const cut = golden.indexOf(" girl");
    const prompt = golden.slice(0, cut);
    const alone = await client.completions.create(request(prompt));
    const text = alone.choices[0]?.text ?? "";
    expect(golden.slice(cut).startsWith(text)).toBe(true);
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...request(prompt), stream: true }))
      streamed += chunk.choices[0]?.text;
    expect(streamed).toBe(text);
    const crowd = await client.completions.create(request([prompt, "Tom had a dog", prompt]));
    expect(crowd.choices[0]?.text).toBe(text);
    expect(crowd.choices[2]?.text).toBe(text);
  });

  it("gives the same log-probabilities for a token generated and a token echoed", async () => {
    const written = await client.completions.create({
      ...request("Once upon a time"),
      logprobs: 2,
      max_tokens: 8,
    });
    const before = model.tokenizer!.encode("Once upon a time");
    const result = await model.generate(before, { temperature: 0, maxTokens: 8 }).result();
    const echoed = await client.completions.create({
      ...request([...before, ...result.tokens]),
      echo: true,
      logprobs: 2,
      max_tokens: 0,
    });
    const [a, b] = [written.choices[0]!.logprobs!, echoed.choices[0]!.logprobs!];
    expect(b.tokens!.slice(before.length)).toEqual(a.tokens);
    expect(b.token_logprobs!.slice(before.length)).toEqual(a.token_logprobs);
    expect(b.top_logprobs!.slice(before.length)).toEqual(a.top_logprobs);
    // The offsets of tokens lead to their texts.
    const whole = echoed.choices[0]!.text;
    for (const [i, token] of b.tokens!.entries())
      if (i > 1) expect(whole.slice(b.text_offset![i]).startsWith(token), token).toBe(true);
  });

  it("repeats itself with a seed", async () => {
    const seeded = { ...request("Once upon a time"), temperature: 1, seed: 11, n: 2 };
    const [first, second] = [
      await client.completions.create(seeded),
      await client.completions.create(seeded),
    ];
    expect(first.choices.map((c) => c.text)).toEqual(second.choices.map((c) => c.text));
    expect(first.choices[0]?.text).not.toBe(first.choices[1]?.text);
  });

  it("says that it does not chat, and what exceeds its context", async () => {
    const chat = client.chat.completions.create({
      model: model.name,
      messages: [{ role: "user", content: "Hi" }],
    });
    await expect(chat).rejects.toThrow(/no chat template; use \/v1\/completions/);
    await expect(client.completions.create({ ...request("Once"), max_tokens: 600 })).rejects.toThrow(
      /600.*512/,
    );
  });
});
