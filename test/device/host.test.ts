/** A model in a process of its own: the same results, and a server that outlives it. Needs the built library. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FoveaError, ParameterError } from "../../src/base/errors.ts";
import { createApp } from "../../src/serve/app.ts";
import { listen } from "../../src/serve/listen.ts";
import { HostedModel } from "../../src/tasks/host/hosted-model.ts";
import { openHosted } from "../../src/tasks/host/open.ts";
import { HostedGeneration } from "../../src/tasks/host/stream.ts";
import { open } from "../../src/tasks/open.ts";
import { openRandom } from "../../src/tasks/open-random.ts";
import type { LanguageModel, TokenEvent } from "../../src/tasks/types.ts";
import { haveShared, shared } from "../support/shared.ts";
import { tinyChat } from "../support/tiny-chat.ts";

const shape = "llama-6m:q8_0";
const prompt = [1, 10, 20, 30];
/** So many tokens that a model is still at it when somebody looks, however late. */
const many = { maxTokens: 8000, ignoreEnd: true, seed: 1 };
const crashes: Error[] = [];

async function openHost(): Promise<HostedModel> {
  return HostedModel.open({
    source: { random: shape },
    open: { threads: 1 },
    tokenizer: undefined,
    onCrash: (error) => crashes.push(error),
  });
}

