/** Clients that mean harm or are broken: nobody else notices, nothing stays behind. */
import { setMaxListeners } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import { Gate } from "../../src/serve/gate.ts";
import { type Listening, listen, type Patience } from "../../src/serve/listen.ts";
import { createMetrics } from "../../src/serve/metrics.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { fakeModel } from "../support/fake-model.ts";
import { tinyChat } from "../support/tiny-chat.ts";

/** Milliseconds, where a test waits for somebody's end; and for those in a hurry that are no test of it. */
const short = { headers: 400, request: 800, reading: 200, interval: 25 };
const long = { headers: 20_000, request: 20_000, reading: 20_000, interval: 1000 };
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function serve(
  model: LanguageModel,
  options: AppOptions = {},
  patience: Patience = long,
): Promise<Listening> {
  const listening = await listen(createApp(model, options), { host: "127.0.0.1", port: 0, patience });
  ends.push(() => listening.close(0));
  return listening;
}

/** A connection on which anything can be written; `all`: what has come back when it has ended. */
function raw(port: number, text = ""): { socket: Socket; all: Promise<string> } {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  ends.push(() => socket.destroy());
  let got = "";
  const all = new Promise<string>((resolve) => {
    socket.on("data", (data) => {
      got += data;
    });
    socket.on("error", () => {});
    for (const event of ["end", "close"]) socket.once(event, () => resolve(got));
  });
  socket.write(text);
  return { socket, all };
}

const request = (path: string, body: object | string, head = ""): string => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${Buffer.byteLength(text)}\r\n${head}\r\n${text}`;
};
const messages = [{ role: "user", content: "Hi" }];
const endless = { messages, ignore_eos: true, stream: true };
const healthy = async ({ url }: Listening): Promise<void> => {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ messages, max_tokens: 5 }),
  });
  expect(response.status).toBe(200);
};

describe("a client that stops reading", () => {
  it("makes the model wait, is cut in the end, and what was done for it ends", async () => {
    const gate = new Gate(2);
    const metrics = createMetrics({ ofProcess: false });
    const model = fakeModel({ contextLength: 1_000_000 });
    let read = 0;
    const counting: LanguageModel = {
      ...model,
      chat: (...args) => {
        const generation = model.chat(...args);
        return {
          ...generation,
          async *events() {
            for await (const event of generation.events()) {
              read++;
              yield event;
            }
          },
        } as typeof generation;
      },
    };
    // Long enough to see that it runs, before it is cut.
    const server = await serve(counting, { gate, metrics }, { ...short, reading: 1500 });
    const { socket } = raw(server.port, request("/v1/chat/completions", endless));
    socket.once("data", () => socket.pause());
    await expect.poll(() => read).toBeGreaterThan(1000);
    await healthy(server);
    const running = async () => /^fovea_requests_running (\d+)$/m.exec(await metrics.text())![1];
    expect(await running()).toBe("1");
    await expect.poll(running).toBe("0");
    expect(await metrics.text()).toContain('fovea_generations_total{reason="abort"} 1');
    // What sockets hold, of the million tokens that it might have been.
    expect(read).toBeLessThan(500_000);
    await gate.drain();
  });

  it("of a slow kind gets all of it", async () => {
    const server = await serve(fakeModel({ contextLength: 20_000 }));
    const body = { messages, max_tokens: 6000, ignore_eos: true, stream: true };
    const { socket, all } = raw(server.port, request("/v1/chat/completions", body, "connection: close\r\n"));
    socket.on("data", () => {
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    expect(await all).toContain("[DONE]");
  });
});

describe("a client that does not end its request", () => {
  it.each([
    ["nothing", ""],
    ["a part of the headers", "POST /v1/chat/completions HTTP/1.1\r\nhost: local"],
    ["a part of the body", request("/v1/chat/completions", { messages }).slice(0, -5)],
  ])("is told that it took too long: %s", async (_, text) => {
    const errors: unknown[] = [];
    const server = await serve(fakeModel(), { onError: (error) => errors.push(error) }, short);
    const { all } = raw(server.port, text);
    expect(await all).toMatch(/^HTTP\/1\.1 408 /);
    await healthy(server);
    expect(errors).toEqual([]); // it is no failure of the server's
  });

  it("is told so too when it sends a byte at a time", async () => {
    const server = await serve(fakeModel(), {}, short);
    const { socket, all } = raw(server.port);
    const text = request("/v1/chat/completions", { messages });
    let i = 0;
    const timer = setInterval(() => socket.writable && i < text.length && socket.write(text[i++]!), 20);
    ends.push(() => clearInterval(timer));
    expect(await all).toMatch(/^HTTP\/1\.1 408 /);
  });

  it("but closes its side is gone: what it asked for ends", async () => {
    const gate = new Gate(4);
    const model = fakeModel({ delay: 2, contextLength: 100_000 });
    const server = await serve(model, { gate });
    for (const stream of [true, false]) {
      const { socket, all } = raw(
        server.port,
        request("/v1/chat/completions", { ...endless, stream, max_tokens: 90_000 }),
      );
      await expect.poll(() => model.calls.length).toBe(stream ? 1 : 2);
      socket.end();
      await all;
    }
    await expect.poll(() => model.endings).toEqual(["abort", "abort"]);
    await gate.drain();
  });

  it("and leaves is gone too where its body came in pieces", async () => {
    const gate = new Gate(4);
    const model = fakeModel({ delay: 2, contextLength: 100_000 });
    const server = await serve(model, { gate });
    const body = JSON.stringify({ ...endless, max_tokens: 90_000 });
    const head =
      "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    for (const stream of [true, false]) {
      const text = body.replace('"stream":true', `"stream":${stream}`);
      const piece = `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
      const { socket } = raw(server.port, head + piece);
      await expect.poll(() => model.calls.length).toBe(stream ? 1 : 2);
      socket.destroy();
    }
    await expect.poll(() => model.endings).toEqual(["abort", "abort"]);
    await gate.drain();
  });
});

