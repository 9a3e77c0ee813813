/** What the engine does for its callers: sharing, waiting, ending. That results are right is compared elsewhere. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Choice, type SamplingOptions, samplingFrom } from "../../src/decode/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EngineOptions } from "../../src/engine/options.ts";
import type { GenerateRequest } from "../../src/engine/request.ts";
import type { LoadedModel } from "../../src/models/index.ts";
import type { Device } from "../../src/ops/index.ts";
import { subjects } from "../support/devices.ts";
import { load } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(!haveShared)("the engine", () => {
  let device: Device;
  let model: LoadedModel;
  const engines: Engine[] = [];
  beforeAll(async () => {
    device = await subjects.at(-1)!.open(1);
    model = await load(shared("models/stories260K/hf"), device);
  });
  afterAll(async () => {
    for (const engine of engines) engine.close();
    await device.close();
  });

  function start(options: Partial<EngineOptions> = {}): Engine {
    const engine = new Engine(model.decoder, device, { cacheFormat: "f16", cacheTokens: 2000, ...options });
    engines.push(engine);
    return engine;
  }
  const text = (length: number, seed = 0): number[] =>
    Array.from({ length }, (_, i) => 3 + ((i * 31 + seed * 7 + (seed > 0 ? i * seed : 0)) % 500));
  const ask = (engine: Engine, prompt: readonly number[], more: Partial<GenerateRequest> = {}) =>
    engine.generate({ prompt, sampling: samplingFrom({ temperature: 0 }), maxTokens: 8, ...more });
  const all = async <T>(events: AsyncIterable<T>): Promise<T[]> => {
    const list: T[] = [];
    for await (const one of events) list.push(one);
    return list;
  };
  const seeded = (seed: number): SamplingOptions => ({ temperature: 1, seed });

  it("runs a prompt once for all who ask for it together", async () => {
    const engine = start();
    const prompt = text(150);
    const choices = await Promise.all(
      [1, 2, 3, 4].map((seed) => all(ask(engine, prompt, { sampling: samplingFrom(seeded(seed)) }))),
    );
    expect(new Set(choices.map((one) => one.map(({ token }) => token).join())).size).toBe(4);
    const { promptTokens, steps, generatedTokens } = engine.stats();
    expect({ promptTokens, steps, generatedTokens }).toEqual({
      promptTokens: 150,
      steps: 8,
      generatedTokens: 32,
    });
  });

  it("finds what it has run, and waits for what it is running", async () => {
    const engine = start({ stepTokens: 64 });
    const [stem, first] = [text(256), ask(engine, [...text(256), 7])];
    await later(0);
    const others = [8, 9, 10].map((id) => all(ask(engine, [...stem, id])));
    await Promise.all([all(first), ...others]);
    expect(engine.stats().cachedTokens).toBe(3 * 256);
    let cached = 0;
    await all(ask(engine, [...stem, 11], { onPrompt: (count) => (cached = count) }));
    expect(cached).toBe(256);
    await all(ask(engine, [...stem, 11], { salt: "other", onPrompt: (count) => (cached = count) }));
    expect(cached).toBe(0);
  });

  it("goes on without a reader who leaves, is aborted, or is slow", async () => {
    const engine = start({ sequences: 2 });
    const gone = ask(engine, text(5), { maxTokens: 400 });
    await gone.next();
    await gone.return?.();
    const control = new AbortController();
    const aborted = all(ask(engine, text(6), { maxTokens: 400, signal: control.signal }));
    const slow = ask(engine, text(7), { maxTokens: 400 });
    await slow.next();
    control.abort();
    expect((await aborted).length).toBeLessThan(400);
    // The slow one gives way, and still gets all of its tokens once, in order.
    await Promise.all([1, 2, 3].map((seed) => all(ask(engine, text(90, seed), { maxTokens: 60 }))));
    const rest = await all(slow);
    expect(rest).toHaveLength(399);
    const alone = await all(ask(engine, text(7), { maxTokens: 400 }));
    expect(rest).toEqual(alone.slice(1));
    await expect.poll(() => engine.stats()).toMatchObject({ running: 0, waiting: 0 });
    const { blocks } = engine.stats();
    expect(blocks.available).toBe(blocks.capacity);
  });

  it("lets go of a reader who was far behind and is aborted", async () => {
    const engine = start();
    const control = new AbortController();
    const slow = ask(engine, text(5), { maxTokens: 400, signal: control.signal });
    await slow.next();
    while (engine.stats().generatedTokens < 64) await later(1);
    await later(5);
    control.abort();
    await expect.poll(() => engine.stats()).toMatchObject({ running: 0, waiting: 0 });
    expect((await all(slow)).length).toBeLessThan(100);
  });

  it("ends what is too late, paused or not, with an error", async () => {
    const engine = start();
    const late = ask(engine, text(5), { maxTokens: 500, timeout: 30 });
    await later(60);
    await expect(all(late)).rejects.toThrow(/within its time/);
  });

  it("waits for a slow reader without being busy, however much time that one has", async () => {
    const engine = start();
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on("warning", warned);
    const slow = ask(engine, text(5), { maxTokens: 100, timeout: Number.POSITIVE_INFINITY });
    await slow.next();
    await expect.poll(() => engine.stats().generatedTokens).toBeGreaterThanOrEqual(64);
    await later(20);
    expect(await all(slow)).toHaveLength(99);
    process.off("warning", warned);
    expect(warnings).toEqual([]);
  });

  it("fails those who were in a step that fails, and keeps nothing of what it did not do", async () => {
    let failing = false;
    const broken = new Proxy(device, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        if (name === "run" && failing) return () => Promise.reject(new Error("the device is broken"));
        return value.bind(target);
      },
    });
    const engine = new Engine(model.decoder, broken, {
      cacheFormat: "f16",
      cacheTokens: 2000,
      stepTokens: 100,
    });
    engines.push(engine);
    const prompt = text(300);
    const expected = await all(ask(engine, prompt));
    // Another one, broken off in the middle: its first step was run, and the second was not.
    const other = text(300, 5);
    const first = ask(engine, other);
    engine.observer = () => {
      failing = true;
    };
    await expect(all(first)).rejects.toThrow("the device is broken");
    engine.observer = undefined;
    failing = false;
    const { running, waiting, blocks } = engine.stats();
    expect({ running, waiting, ...blocks }).toMatchObject({
      ...{ running: 0, waiting: 0, kept: 0, idle: 0 },
      available: blocks.capacity,
    });
    const alone = start();
    expect(await all(ask(engine, other))).toEqual(await all(ask(alone, other)));
    expect(await all(ask(engine, prompt))).toEqual(expected);
  });

  it("draws only what a mask allows", async () => {
    const engine = start();
    const accepted: number[] = [];
    const allowed = new Uint32Array(16);
    const mask = {
      allowed: () => allowed.fill(0).map((_, word) => (word === 1 ? 1 << (accepted.length + 3) : 0)),
      accept: (token: number) => accepted.push(token),
      finished: false,
    };
    const choices = await all(ask(engine, text(5), { mask, maxTokens: 4, ends: new Set([38]) }));
    // 32 + 3, + 4, ...; the last ends it, and is not for the mask.
    expect(choices.map(({ token }) => token)).toEqual([35, 36, 37, 38]);
    expect(accepted).toEqual([35, 36, 37]);
  });

  it("tells the logits of all positions, and lets an abort end that with its reason", async () => {
    const engine = start({ stepTokens: 40 });
    const ids = text(100);
    const rows = await all(engine.logits(ids));
    expect(rows.map((chunk) => chunk.length / model.decoder.vocabularySize)).toEqual([40, 40, 20]);
    const [choice] = (await all(ask(engine, ids, { maxTokens: 1 }))) as [Choice];
    const last = rows.at(-1)!.slice(-model.decoder.vocabularySize);
    expect(last.indexOf(Math.max(...last))).toBe(choice.token);
    // A last part of one token is as lasting as the others.
    const single = (await all(engine.logits(text(41)))).at(-1)!;
    const before = [...single];
    await all(ask(engine, ids));
    expect([...single]).toEqual(before);
    const control = new AbortController();
    const aborted = engine.logits(ids, { signal: control.signal });
    await aborted.next();
    control.abort();
    await expect(all(aborted)).rejects.toThrow(/abort/);
  });

  it("refuses what can never fit, and a wrong number of anything", () => {
    const engine = start({ cacheTokens: 100 });
    expect(() => ask(engine, text(95))).toThrow(
      /95 tokens of the prompt and 8 new ones exceed the cache of 100/,
    );
    expect(() => ask(engine, [])).toThrow(/empty/);
    expect(() => ask(engine, [5, 512])).toThrow(/512 is no token/);
    expect(() => start({ sequences: 8, stepTokens: 8 })).toThrow(/stepTokens: must be a whole number from 9/);
  });

  it("fails what is under way when it is closed", async () => {
    const engine = start();
    const running = all(ask(engine, text(5), { maxTokens: 400 }));
    await later(1);
    engine.close();
    await expect(running).rejects.toThrow(/closed/);
    expect(() => ask(engine, text(5))).toThrow(/closed/);
  });
});
