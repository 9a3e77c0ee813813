/** What the engine tells of itself adds up, here and through a process of its own, and stops when nobody looks. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { samplingFrom } from "../../src/decode/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EngineMonitor } from "../../src/engine/monitor.ts";
import type { EngineOptions } from "../../src/engine/options.ts";
import type { EngineFrame, Monitor, StepPart, StepRecord } from "../../src/engine/report.ts";
import type { GenerateRequest } from "../../src/engine/request.ts";
import type { LoadedModel } from "../../src/models/index.ts";
import type { Device } from "../../src/ops/index.ts";
import { HostedModel } from "../../src/tasks/host/hosted-model.ts";
import { subjects } from "../support/devices.ts";
import { load } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const text = (length: number, seed = 0): number[] =>
  Array.from({ length }, (_, i) => 3 + ((i * 31 + seed * 7 + i * seed) % 500));
const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);

/** Waits until a frame has come that fits. */
async function until(frames: readonly EngineFrame[], fits: (frame: EngineFrame) => boolean): Promise<void> {
  while (!frames.some(fits)) await later(5);
}

describe.skipIf(!haveShared)("an engine that is looked at", () => {
  let device: Device;
  let model: LoadedModel;
  beforeAll(async () => {
    device = await subjects.at(-1)!.open(1);
    model = await load(shared("models/stories260K/hf"), device);
  });
  afterAll(() => device.close());

  const start = (options: Partial<EngineOptions> = {}): Engine =>
    new Engine(model.decoder, device, { cacheFormat: "f16", cacheTokens: 2000, ...options });
  const ask = async (engine: Engine, prompt: readonly number[], more: Partial<GenerateRequest> = {}) => {
    let count = 0;
    const request = { prompt, sampling: samplingFrom({ temperature: 1, seed: 1 }), maxTokens: 20, ...more };
    for await (const _ of engine.generate(request)) count++;
    return count;
  };

  it("tells of every token of every step, whatever happens to the requests", async () => {
    // Six at once that grow by 200 tokens over a cache of 400: there are preemptions.
    const engine = start({ sequences: 6, stepTokens: 50, cacheTokens: 400 });
    const records: StepRecord[] = [];
    engine.observer = (record) => records.push(record);
    const lengths = await Promise.all([
      ...[1, 2, 3, 4, 5, 6, 7, 8].map((seed) => ask(engine, text(9 * seed, seed), { maxTokens: 200 })),
      // Prompts alike, run once; and one that was seen before.
      ...[1, 2, 3].map(() => ask(engine, text(130, 9))),
    ]);
    lengths.push(await ask(engine, text(130, 9)));
    const stats = engine.stats();
    const parts = records.flatMap((record) => record.parts);
    const tokens = (fits: (part: StepPart) => boolean): number =>
      sum(parts.filter(fits).map((part) => part.tokens));
    expect(stats.preemptions).toBeGreaterThan(0);
    expect(stats.cachedTokens).toBeGreaterThan(0);
    expect(records.map(({ step }) => step)).toEqual(Array.from({ length: stats.steps }, (_, i) => i + 1));
    expect(stats.stepMs).toBeCloseTo(sum(records.map(({ ms }) => ms)), 6);
    expect(sum(parts.map(({ drawn }) => drawn))).toBe(sum(lengths));
    expect(stats.generatedTokens).toBe(sum(lengths));
    expect(tokens(({ prefill }) => prefill)).toBe(stats.prefillTokens);
    // Nothing is run twice but what was preempted, and nothing is left out but what the cache had.
    expect(stats.prefillTokens).toBeGreaterThan(stats.promptTokens - stats.cachedTokens);
    for (const record of records)
      expect(sum(record.parts.map((part) => part.tokens))).toBeLessThanOrEqual(50);
    const firsts = parts.filter(({ since }) => since !== undefined);
    expect(sum(firsts.map(({ drawn }) => drawn))).toBe(lengths.length);
    const { blocks, running, waiting } = stats;
    expect({ running, waiting, available: blocks.available }).toEqual({
      running: 0,
      waiting: 0,
      available: blocks.capacity,
    });
    expect(blocks.idle).toBe(blocks.kept);
    engine.close();
  });

  it("shows each sequence, and the blocks with those who share them", async () => {
    const engine = start({ sequences: 4 });
    const seen: ReturnType<Engine["snapshot"]>[] = [];
    engine.observer = () => seen.push(engine.snapshot());
    const prompt = text(140);
    await ask(engine, prompt, { maxTokens: 1 });
    const before = engine.snapshot();
    expect(before.blocks).toBe("--");
    expect(before.stats.blocks).toMatchObject({ kept: 2, idle: 2, shared: 0 });
    await Promise.all([
      ask(engine, [...prompt, 5], { maxTokens: 30 }),
      ask(engine, [...prompt, 6], { maxTokens: 30 }),
      ...[7, 8, 9].map((id) => ask(engine, [...prompt, id], { maxTokens: 30 })),
    ]);
    const full = seen.find(({ stats }) => stats.running === 4)!;
    expect(full.blocks).toMatch(/^44[1.]+$/);
    expect(full.stats.blocks.shared).toBe(2);
    expect(full.stats.waiting).toBe(1);
    const [one] = full.sequences;
    expect(one).toMatchObject({ prompt: 141, cached: 128, blocks: 3, state: "decode" });
    expect(full.sequences.at(-1)).toMatchObject({ state: "waiting", generated: 0, cached: 0, blocks: 0 });
    for (const { blocks, stats } of seen) {
      const used = [...blocks].filter((letter) => letter !== "." && letter !== "-").length;
      expect(used).toBe(stats.blocks.capacity - stats.blocks.available);
      expect(blocks.split("-").length - 1).toBe(stats.blocks.idle);
    }
    engine.close();
  });

  it("is told in frames that add up, to as many as watch, and to nobody afterwards", async () => {
    const engine = start();
    const monitor = new EngineMonitor(engine);
    const frames: EngineFrame[] = [];
    const other: EngineFrame[] = [];
    const leave = [monitor.watch((frame) => frames.push(frame)), monitor.watch((frame) => other.push(frame))];
    const count = sum(
      await Promise.all([1, 2, 3].map((seed) => ask(engine, text(90, seed), { maxTokens: 300 }))),
    );
    await until(frames, ({ stats }) => stats.generatedTokens === count && stats.running === 0);
    expect(other).toEqual(frames);
    expect(frames[0]!.blocks).toBeDefined();
    const ran = frames.flatMap((frame) => frame.ran);
    const { stats } = engine.snapshot();
    expect(sum(ran.map(([, prefill]) => prefill))).toBe(stats.prefillTokens);
    expect(sum(ran.map(([, , decode]) => decode))).toBe(count - 3);
    expect(sum(frames.flatMap(({ first }) => first.map(([, n]) => n)))).toBe(3);
    expect(sum(frames.flatMap(({ between }) => between.map(([, n]) => n)))).toBe(count - 3);
    const told = frames.length;
    await later(400);
    // The last map of the cache may come late; then there is nothing to tell.
    expect(frames.length).toBeLessThanOrEqual(told + 1);
    leave[0]!();
    await ask(engine, text(10));
    await until(other, (frame) => frame.stats.running === 0 && frame.stats.steps === engine.stats().steps);
    expect(frames.length).toBeLessThanOrEqual(told + 1);
    leave[1]!();
    expect(engine.observer).toBeUndefined();
    engine.close();
  });
});