async function kill(model: HostedModel): Promise<void> {
  const { pid } = model;
  process.kill(pid!, "SIGKILL");
  while (model.pid === pid) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a hosted model", () => {
  let hosted: HostedModel;
  let here: LanguageModel;
  beforeAll(async () => {
    [hosted, here] = await Promise.all([openHost(), openRandom(shape, { threads: 1 })]);
  });
  afterAll(() => Promise.all([hosted.close(), here.close()]));

  it("says what the model itself says", async () => {
    const { memory: _, ...description } = here.describe();
    expect(hosted.describe()).toMatchObject(description);
    for (const name of ["name", "architecture", "contextLength", "vocabularySize", "chats"] as const)
      expect(hosted[name]).toBe(here[name]);
    const options = { maxTokens: 20, seed: 7, temperature: 0.9, logprobs: 2, ignoreEnd: true };
    const { timing: __, ...result } = await here.generate(prompt, options).result();
    expect(await hosted.generate(prompt, options).result()).toMatchObject(result);
    const events: TokenEvent[] = [];
    for await (const event of hosted.generate(prompt, options).events()) events.push(event);
    expect(events).toEqual(result.logprobs);
    expect(await hosted.logits(prompt)).toEqual(await here.logits(prompt));
    expect(await hosted.logprobs(prompt, { top: 3 })).toEqual(await here.logprobs(prompt, { top: 3 }));
    const ids = Array.from({ length: 40 }, (_, i) => (i * 7) % 500);
    expect(await hosted.score(ids, { window: 16 })).toEqual(await here.score(ids, { window: 16 }));
  });

  it("refuses with the same kinds of error", async () => {
    const wrong = hosted.generate(prompt, { temperature: -1 });
    await expect(wrong.result()).rejects.toBeInstanceOf(ParameterError);
    await expect(wrong.result()).rejects.toMatchObject({ parameter: "temperature" });
    await expect(hosted.generate("text").result()).rejects.toThrow(/has no tokenizer/);
    await expect(hosted.generate([]).result()).rejects.toBeInstanceOf(FoveaError);
    await expect(hosted.score([1], {})).rejects.toMatchObject({ parameter: "ids" });
    await expect(hosted.chatPrompt([])).rejects.toThrow(/no chat template/);
  });

  it("ends a generation that is aborted, or given up", async () => {
    const controller = new AbortController();
    const generation = hosted.generate(prompt, { ...many, signal: controller.signal });
    let count = 0;
    for await (const _ of generation.events()) if (++count === 3) controller.abort();
    const result = await generation.result();
    expect(result.finishReason).toBe("abort");
    expect(result.tokens.length).toBeLessThan(many.maxTokens);
    const left = hosted.generate(prompt, many);
    for await (const _ of left.events()) break;
    expect((await left.result()).finishReason).toBe("abort");
    expect((await hosted.generate(prompt, { maxTokens: 2, ignoreEnd: true }).result()).tokens).toHaveLength(
      2,
    );
  });

  it("rejects a call that is aborted with the reason of its signal", async () => {
    const controller = new AbortController();
    const reason = new Error("no time left");
    const ids = Array.from({ length: 500 }, (_, i) => i);
    const score = hosted.score(ids, {
      ...{ window: 2, signal: controller.signal },
      onProgress: () => controller.abort(reason),
    });
    await expect(score).rejects.toBe(reason);
    await expect(hosted.logits(ids, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("serves several at once, each with its own tokens", async () => {
    const options = (seed: number) => ({ maxTokens: 30, ignoreEnd: true, seed, temperature: 1 });
    const together = await Promise.all(
      [1, 2, 3].map((seed) => hosted.generate(prompt, options(seed)).result()),
    );
    for (const [i, { tokens }] of together.entries())
      expect(tokens).toEqual((await here.generate(prompt, options(i + 1)).result()).tokens);
  });

  it("that is killed fails what it worked on, starts again, and gives the same tokens", async () => {
    const options = { ...many, maxTokens: 100 };
    const expected = (await here.generate(prompt, options).result()).tokens;
    const cut = hosted.generate(prompt, many);
    const failure = (async () => {
      for await (const _ of cut.events()) if (hosted.pid !== undefined && !crashes.length) await kill(hosted);
    })();
    await expect(failure).rejects.toThrow(/ended unexpectedly \(SIGKILL\); what it was working on is lost/);
    await expect(cut.result()).rejects.toThrow(/SIGKILL/);
    expect(crashes).toHaveLength(1);
    expect((await hosted.generate(prompt, options).result()).tokens).toEqual(expected);
    expect(hosted.ready).toBe(true);
  });
});

describe.skipIf(process.platform === "win32")("a host that does not answer", () => {
  it("keeps nobody who gives up, whether it runs or is being started", async () => {
    const model = await openHost();
    const reason = new Error("no time left");
    const leave = async (work: (signal: AbortSignal) => Promise<unknown>) => {
      const control = new AbortController();
      const done = work(control.signal);
      control.abort(reason);
      return await done;
    };
    try {
      const begun = new AbortController();
      const running = model.generate(prompt, { ...many, signal: begun.signal });
      for await (const _ of running.events()) {
        if (!begun.signal.aborted) process.kill(model.pid!, "SIGSTOP");
        begun.abort();
      }
      const { finishReason, tokens } = await running.result();
      expect(finishReason).toBe("abort");
      expect(tokens.length).toBeGreaterThan(0);
      await expect(leave((signal) => model.logits(prompt, { signal }))).rejects.toBe(reason);
      await expect(model.monitor.snapshot()).rejects.toThrow(/did not tell of its engine within/);
      process.kill(model.pid!, "SIGCONT");
      expect((await model.monitor.snapshot()).stats.running).toBeLessThan(2);
      expect((await model.generate(prompt, { ...many, maxTokens: 3 }).result()).tokens).toHaveLength(3);

      await kill(model);
      process.kill(model.pid!, "SIGSTOP");
      const ended = await leave((signal) => model.generate(prompt, { ...many, signal }).result());
      expect(ended).toMatchObject({ finishReason: "abort", tokens: [], text: "" });
      await expect(leave((signal) => model.score(prompt, { signal }))).rejects.toBe(reason);
      const left = model.generate(prompt, { ...many, maxTokens: 3 }).result();
      process.kill(model.pid!, "SIGCONT");
      expect((await left).tokens).toHaveLength(3);
    } finally {
      if (model.pid !== undefined) process.kill(model.pid, "SIGCONT");
      await model.close();
    }
  });
});

it("a host that ends again and again is given up", async () => {
  const model = await openHost();
  try {
    for (let i = 0; i < 4; i++) {
      await model.generate(prompt, { maxTokens: 1, ignoreEnd: true }).result();
      await kill(model);
    }
    await expect(model.generate(prompt).result()).rejects.toThrow(/ended 4 times within a minute/);
    expect(model.ready).toBe(false);
  } finally {
    await model.close();
  }
});

it("a host that cannot be started is tried again", async () => {
  const { execPath } = process;
  const failures: string[] = [];
  const model = await HostedModel.open({
    ...{ source: { random: shape }, open: { threads: 1 }, tokenizer: undefined },
    onCrash: ({ message }) => {
      failures.push(message);
      // The second is to be started with a program that is not there, the third again with Node.
      process.execPath = failures.length === 1 ? "/nowhere/node" : execPath;
    },
  });
  try {
    await kill(model);
    await expect.poll(() => failures.length).toBe(2);
    expect(failures[1]).toMatch(/cannot start: .*ENOENT/);
    const { tokens } = await model.generate(prompt, { maxTokens: 2, ignoreEnd: true }).result();
    expect(tokens).toHaveLength(2);
  } finally {
    process.execPath = execPath;
    await model.close();
  }
});

it("a model that is closed refuses what is asked of it", async () => {
  const model = await openHost();
  const begun = model.logits(prompt);
  const closing = model.close();
  await expect(begun).rejects.toBeInstanceOf(FoveaError);
  await closing;
  await expect(model.generate(prompt).result()).rejects.toThrow(/the model is closed/);
  await expect(model.logits(prompt)).rejects.toThrow(/the model is closed/);
  await expect(model.monitor.snapshot()).rejects.toBeInstanceOf(FoveaError);
});

it("a model that cannot be opened is refused as `open` refuses it, and leaves no process", async () => {
  const opening = HostedModel.open({ source: { random: "nothing:f32" }, open: {}, tokenizer: undefined });
  await expect(opening).rejects.toBeInstanceOf(ParameterError);
  await expect(openHosted("/nowhere/at/all", {})).rejects.toThrow(/nowhere/);
});

it("opening can be given up", async () => {
  const controller = new AbortController();
  const opening = HostedModel.open({
    source: { random: shape },
    open: {},
    tokenizer: undefined,
    signal: controller.signal,
  });
  controller.abort();
  await expect(opening).rejects.toMatchObject({ name: "AbortError" });
  const reason = new Error("not any more");
  await expect(
    HostedModel.open({
      ...{ source: { random: shape }, open: {}, tokenizer: undefined },
      signal: AbortSignal.abort(reason),
    }),
  ).rejects.toBe(reason);
});

it("a reader that is far behind makes the host wait", async () => {
  const holds: boolean[] = [];
  const source = { start: () => {}, abort: () => {}, hold: (on: boolean) => holds.push(on) };
  const generation = new HostedGeneration(source, false, () => {});
  const iterator = generation.events();
  const first = iterator.next();
  for (let token = 0; token < 600; token++) generation.push({ token, text: "a" });
  expect(holds).toEqual([true]);
  await first;
  for (let i = 0; i < 560; i++) await iterator.next();
  expect(holds).toEqual([true, false]);
});

it("a reader that has gone makes no host wait, however far behind it was", async () => {
  const told: string[] = [];
  const source = {
    start: () => {},
    abort: () => told.push("abort"),
    hold: () => told.push("hold"),
  };
  const generation = new HostedGeneration(source, false, () => {});
  const iterator = generation.events();
  generation.push({ token: 0, text: "a" });
  await iterator.next();
  await iterator.return(undefined);
  for (let token = 0; token < 600; token++) generation.push({ token, text: "a" });
  expect(told).toEqual(["abort"]);
});

describe.skipIf(!haveShared)("a server over a hosted model", () => {
  it("obeys a grammar as the model itself does", async () => {
    const folder = shared("models/stories260K/hf");
    const [hosted, here] = await Promise.all([openHosted(folder, {}), open(folder)]);
    try {
      const options = { grammar: { regex: "(red|green|blue) [a-z]{3,9}\\." }, seed: 4, temperature: 1.5 };
      const { text } = await here.generate("Once upon a time", options).result();
      expect(text).toMatch(/^(red|green|blue) [a-z]{3,9}\.$/);
      expect((await hosted.generate("Once upon a time", options).result()).text).toBe(text);
      const wrong = hosted.generate("Once", { grammar: { regex: "(" } }).result();
      await expect(wrong).rejects.toBeInstanceOf(FoveaError);
    } finally {
      await Promise.all([hosted.close(), here.close()]);
    }
  });

  it("answers while its model is killed: the request under way fails with a reason, the next is served", async () => {
    const model = await openHosted(fileURLToPath(new URL("../../models/default", import.meta.url)), {});
    const server = await listen(createApp(model, { onError: () => {} }), { host: "127.0.0.1", port: 0 });
    try {
      const ask = (body: object) =>
        fetch(`${server.url}/v1/completions`, {
          method: "POST",
          body: JSON.stringify({ prompt: "Once upon a time", temperature: 0, ...body }),
        });
      const whole = (await (await ask({ max_tokens: 20 })).json()) as { choices: { text: string }[] };
      // Seconds of work, so that it is under way when the model is killed.
      const stream = await ask({ max_tokens: 1000, n: 16, ignore_eos: true, stream: true });
      const reader = stream.body!.getReader();
      await reader.read();
      await kill(model);
      let rest = "";
      for (let part = await reader.read(); !part.done; part = await reader.read())
        rest += new TextDecoder().decode(part.value);
      expect(rest).toMatch(/ended unexpectedly \(SIGKILL\)/);
      expect(rest).not.toContain("[DONE]");
      expect((await fetch(`${server.url}/health`)).status).toBe(200);
      expect((await (await ask({ max_tokens: 20 })).json()) as object).toMatchObject({
        choices: whole.choices,
      });
      expect((await fetch(`${server.url}/ready`)).status).toBe(200);
    } finally {
      await server.close(0);
      await model.close();
    }
  });
});

describe("a long text", () => {
  let checkpoint: Awaited<ReturnType<typeof tinyChat>>;
  let hosted: HostedModel;
  let here: LanguageModel;
  beforeAll(async () => {
    checkpoint = await tinyChat();
    [hosted, here] = await Promise.all([
      openHosted(checkpoint.folder, { threads: 1 }),
      open(checkpoint.folder, { threads: 1 }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([hosted.close(), here.close()]);
    checkpoint.remove();
  });

  it("is read while others are served, and as any text is", async () => {
    const text = "The sea, the sea! ".repeat(60_000);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const reading = [hosted.encode(text), hosted.encode(text.slice(1), { addSpecial: false })];
    const [whole, part] = await Promise.all(reading);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
    expect(whole).toEqual(await here.encode(text));
    expect(part).toEqual(await here.encode(text.slice(1), { addSpecial: false }));
  });

  it("begins the same generations and chats", async () => {
    // Many characters, but few tokens.
    const text = "<|im_start|>".repeat(1700);
    const options = { maxTokens: 5, seed: 3, ignoreEnd: true };
    const messages = [{ role: "user", content: text }];
    const results = async (model: LanguageModel) => {
      const all = [
        model.generate(text, options),
        model.chat(messages, options),
        model.chat(await model.chatPrompt(messages), options),
      ];
      const ended = await Promise.all(all.map((generation) => generation.result()));
      return ended.map(({ tokens, promptTokens }) => ({ tokens, promptTokens }));
    };
    const expected = await results(here);
    expect(expected[0]!.promptTokens).toBe(1700);
    expect(expected[1]).toEqual(expected[2]);
    expect(await results(hosted)).toEqual(expected);
  });

  it("is refused where it can never fit", async () => {
    const messages = [{ role: "user", content: "a".repeat(20_000) }];
    for (const model of [hosted, here]) {
      await expect(model.chat(messages).result()).rejects.toThrow(/^prompt: has more than 8192 tokens/);
      await expect(model.chatPrompt(messages)).rejects.toBeInstanceOf(ParameterError);
      const long = "a".repeat(20_000);
      await expect(model.encode(long, { most: 100 })).rejects.toThrow(/more than 200 tokens/);
    }
  });
});
