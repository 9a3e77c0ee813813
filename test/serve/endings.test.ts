/** How a request ends before its answer is complete: by its client, a failure, or the server. */
import { describe, expect, it } from "vitest";
import { chatPath, events, messages, server, textPath } from "../support/app.ts";

describe("the end of a request", () => {
  it("ends the generation when the stream is dropped", async () => {
    const { send, model } = server({ delay: 5, contextLength: 4096 });
    const response = await send(textPath, { prompt: "A", stream: true, ignore_eos: true, max_tokens: 4000 });
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
    await refused(textPath, { prompt: "A", n: 2 }, 500);
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
    const lines = await events(await send(textPath, { prompt: "A", stream: true }));
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ error: { type: "server_error" } });
    expect(errors).toHaveLength(1);
  });

  it("is no failure to tell of where the client has left", async () => {
    const { send, model, errors } = server();
    const leaving = new AbortController();
    model.logprobs = (_, { signal } = {}) => {
      leaving.abort();
      return Promise.reject(signal?.reason);
    };
    const body = { prompt: "A", echo: true, logprobs: 0, max_tokens: 0 };
    await send(textPath, body, { signal: leaving.signal });
    expect(leaving.signal.aborted).toBe(true);
    expect(errors).toEqual([]);
  });

  it("answers 503 when the server stops", async () => {
    const stop = new AbortController();
    const { refused } = server({ delay: 5 }, { shutdown: stop.signal });
    setTimeout(() => stop.abort(), 20);
    expect((await refused(chatPath, { messages }, 503)).code).toBe("stopping");
  });
});
