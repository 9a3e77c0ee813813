/** What operators ask of a server: keys, origins, limits, a graceful end, metrics, traces, logs. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, describe, expect, it } from "vitest";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import { Gate } from "../../src/serve/gate.ts";
import { listen } from "../../src/serve/listen.ts";
import { createMetrics } from "../../src/serve/metrics.ts";
import type { RequestReport } from "../../src/serve/requests.ts";
import { type FakeOptions, fakeModel } from "../support/fake-model.ts";
import { opening, runCli } from "../support/run-cli.ts";

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface ErrorShape {
  readonly error: { readonly message: string; readonly code: string };
}
const messages = [{ role: "user", content: "Hi" }];
const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as ErrorShape).error.code;

async function server(fake: FakeOptions = {}, options: AppOptions = {}) {
  const model = fakeModel(fake);
  const listening = await listen(createApp(model, options), { host: "127.0.0.1", port: 0 });
  open.push(() => listening.close(0));
  const { url } = listening;
  const ask = (body: object = {}, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ messages, ...body }),
      ...(signal && { signal }),
    });
  return { ...listening, model, ask };
}

describe("keys", () => {
  it("are asked for by the API, and by nothing that watches over the server", async () => {
    const { url, ask } = await server(
      {},
      { keys: ["one", "two"], metrics: createMetrics({ ofProcess: false }) },
    );
    const refused = await ask();
    expect(refused.status).toBe(401);
    expect(await codeOf(refused)).toBe("missing_api_key");
    const wrong = await ask({}, { authorization: "Bearer three" });
    expect([wrong.status, await codeOf(wrong)]).toEqual([401, "invalid_api_key"]);
    expect((await ask({}, { authorization: "Bearer two" })).status).toBe(200);
    expect((await ask({}, { "x-api-key": "one" })).status).toBe(200);
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
    for (const path of ["health", "ready", "metrics"])
      expect((await fetch(`${url}/${path}`)).status).toBe(200);
  });
});

describe("origins", () => {
  it("that are named may use the API from a browser, others not", async () => {
    const app = createApp(fakeModel(), { origins: ["https://app.example"], keys: ["k"] });
    const preflight = (origin: string) =>
      app.request("http://localhost/v1/chat/completions", {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization,content-type",
        },
      });
    const allowed = await preflight("https://app.example");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
    expect((await preflight("https://other.example")).headers.get("access-control-allow-origin")).toBeNull();
    const models = (origin: string) =>
      app.request("http://localhost/v1/models", { headers: { origin, "x-api-key": "k" } });
    expect((await models("https://app.example")).status).toBe(200);
    expect((await models("https://other.example")).status).toBe(403);
  });
});

describe("limits", () => {
  it("refuse a request too many with 429, and say when to come again", async () => {
    let go = () => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { ask, model } = await server({ delay: () => gone }, { gate: new Gate(2) });
    const running = [ask({ max_tokens: 10 }), ask({ max_tokens: 10, stream: true })];
    await expect.poll(() => model.calls.length).toBe(2);
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(await codeOf(refused)).toBe("too_many_requests");
    go();
    for (const response of await Promise.all(running)) {
      expect(response.status).toBe(200);
      await response.text();
    }
    expect((await ask({ max_tokens: 1 })).status).toBe(200);
  });

  it("count a request until its client has left, and no refused one", async () => {
    const { ask, model } = await server({ delay: 5, contextLength: 4096 }, { gate: new Gate(1) });
    for (let i = 0; i < 3; i++) expect((await ask({ colour: "red" })).status).toBe(400);
    const leaving = new AbortController();
    const cut = await ask({ stream: true, ignore_eos: true, max_tokens: 4000 }, {}, leaving.signal);
    expect(cut.status).toBe(200);
    expect((await ask()).status).toBe(429);
    leaving.abort();
    while (model.endings.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await ask({ max_tokens: 1 })).status).toBe(200);
  });

  it("end a request that takes too long, whole with 504 and streamed with an event", async () => {
    const { ask, model } = await server({ delay: 10 }, { timeout: 60 });
    const late = await ask({ ignore_eos: true });
    expect([late.status, await codeOf(late)]).toEqual([504, "timeout"]);
    const stream = await ask({ ignore_eos: true, stream: true });
    expect(stream.status).toBe(200);
    const text = await stream.text();
    expect(text).toMatch(/not complete after 0.06 s/);
    expect(text).not.toContain("[DONE]");
    expect(model.endings).toEqual(["abort", "abort"]);
  });

  it("hold against bodies that are large, deep, or never come", async () => {
    const { url, port } = await server({}, { maxBody: 20_000_000 });
    const post = (body: string) =>
      fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
    expect((await post("x".repeat(20_000_001))).status).toBe(413);
    expect((await post("[".repeat(10_000_000))).status).toBe(400);
    const deep = `{"messages":${'[{"a":'.repeat(100_000)}1${"}]".repeat(100_000)}}`;
    expect((await post(deep)).status).toBe(400);
    const socket = connect(port, "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    socket.write("POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nabc");
    expect((await fetch(`${url}/health`)).status).toBe(200);
    socket.destroy();
  });
});

describe("the end", () => {
  it("lets running requests finish and refuses new ones with 503", async () => {
    const gate = new Gate(8);
    const { url, ask } = await server({ delay: 10 }, { gate });
    const running = await ask({ max_tokens: 20, stream: true });
    let drained = false;
    const end = gate.drain().then(() => {
      drained = true;
    });
    const refused = await ask();
    expect([refused.status, await codeOf(refused)]).toEqual([503, "stopping"]);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await fetch(`${url}/ready`)).status).toBe(503);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect(drained).toBe(false);
    expect(await running.text()).toContain("[DONE]");
    await end;
  });

  it("of `fovea serve` waits for requests as long as it is told", async () => {
    for (const [drain, whole] of [
      ["50", true],
      ["0.05", false],
    ] as const) {
      const stop = new AbortController();
      let answer: Promise<string> | undefined;
      const { code } = await runCli(["serve", "--model", "x", "--port", "0", "--json", "--drain", drain], {
        services: opening(fakeModel({ delay: 20, contextLength: 1000 })),
        signal: stop.signal,
        onOutput: (text) => {
          const { url } = JSON.parse(text) as { url: string };
          answer ??= fetch(`${url}/v1/chat/completions`, {
            method: "POST",
            body: JSON.stringify({ messages, stream: true, max_tokens: whole ? 15 : 900, ignore_eos: true }),
          }).then((response) => {
            stop.abort();
            return response.text();
          });
        },
      });
      expect(code).toBe(0);
      expect((await answer)?.includes("[DONE]")).toBe(whole);
      if (!whole) expect(await answer).toContain("the server is stopping");
    }
  });
});

describe("metrics", () => {
  it("count requests, tokens and times", async () => {
    const { url, ask } = await server({ delay: 2 }, { metrics: createMetrics({ ofProcess: false }) });
    await (await ask({ max_tokens: 5 })).json();
    await (await ask({ max_tokens: 3, stream: true })).text();
    await (await ask({ max_tokens: 0 })).text();
    const values = async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return new Map(
        text
          .split("\n")
          .filter((line) => line !== "" && !line.startsWith("#"))
          .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
      );
    };
    let seen = await values();
    // An answer is counted when its last byte has gone out, which the client may see first.
    while (
      seen.get('fovea_http_requests_total{method="POST",status="200"}') !== 2 ||
      seen.get('fovea_http_requests_total{method="POST",status="400"}') !== 1
    )
      seen = await values();
    expect(Object.fromEntries(seen)).toMatchObject({
      'fovea_http_requests_total{method="POST",status="200"}': 2,
      'fovea_http_requests_total{method="POST",status="400"}': 1,
      'fovea_generations_total{reason="length"}': 2,
      fovea_generated_tokens_total: 8,
      fovea_prompt_tokens_total: 20,
      fovea_requests_running: 0,
      fovea_requests_waiting: 0,
      fovea_time_to_first_token_seconds_count: 2,
      fovea_time_between_tokens_seconds_count: 6,
    });
    expect(seen.get("fovea_time_between_tokens_seconds_sum")).toBeGreaterThan(0.005);
  });
});

describe("requests", () => {
  it("have names: the client's own if it can stand in a log, and word of each is given", async () => {
    const reports: RequestReport[] = [];
    const { url, ask } = await server({}, { onRequest: (report) => reports.push(report) });
    expect((await ask({}, { "x-request-id": "mine-7" })).headers.get("x-request-id")).toBe("mine-7");
    const given = (await ask({}, { "x-request-id": "two words" })).headers.get("x-request-id");
    expect(given).toMatch(/^[0-9a-f-]{36}$/);
    const missing = await fetch(`${url}/nothing`);
    expect(missing.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    while (reports.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(reports.map(({ id, status, cut }) => [id, status, cut])).toEqual([
      ["mine-7", 200, false],
      [given, 200, false],
      [missing.headers.get("x-request-id"), 404, false],
    ]);
  });

  it("that are cut by the client are told as cut", async () => {
    const reports: RequestReport[] = [];
    const { ask } = await server({ delay: 5, contextLength: 4096 }, { onRequest: (r) => reports.push(r) });
    const leaving = new AbortController();
    await ask({ stream: true, ignore_eos: true, max_tokens: 4000 }, {}, leaving.signal);
    leaving.abort();
    while (reports.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(reports[0]).toMatchObject({
      method: "POST",
      path: "/v1/chat/completions",
      status: 200,
      cut: true,
    });
  });
});

describe("traces", () => {
  const exporter = new InMemorySpanExporter();
  afterEach(() => {
    for (const api of [trace, context, propagation]) api.disable();
  });

  it("hold a span for the request, beneath the client's, and one for its generation", async () => {
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    trace.setGlobalTracerProvider(provider);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    const { ask } = await server();
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    await (await ask({ max_tokens: 4 }, { traceparent: `00-${traceId}-b7ad6b7169203331-01` })).json();
    while (exporter.getFinishedSpans().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const spans = exporter.getFinishedSpans();
    const request = spans.find(({ name }) => name === "POST /v1/chat/completions")!;
    const generation = spans.find(({ name }) => name === "generate fake")!;
    expect(request.spanContext().traceId).toBe(traceId);
    expect(request.parentSpanContext?.spanId).toBe("b7ad6b7169203331");
    expect(request.attributes).toMatchObject({ "http.response.status_code": 200 });
    expect(generation.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
    expect(generation.events.map(({ name }) => name)).toEqual(["first token"]);
    expect(generation.attributes).toMatchObject({
      "gen_ai.usage.input_tokens": 10,
      "gen_ai.usage.output_tokens": 4,
      "gen_ai.response.finish_reasons": ["length"],
    });
  });
});

describe("the log", () => {
  const serveWith = async (...flags: string[]) => {
    const stop = new AbortController();
    const model = fakeModel();
    let asked: Promise<unknown> | undefined;
    const ran = await runCli(["serve", "--model", "x", "--port", "0", "--json", ...flags], {
      services: opening(model),
      signal: stop.signal,
      onOutput: (text) => {
        const { url } = JSON.parse(text) as { url: string };
        asked ??= fetch(`${url}/v1/models`, { headers: { "x-request-id": "seven" } })
          .then((response) => response.text())
          // The line is written once the answer is out.
          .then(() => new Promise((resolve) => setTimeout(resolve, 50)))
          .finally(() => stop.abort());
      },
    });
    await asked;
    return ran;
  };

  it("has a JSON line for each request on the error stream, when asked for", async () => {
    const { err, code } = await serveWith("--log-level", "info");
    expect(code).toBe(0);
    const lines = err
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(lines).toContainEqual(
      expect.objectContaining({
        id: "seven",
        method: "GET",
        path: "/v1/models",
        status: 200,
        msg: "request",
      }),
    );
    expect((await serveWith()).err).toBe("");
  });

  it("goes to a file, and a full disk costs the log, not the server", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fovea-log-"));
    open.push(() => rm(folder, { recursive: true }));
    const file = join(folder, "serve.log");
    expect((await serveWith("--log-level", "info", "--log-file", file)).err).toBe("");
    expect(await readFile(file, "utf8")).toContain('"id":"seven"');
    if (process.platform !== "linux") return;
    const full = await serveWith("--log-level", "info", "--log-file", "/dev/full");
    expect(full.code).toBe(0);
    expect(full.err).toMatch(/^fovea: the log is not complete: ENOSPC[^\n]*\n$/);
  });
});