describe("a host that is looked into", () => {
  it("tells how its engine stands, and sends frames while somebody watches, also after a crash", async () => {
    let meanwhile: Promise<unknown> | undefined;
    const model = await HostedModel.open({
      source: { random: "stories-260k:f32" },
      open: { threads: 1 },
      tokenizer: undefined,
      onCrash: () => {
        meanwhile = expect(model.monitor.snapshot()).rejects.toThrow(/starting/);
      },
    });
    const run = (maxTokens: number) =>
      model.generate([1, 10, 20, 30], { maxTokens, ignoreEnd: true, seed: 1 }).result();
    try {
      const monitor: Monitor = model.monitor;
      const idle = await monitor.snapshot();
      expect(idle.stats).toMatchObject({ running: 0, waiting: 0, steps: 0 });
      expect(idle.limits).toEqual({ sequences: 32, stepTokens: 512, block: 64 });
      const frames: EngineFrame[] = [];
      const leave = monitor.watch((frame) => frames.push(frame));
      await run(200);
      await until(frames, ({ stats }) => stats.generatedTokens === 200);
      const ran = frames.flatMap((frame) => frame.ran);
      expect([sum(ran.map(([, prefill]) => prefill)), sum(ran.map(([, , decode]) => decode))]).toEqual([
        4, 199,
      ]);
      const { pid } = model;
      process.kill(pid!, "SIGKILL");
      while (model.pid === pid) await later(1);
      await meanwhile;
      frames.length = 0;
      await run(20);
      await until(frames, ({ stats }) => stats.generatedTokens === 20);
      leave();
      const told = frames.length;
      await run(30);
      expect((await monitor.snapshot()).stats.generatedTokens).toBe(50);
      await later(120);
      expect(frames).toHaveLength(told);
    } finally {
      await model.close();
    }
  });
});
