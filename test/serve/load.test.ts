/** `fovea load` against a server of ours and against servers that fail in every way that it should tell. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { closedLoop, poisson } from "../../src/cli/load/arrivals.ts";
import { readPrompts } from "../../src/cli/load/prompts.ts";
import { spread } from "../../src/cli/load/report.ts";
import { uniform } from "../../src/decode/random.ts";
import { createApp } from "../../src/serve/app.ts";
import { listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";
import { runCli } from "../support/run-cli.ts";

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-load-"));
  file = join(folder, "prompts.txt");
  await writeFile(file, "One\n\nTwo\nThree\n");
});
afterAll(() => rm(folder, { recursive: true }));

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function ours(delay = 0, chats = true) {
  const model = fakeModel({ delay, chats, contextLength: 512 });
  const server = await listen(createApp(model), { host: "127.0.0.1", port: 0 });
  open.push(() => server.close(100));
  return { model, url: `${server.url}/v1` };
}

/** A server whose every answer is what `answer` writes. */
async function theirs(answer: (response: ServerResponse, count: number) => void): Promise<string> {
  let count = 0;
  const server = createServer((_, response) => answer(response, count++));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

const signal = new AbortController().signal;

describe("load", () => {
  it("sends each prompt in turn and counts what the server counts", async () => {
    const { model, url } = await ours();
    const argv = ["load", "--url", url, "--prompts", file, "--clients", "3", "--requests", "7"];
    const { code, out } = await runCli([...argv, "--max-tokens", "5", "--json"]);
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      model: "fake",
      arrivals: { clients: 3 },
      requests: 7,
      answered: 7,
      failed: 0,
      errors: {},
      tokens: 35,
    });
    expect(report.prompt_tokens).toBe(model.calls.reduce((sum, { prompt }) => sum + prompt.length, 0));
    expect(report.first_token_ms.p50).toBeLessThanOrEqual(report.request_ms.p50);
    const asked = model.calls.map(({ prompt }) => String.fromCharCode(...prompt.slice(7, 10)));
    expect(asked.filter((text) => text === "One")).toHaveLength(3);
    expect(model.calls[0]!.options).toMatchObject({ maxTokens: 5 });
  });

  it("sends other fields, at random times, and prints a table", async () => {
    const { model, url } = await ours();
    const argv = ["load", "--url", url, "--prompts", file, "--rate", "500", "--requests", "5"];
    const { code, out } = await runCli([
      ...argv,
      ...["--endpoint", "completions", "--body", '{"temperature":0.25,"max_tokens":3}'],
    ]);
    expect(code).toBe(0);
    expect(out).toMatch(/5 answered, 0 failed +500 requests\/s/);
    expect(out).toMatch(/first token( +[\d.]+){5}/);
    expect(model.calls[4]!.options).toMatchObject({ temperature: 0.25, maxTokens: 3 });
  });

  it("asks a model that has no chat template for completions, unless it is told otherwise", async () => {
    const { model, url } = await ours(0, false);
    const argv = ["load", "--url", url, "--prompts", file, "--requests", "3", "--json"];
    const { code, out } = await runCli(argv);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ endpoint: "completions", answered: 3 });
    expect(String.fromCharCode(...model.calls[0]!.prompt.slice(1))).toBe("One");
    const told = JSON.parse((await runCli([...argv, "--endpoint", "chat"])).out);
    expect(told).toMatchObject({ endpoint: "chat", answered: 0, failed: 3 });
  });

  it("tells each kind of failure with its count, and counts only whole answers", async () => {
    const chunk = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
    const text = chunk({ choices: [{ delta: { content: "a" }, finish_reason: null }] });
    const end = chunk({ choices: [{ delta: {}, finish_reason: "stop" }] });
    const url = await theirs((response, count) => {
      if (count % 6 === 0) response.end(`${text}${text}${end}data: [DONE]\n\n`);
      else if (count % 6 === 1) response.writeHead(429).end('{"error":{"message":"too many requests"}}');
      else if (count % 6 === 2) response.end(text);
      else if (count % 6 === 3) response.end(text + chunk({ error: { message: "out of memory" } }));
      else if (count % 6 === 4) response.write(text, () => response.destroy());
      else response.end("data: {not json\n\n");
    });
    const argv = ["load", "--url", url, "--prompts", file, "--model", "m", "--clients", "1", "--requests"];
    const { code, out } = await runCli([...argv, "12", "--json"]);
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ answered: 2, failed: 10, tokens: 4, prompt_tokens: null });
    const counts = Object.entries(report.errors);
    for (const kind of [/^429: too many/, /ended before/, /out of memory/, /terminated/, /not valid JSON/])
      expect(counts.filter(([error]) => kind.test(error)).map(([, n]) => n)).toEqual([2]);
  });

  it("gives up a request that is not answered in time, and exits with 1 when none was", async () => {
    const url = await theirs(() => {});
    const argv = ["load", "--url", url, "--prompts", file, "--model", "m", "--requests", "2"];
    const { code, out, err } = await runCli([...argv, "--timeout", "0.05"]);
    expect(code).toBe(1);
    expect(out).toContain("2 ×  no answer within 0.05 s");
    expect(err).toContain("no request was answered");
  });

  it("refuses addresses without an API", async () => {
    const dead = await runCli(["load", "--url", "http://127.0.0.1:1/v1", "--prompts", file]);
    expect(dead).toMatchObject({ code: 1, err: expect.stringContaining("cannot be reached") });
    const url = await theirs((response) => response.writeHead(404).end());
    const absent = await runCli(["load", "--url", url, "--prompts", file]);
    expect(absent.err).toMatch(/models answered 404; is --url right\?/);
  });
});

