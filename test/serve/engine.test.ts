/** The engine as the server shows it: a snapshot, a stream of frames, figures for Prometheus. Needs the built library. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { EngineFrame, EngineSnapshot, Monitor } from "../../src/engine/report.ts";
import { createApp } from "../../src/serve/app.ts";
import { EngineView } from "../../src/serve/engine.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { createMetrics } from "../../src/serve/metrics.ts";
import type { HostedModel } from "../../src/tasks/host/hosted-model.ts";
import { openHosted } from "../../src/tasks/host/open.ts";
import { HostProcess } from "../../src/tasks/host/process.ts";
import { fakeModel } from "../support/fake-model.ts";
import { haveShared, shared } from "../support/shared.ts";

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Reads a stream of events; those that have come so far. */
function eventsOf(response: Response) {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const events: (EngineFrame | EngineSnapshot)[] = [];
  let rest = "";
  const done = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const pieces = (rest + part.value).split("\n\n");
      rest = pieces.pop()!;
      for (const piece of pieces) if (piece.startsWith("data: ")) events.push(JSON.parse(piece.slice(6)));
    }
  })();
  return { events, done };
}

describe.skipIf(!haveShared)("a server over a hosted model", () => {
  let model: HostedModel;
  let server: Listening;
  const stop = new AbortController();
  const errors: unknown[] = [];
  beforeAll(async () => {
    model = await openHosted(shared("models/stories260K/hf"), { sequences: 2, cacheTokens: 2000 });
    const app = createApp(model, {
      metrics: createMetrics({ ofProcess: false }),
      keys: ["key"],
      shutdown: stop.signal,
      onError: (error) => errors.push(error),
    });
    server = await listen(app, { host: "127.0.0.1", port: 0 });
  });
  afterAll(async () => {
    await server.close(0);
    await model.close();
  });

  const headers = { authorization: "Bearer key" };
  const get = (path: string, signal?: AbortSignal) =>
    fetch(`${server.url}${path}`, { headers, ...(signal && { signal }) });
  const snapshot = async () => (await (await get("/engine")).json()) as EngineSnapshot;
  const ask = async (prompt: string, maxTokens: number) => {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify({ prompt, max_tokens: maxTokens, ignore_eos: true, stream: true }),
    });
    expect(response.status).toBe(200);
    return response;
  };
  const metrics = async () => {
    const lines = (await (await get("/metrics")).text()).split("\n").filter((line) => !line.startsWith("#"));
    return new Map(
      lines.map((line) => [
        line.slice(0, line.lastIndexOf(" ")),
        Number(line.slice(line.lastIndexOf(" ") + 1)),
      ]),
    );
  };

  it("asks for a key", async () => {
    for (const path of ["/engine", "/engine/events"])
      expect((await fetch(`${server.url}${path}`)).status).toBe(401);
  });

  it("streams what the engine does, without a word of any text", async () => {
    const leaving = new AbortController();
    const response = await get("/engine/events", leaving.signal);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const { events, done } = eventsOf(response);
    const secret = "The xylophone is mine";
    await (await ask(secret, 100)).text();
    while (events.at(-1)?.stats.generatedTokens !== 100 || events.at(-1)?.stats.running !== 0) await later(5);
    expect(events[0]).toHaveProperty("limits.sequences", 2);
    const [, ...frames] = events as EngineFrame[];
    expect(frames.flatMap(({ ran }) => ran).reduce((sum, [, , decode]) => sum + decode, 0)).toBe(99);
    // What the cache keeps of it is told a little later.
    while (!(events as EngineFrame[]).some(({ blocks }) => blocks?.endsWith("-"))) await later(5);
    // A text may be written between two frames; one of many is seen while it is.
    while (!events.some(({ sequences }) => sequences[0]?.state === "decode"))
      await (await ask(secret, 450)).text();
    expect(JSON.stringify(events)).not.toMatch(/xylophone|mine/);
    leaving.abort();
    await done.catch(() => {});
  });

  it("tells of requests that run and wait, as a snapshot and as figures that gateways read", async () => {
    const before = await metrics();
    let over = false;
    const clients = [1, 2, 3, 4].map(async (i) => {
      while (!over) await (await ask(`Once upon a time ${i}`, 480)).text();
    });
    let seen = await snapshot();
    let during = before;
    const full = () =>
      seen.stats.running === 2 &&
      seen.stats.waiting > 0 &&
      during.get("fovea_requests_running") === 2 &&
      during.get("fovea_requests_waiting")! > 0;
    while (!full()) [seen, during] = await Promise.all([snapshot(), metrics()]);
    over = true;
    expect(seen.stats.waiting).toBeLessThanOrEqual(2);
    const states = seen.sequences.map(({ state }) => state);
    expect(states.slice(0, 2).every((state) => state === "decode" || state === "prefill")).toBe(true);
    expect(states.slice(2)).toEqual(Array.from({ length: seen.stats.waiting }, () => "waiting"));
    expect(during.get("fovea_requests_waiting")).toBeLessThanOrEqual(2);
    const { capacity } = seen.stats.blocks;
    const used = during.get('fovea_cache_blocks{state="used"}')!;
    expect(used).toBeGreaterThanOrEqual(2);
    expect(during.get("fovea_cache_usage_ratio")).toBe(used / capacity);
    expect(during.get(`fovea_cache_config_info{block_size="64",num_gpu_blocks="${capacity}"}`)).toBe(1);
    await Promise.all(clients);
    while ((await snapshot()).stats.running > 0) await later(5);
    const after = await metrics();
    expect(after.get("fovea_requests_running")).toBe(0);
    expect(after.get("fovea_requests_waiting")).toBe(0);
    expect(after.get("fovea_cache_usage_ratio")).toBe(0);
    for (const name of ["fovea_prefix_cache_queries_total", "fovea_engine_steps_total"])
      expect(after.get(name)).toBeGreaterThan(before.get(name)!);
  });

  it("takes no client that leaves for a failure, and no dozen of choices for a leak", async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on("warning", warned);
    for (let i = 0; i < 5; i++) {
      const leaving = new AbortController();
      const response = await fetch(`${server.url}/v1/completions`, {
        ...{ method: "POST", headers, signal: leaving.signal },
        body: JSON.stringify({ prompt: "Once", max_tokens: 400, n: 12, ignore_eos: true, stream: true }),
      });
      await response.body!.getReader().read();
      leaving.abort();
    }
    let { stats } = await snapshot();
    while (stats.running + stats.waiting > 0) ({ stats } = await snapshot());
    process.off("warning", warned);
    expect(errors).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it("lets go of watchers who leave, and of the engine with the last of them", async () => {
    const send = vi.spyOn(HostProcess.prototype, "send");
    const watched = () =>
      send.mock.calls.flatMap(([request]) => (request.kind === "watch" ? [request.on] : []));
    const all = [new AbortController(), new AbortController()];
    const streams = await Promise.all(all.map(({ signal }) => get("/engine/events", signal)));
    all[0]!.abort();
    await later(50);
    expect(watched()).toEqual([true]);
    all[1]!.abort();
    await expect.poll(watched).toEqual([true, false]);
    for (const stream of streams) await stream.text().catch(() => {});
    send.mockRestore();
  });

  it("has no figures of an engine that is being started, and goes on with its watchers afterwards", async () => {
    const { events } = eventsOf(await get("/engine/events"));
    const { pid } = model;
    process.kill(pid!, "SIGKILL");
    while (model.pid === pid) await later(1);
    expect([503, 200]).toContain((await get("/engine")).status);
    const meanwhile = await metrics();
    if (!meanwhile.has("fovea_cache_usage_ratio")) expect(meanwhile.get("fovea_requests_running")).toBe(0);
    events.length = 0;
    await (await ask("Once", 40)).text();
    while (events.at(-1)?.stats.generatedTokens !== 40) await later(5);
    expect((await metrics()).get("fovea_cache_usage_ratio")).toBeDefined();
  });

  it("ends the streams when it stops", async () => {
    const { done } = eventsOf(await get("/engine/events"));
    stop.abort();
    await done;
  });
});

