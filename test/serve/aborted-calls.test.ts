/**
 * Clients that leave in the middle of a call of a tool, with a real model and engine: nothing goes on running for them,
 * and nothing that is kept (metrics, log, stored responses, the cache) says that there was a call.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { Gate } from "../../src/serve/gate.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { createMetrics } from "../../src/serve/metrics.ts";
import type { RequestReport } from "../../src/serve/requests.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { tinyChat } from "../support/tiny-chat.ts";

const checkpoint = tinyChat();
let model: LanguageModel;
beforeAll(async () => {
  model = await open((await checkpoint).folder, { name: "tiny", packedCache: false });
});
afterAll(async () => {
  await model.close();
  (await checkpoint).remove();
});

let server: Listening;
let gate: Gate;
let metrics: ReturnType<typeof createMetrics>;
let reports: RequestReport[];
let failures: unknown[];
beforeEach(async () => {
  gate = new Gate(8);
  metrics = createMetrics({ ofProcess: false });
  reports = [];
  failures = [];
  const app = createApp(model, {
    ...{ gate, metrics },
    onRequest: (report) => reports.push(report),
    onError: (error) => failures.push(error),
  });
  server = await listen(app, { host: "127.0.0.1", port: 0 });
  return () => server.close(0);
});

// So long that a call under way is in its middle.
const schema = {
  type: "object",
  properties: { text: { type: "string", minLength: 2500 } },
  required: ["text"],
  additionalProperties: false,
};
const messages = [{ role: "user", content: "Write." }];

/** What each dialect asks, and what its stream says of a call that has begun. */
const dialects: Readonly<Record<string, { path: string; body: object; delta: RegExp }>> = {
  "chat completions": {
    path: "/v1/chat/completions",
    body: {
      messages,
      tools: [{ type: "function", function: { name: "write", parameters: schema } }],
      tool_choice: "required",
      parallel_tool_calls: false,
    },
    delta: /"function":\{"arguments":"/,
  },
  responses: {
    path: "/v1/responses",
    body: {
      input: "Write.",
      tools: [{ type: "function", name: "write", parameters: schema, strict: true }],
      tool_choice: "required",
      parallel_tool_calls: false,
    },
    delta: /"type":"response\.function_call_arguments\.delta"/,
  },
  messages: {
    path: "/v1/messages",
    body: {
      ...{ model: "tiny", max_tokens: 3500, messages },
      tools: [{ name: "write", input_schema: schema }],
      tool_choice: { type: "any", disable_parallel_tool_use: true },
    },
    delta: /"type":"input_json_delta"/,
  },
};

const snapshot = () => model.monitor!.snapshot();

/** Waits until nothing runs, and holds what is kept of it against what was the case. */
async function expectNothingLeft(path: string, status: number): Promise<void> {
  await gate.drain();
  await expect.poll(async () => (await snapshot()).sequences).toEqual([]);
  const { running, waiting, blocks, steps } = (await snapshot()).stats;
  expect([running, waiting]).toEqual([0, 0]);
  expect(blocks.available).toBe(blocks.capacity);
  await expect.poll(() => reports.length).toBe(1);
  expect(reports[0]).toMatchObject({ path, cut: true, status });
  const text = await metrics.text();
  expect(text).toMatch(/^fovea_generations_total\{reason="abort"\} 1$/m);
  expect(text).not.toMatch(/^fovea_generations_total\{reason="(stop|length)"\} [1-9]/m);
  expect(text).toContain(`fovea_http_requests_total{method="POST",status="${status}"} 1\n`);
  expect(text).toMatch(/^fovea_requests_running 0$/m);
  expect(failures).toEqual([]);
  // No step is run for anybody who is gone.
  expect((await snapshot()).stats.steps).toBe(steps);
}

const ask = (path: string, body: object, signal: AbortSignal): Promise<Response> =>
  fetch(server.url + path, {
    ...{ method: "POST", headers: { "content-type": "application/json" }, signal },
    body: JSON.stringify(body),
  });

it.each(Object.entries(dialects))("a stream of %s that is left", async (_, { path, body, delta }) => {
  const leaving = new AbortController();
  const response = await ask(path, { ...body, stream: true }, leaving.signal);
  let seen = "";
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body!) {
      seen += decoder.decode(bytes, { stream: true });
      if (delta.test(seen)) leaving.abort();
    }
  };
  await expect(read()).rejects.toMatchObject({ name: "AbortError" });
  expect(seen).toContain('"write"');
  await expectNothingLeft(path, 200);
});

it.each(Object.entries(dialects))("an answer of %s that is not waited for", async (_, { path, body }) => {
  const before = (await snapshot()).stats.generatedTokens;
  const leaving = new AbortController();
  const answer = ask(path, body, leaving.signal);
  // A token is a byte here: this is behind the tool's name and within its text.
  await expect.poll(async () => (await snapshot()).stats.generatedTokens - before).toBeGreaterThan(100);
  leaving.abort();
  await expect(answer).rejects.toMatchObject({ name: "AbortError" });
  await expectNothingLeft(path, 499);
});

it("a response that was left is not kept, and nothing goes on from it", async () => {
  const { path, body } = dialects.responses!;
  const leaving = new AbortController();
  const response = await ask(path, { ...body, stream: true }, leaving.signal);
  let seen = "";
  for await (const bytes of response.body!) {
    seen += new TextDecoder().decode(bytes);
    if (seen.includes("function_call_arguments.delta")) break;
  }
  leaving.abort();
  const id = /"id":"(resp-[0-9a-f]+)"/.exec(seen)![1];
  await expect.poll(async () => (await snapshot()).sequences).toEqual([]);
  expect((await fetch(`${server.url}/v1/responses/${id}`)).status).toBe(404);
  const next = await fetch(server.url + path, {
    method: "POST",
    body: JSON.stringify({ input: "And?", previous_response_id: id, max_output_tokens: 5 }),
  });
  expect([next.status, await next.json()]).toMatchObject([404, { error: { code: "response_not_found" } }]);
});