describe("prompts", () => {
  it("are read in the forms in which sets of them are published", () => {
    const talk = [{ role: "user", content: "c" }];
    const lines = [{ prompt: "a" }, { turns: ["b", "then"] }, { messages: talk }];
    expect(readPrompts("x.jsonl", lines.map((line) => JSON.stringify(line)).join("\n"))).toEqual([
      "a",
      "b",
      talk,
    ]);
  });

  it.each([
    ["{", /x\.jsonl, line 1 is not valid JSON/],
    ['{"prompt":"a"}\n{"text":"b"}', /line 2 has neither "prompt"/],
    ["null", /line 1 has neither/],
    ["\n\n", /holds no prompt/],
  ])("%j is refused with its place", (text, message) => {
    expect(() => readPrompts("x.jsonl", text)).toThrow(message);
  });
});

describe("arrivals", () => {
  it("of a closed loop are never more than there are clients", async () => {
    let running = 0;
    let most = 0;
    const seen: number[] = [];
    await closedLoop(
      4,
      50,
      Infinity,
      async ({ index }) => {
        most = Math.max(most, ++running);
        seen.push(index);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
      },
      signal,
    );
    expect(most).toBe(4);
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it("of a Poisson process are due at exponential distances that the seed decides", async () => {
    const times = async (): Promise<number[]> => {
      const due: number[] = [];
      const started = performance.now();
      const send = async (arrival: { due: number }): Promise<void> => {
        due.push(arrival.due - started);
      };
      await poisson(1e6, 4000, Infinity, (index) => 1 - uniform(3, index), send, signal);
      return due;
    };
    const due = await times();
    const gaps = due.map((time, i) => 1000 * (time - (due[i - 1] ?? 0))).slice(1);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    // In microseconds, with a standard error of 1/√4000.
    expect(Math.abs(mean - 1)).toBeLessThan(0.08);
    expect(Math.abs(deviation - 1)).toBeLessThan(0.1);
  });
});

it("percentiles are by the nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(spread(values)).toEqual({ mean: 50.5, p50: 50, p90: 90, p99: 99, max: 100 });
  expect(spread([7])).toEqual({ mean: 7, p50: 7, p90: 7, p99: 7, max: 7 });
  expect(spread([])).toBeNull();
});