describe("watchers", () => {
  const still: EngineSnapshot = {
    ...{ at: 0, sequences: [], blocks: "" },
    limits: { sequences: 1, stepTokens: 2, block: 64 },
    stats: {
      ...{ running: 0, waiting: 0, steps: 0, stepMs: 0, preemptions: 0, promptTokens: 0, cachedTokens: 0 },
      ...{ prefillTokens: 0, generatedTokens: 0 },
      blocks: { capacity: 4, available: 4, kept: 0, idle: 0, shared: 0 },
    },
  };
  const { blocks: _, limits: __, ...rest } = still;
  const frame = (at: number, blocks?: string): EngineFrame => ({
    ...{ ...rest, at, ran: [], first: [], between: [] },
    ...(blocks !== undefined && { blocks }),
  });

  it("who do not read get no more than a few frames, the last that they missed, and its map", async () => {
    let tell: (frame: EngineFrame) => void = () => {};
    const monitor: Monitor = {
      snapshot: async () => still,
      watch(listener) {
        tell = listener;
        return () => {};
      },
    };
    const view = new EngineView(monitor, new AbortController().signal);
    const reader = (await view.stream(new Request("http://localhost/engine/events"))).body!.getReader();
    tell(frame(1, "1"));
    for (let at = 2; at < 1000; at++) tell(frame(at, at === 500 ? "11" : undefined));
    const seen: EngineFrame[] = [];
    const read = async () =>
      seen.push(JSON.parse(new TextDecoder().decode((await reader.read()).value).slice(6)) as EngineFrame);
    for (let i = 0; i < 5; i++) await read();
    expect(seen.map(({ at }) => at)).toEqual([0, 1, 2, 3, 999]);
    expect(seen[4]).toEqual(frame(999, "11"));
    tell(frame(1000));
    await read();
    expect(seen[5]).toEqual(frame(1000));
    await reader.cancel();
  });

  it("are not too many, and are told when there is nothing to see", async () => {
    const app = createApp(
      Object.assign(fakeModel(), { monitor: { snapshot: async () => still, watch: () => () => {} } }),
    );
    const streams = await Promise.all(Array.from({ length: 64 }, () => app.request("/engine/events")));
    const refused = await app.request("/engine/events");
    expect(refused.status).toBe(429);
    await streams[0]!.body!.cancel();
    // Who asks for the headers alone does not watch.
    for (let i = 0; i < 2; i++)
      expect((await app.request("/engine/events", { method: "HEAD" })).status).toBe(200);
    expect((await app.request("/engine/events")).status).toBe(200);
    expect((await createApp(fakeModel()).request("/engine")).status).toBe(404);
  });
});