describe("bodies", () => {
  const paths: [path: string, error: object][] = [
    ["/v1/chat/completions", { error: { code: "body_too_large", type: "invalid_request_error" } }],
    ["/v1/responses", { error: { code: "body_too_large", type: "invalid_request_error" } }],
    ["/v1/messages", { type: "error", error: { type: "request_too_large" } }],
    ["/api/chat", { error: expect.stringMatching(/more than \d+ bytes/) }],
  ];

  it.each(paths)("of 10 MB are refused in the words of the dialect: %s", async (path, error) => {
    const server = await serve(fakeModel());
    const content = "x".repeat(10_000_000);
    const body = JSON.stringify({ model: "fake", messages: [{ role: "user", content }] });
    // With its length told beforehand, and in pieces of which nobody knows how many come.
    for (const sent of [body, new Blob([body]).stream()]) {
      const init = { method: "POST", body: sent, duplex: "half" } as RequestInit;
      const response = await fetch(server.url + path, init);
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject(error);
    }
    await healthy(server);
  });

  it.each([
    ["lists", "[".repeat(100_000) + "]".repeat(100_000)],
    ["lists without an end", "[".repeat(4_000_000)],
    ["objects", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`],
    ["messages", `{"messages":${'[{"a":'.repeat(50_000)}1${"}]".repeat(50_000)}}`],
    ["a schema", `{"messages":[],"response_format":${'{"not":'.repeat(100_000)}{}${"}".repeat(100_000)}}`],
  ])("that are deep are refused before anybody waits for them: %s", async (_, body) => {
    const server = await serve(fakeModel());
    const response = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", body });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/more than 512 deep/);
  });

  it("with brackets in texts are not deep", async () => {
    const server = await serve(fakeModel({ contextLength: 100_000 }));
    const content = `${'["\\'.repeat(600)}"`;
    const body = JSON.stringify({ messages: [{ role: "user", content }], max_tokens: 1 });
    expect((await fetch(`${server.url}/v1/chat/completions`, { method: "POST", body })).status).toBe(200);
  });
});

describe("what is no HTTP", () => {
  const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n";
  it.each([
    ["noise", "\u0000\u0001\u0002\r\n\r\n", 400],
    ["the beginning of TLS", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\r\n\r\n", 400],
    ["no version", "GET /health\r\n\r\n", 400],
    ["a negative length", `${head}content-length: -5\r\n\r\n`, 400],
    ["two lengths", `${head}content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef`, 400],
    ["a length and pieces", `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ["a piece without a length", `${head}transfer-encoding: chunked\r\n\r\nzz\r\n`, 400],
    ["a line break within a header", `${head}x: a\n b\u0000\r\n\r\n`, 400],
    ["headers without end", `${head}x: ${"y".repeat(100_000)}`, 431],
    ["no host", "GET /health HTTP/1.1\r\n\r\n", 400],
    ["a host that is none", "GET /health HTTP/1.1\r\nhost: a b/\r\nconnection: close\r\n\r\n", 400],
    [
      "a way out of the page",
      "GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
      404,
    ],
    ["no JSON", `${request("/v1/chat/completions", "{", "connection: close\r\n")}`, 400],
  ])("is refused, and the server goes on: %s", async (_, text, status) => {
    const server = await serve(fakeModel());
    const { all } = raw(server.port, text);
    expect(await all).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    await healthy(server);
  });

  it("many requests on one connection, in one go, are answered in order", async () => {
    const server = await serve(fakeModel());
    const one = request("/v1/chat/completions", { messages, max_tokens: 3 });
    const last = request("/v1/chat/completions", { messages, max_tokens: 3 }, "connection: close\r\n");
    const { all } = raw(server.port, one.repeat(20) + last);
    expect((await all).match(/HTTP\/1\.1 200 OK/g)).toHaveLength(21);
  });
});

describe("a real model", () => {
  it("forgets clients that leave while they wait, and texts that are far too long cost nothing", async () => {
    const made = await tinyChat();
    ends.push(made.remove);
    const model = (await open(made.folder, { threads: 1, sequences: 1 })) as LanguageModel & {
      stats(): { running: number; waiting: number };
    };
    ends.push(() => model.close());
    const gate = new Gate(64);
    const server = await serve(model, { gate });
    const ask = (body: object, signal?: AbortSignal) =>
      fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ messages, ...body }),
        ...(signal && { signal }),
      });
    const leaving = new AbortController();
    setMaxListeners(0, leaving.signal);
    const first = ask({ ...endless, max_tokens: 3000 }, leaving.signal);
    await expect.poll(() => model.stats().running).toBe(1);
    const queue = Array.from({ length: 20 }, (_, i) =>
      ask({ max_tokens: 10, stream: i % 2 === 0 }, leaving.signal).catch((error: Error) => error.name),
    );
    await expect.poll(() => model.stats().waiting).toBe(20);
    leaving.abort();
    expect(await Promise.all(queue)).toEqual(Array(20).fill("AbortError"));
    await first.then((response) => response.text()).catch(() => {});
    await expect.poll(() => model.stats()).toMatchObject({ running: 0, waiting: 0 });
    const far = [{ role: "user", content: "all work and no play ".repeat(150_000) }];
    for (const [path, param, body] of [
      ["/v1/chat/completions", "messages", { messages: far }],
      ["/v1/completions", "prompt", { prompt: far[0]!.content }],
    ] as const) {
      const response = await fetch(server.url + path, { method: "POST", body: JSON.stringify(body) });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: {
          ...{ code: "context_length_exceeded", param },
          message: expect.stringMatching(/more than 8192 tokens, but the model's context is 4096/),
        },
      });
    }
    const bare = await fetch(`${server.url}/api/generate`, {
      method: "POST",
      body: JSON.stringify({ model: model.name, prompt: far[0]!.content, raw: true }),
    });
    expect(bare.status).toBe(400);
    expect(await bare.json()).toMatchObject({
      error: expect.stringMatching(/^prompt: has more than 8192 tokens/),
    });
    expect((await ask({ max_tokens: 3 })).status).toBe(200);
    await gate.drain();
  });
});
