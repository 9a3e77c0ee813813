/**
 * `npm run bench:hostile`: what a server of its own endures, from outside: thousands of connections at once, its
 * model's process killed while it answers in every dialect, a log on a full disk. Prints what it saw; exit code 1 when
 * a request vanished, anybody was kept waiting, or something stayed behind.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { fetchAnew, main, metricsOf, modelProcess, processOf, startServer } from "./server.mjs";

const { values: options } = parseArgs({
  options: { connections: { type: "string", default: "10000" }, help: { type: "boolean" } },
});
if (options.help) {
  console.log("usage: npm run bench:hostile -- [--connections N]");
  process.exit(0);
}
const connections = Number(options.connections);
const problems = [];
const expect = (holds, what) => {
  if (!holds) problems.push(what);
};
const MB = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

await crowd();
await kill();
await fullDisk();
for (const problem of problems) console.log(`WRONG: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

/** Reads until the other side ends; never throws. */
function answerOf(socket) {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.once("error", (error) => resolve(error.code));
    socket.once("close", () => resolve(text));
  });
}

function open(port) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Connections that first say nothing, and then all ask at once; others are served all the while. */
async function crowd() {
  const server = await startServer();
  try {
    const { url, port, pid } = server;
    const body = JSON.stringify({ prompt: "Once upon a time", max_tokens: 8 });
    const text = `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const ask = async () => {
      const response = await fetch(`${url}/v1/completions`, { method: "POST", body });
      await response.text();
      return response.status;
    };
    expect((await ask()) === 200, "the server did not answer at first");
    const before = processOf(pid);
    const sockets = [];
    while (sockets.length < connections)
      sockets.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(500, connections - sockets.length) }, () => open(port)),
        )),
      );
    const answers = sockets.map(answerOf);
    const full = processOf(pid);
    const started = performance.now();
    expect((await ask()) === 200, `nobody was served beside ${connections} connections`);
    const waited = performance.now() - started;
    for (const socket of sockets) socket.write(text);
    const counts = new Map();
    let slowest = 0;
    const watching = new AbortController();
    const watch = (async () => {
      while (!watching.signal.aborted) {
        const asked = performance.now();
        const response = await fetchAnew(`${url}/health`);
        await response.text();
        slowest = Math.max(slowest, performance.now() - asked);
        await sleep(20);
      }
    })();
    const asked = performance.now();
    for (const answer of answers) {
      const status = /^HTTP\/1\.1 (\d+)/.exec(await answer)?.[1] ?? ((await answer) || "nothing");
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    const seconds = (performance.now() - asked) / 1000;
    watching.abort();
    await watch;
    const told = [...counts].map(([status, count]) => `${count} × ${status}`).join(", ");
    console.log(
      `${connections} connections: ${full.handles - before.handles} handles, ${MB(full.bytes - before.bytes)} more; another client served in ${waited.toFixed(0)} ms`,
    );
    console.log(
      `all ask at once: ${told}, in ${seconds.toFixed(1)} s; /health within ${slowest.toFixed(0)} ms`,
    );
    const answered = (counts.get("200") ?? 0) + (counts.get("429") ?? 0);
    expect(
      answered === connections,
      `${connections - answered} of ${connections} requests got no answer: ${told}`,
    );
    expect((await ask()) === 200, "the server did not answer afterwards");
    // Looked at until it is as it was, or should long have been.
    let after, metrics;
    for (let looks = 0; looks < 100; looks++) {
      await sleep(100);
      after = processOf(pid);
      metrics = await metricsOf(url);
      const open = metrics.get("fovea_requests_running") + metrics.get("fovea_requests_waiting");
      if (open === 0 && after.handles <= before.handles + 8) break;
    }
    console.log(
      `afterwards: ${after.handles - before.handles} handles, ${MB(after.bytes - before.bytes)} more`,
    );
    expect(after.handles <= before.handles + 8, `${after.handles - before.handles} handles stayed open`);
    expect(metrics.get("fovea_requests_running") === 0, "requests still count as running");
    expect(metrics.get("fovea_requests_waiting") === 0, "requests still count as waiting");
    expect((await server.stop()) === 0, "the server did not end by itself");
  } finally {
    await server.stop();
  }
}

/** SIGKILL for the model's process while it answers everybody: all are told, and the next are served. */
async function kill() {
  const server = await startServer();
  try {
    const { url, pid } = server;
    const asks = [
      ...[true, false].map((stream) => [
        "/v1/completions",
        { prompt: "Once", max_tokens: 1000, ignore_eos: true, stream },
      ]),
      ...[true, false].map((stream) => ["/api/generate", { model: server.model, prompt: "Once", stream }]),
    ];
    const post = async ([path, body]) => {
      const response = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
      return `${response.status} ${await response.text()}`;
    };
    const running = Array.from({ length: 40 }, (_, i) => post(asks[i % asks.length]));
    const first = modelProcess(pid);
    for (;;) {
      const metrics = await metricsOf(url);
      if (metrics.get("fovea_generated_tokens_total") > 200) break;
    }
    process.kill(first, "SIGKILL");
    const waiting = Array.from({ length: 8 }, (_, i) =>
      post(["/v1/completions", { prompt: `Then ${i}`, max_tokens: 4 }]),
    );
    const ended = await Promise.all(
      running.map((answer) => answer.catch((error) => `vanished: ${error.message}`)),
    );
    const told = ended.filter((text) => /ended unexpectedly \(SIGKILL\)/.test(text)).length;
    const whole = ended.filter((text) =>
      /^200 .*("finish_reason":"length"|"done_reason":"(stop|length)")/s.test(text),
    ).length;
    const served = (await Promise.all(waiting)).filter((text) => /^200 /.test(text)).length;
    const lost = (await Promise.all(waiting)).filter((text) => /^500 .*SIGKILL/.test(text)).length;
    console.log(
      `kill -9 of the model's process: ${told} of ${ended.length} were told, ${whole} were done; of ${waiting.length} asked at that moment ${served} were served, ${lost} told`,
    );
    expect(
      told + whole === ended.length,
      `${ended.length - told - whole} answers vanished: ${ended.find((text) => !/SIGKILL|length|stop/.test(text))}`,
    );
    expect(served + lost === waiting.length, "what was asked after the kill vanished");
    expect(
      /^200 /.test(await post(["/v1/completions", { prompt: "At last", max_tokens: 4 }])),
      "the server did not come back",
    );
    expect(modelProcess(pid) !== first, "the model's process is the same");
    expect((await server.stop()) === 0, "the server did not end by itself");
  } finally {
    await server.stop();
  }
}

/** A log on a full disk, by its own file and by stderr; and a reader of stderr that has gone. */
async function fullDisk() {
  const ask = (url) =>
    fetch(`${url}/v1/completions`, { method: "POST", body: '{"prompt":"Once","max_tokens":4}' });
  const run = async (name, stderr, flags, gone) => {
    const args = [main, "serve", "--port", "0", "--json", "--log-level", "info", ...flags];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", stderr] });
    const [data] = await once(child.stdout, "data");
    gone?.(child);
    const { url } = JSON.parse(data);
    let answered = 0;
    for (let i = 0; i < 20; i++)
      answered += (await ask(url).then(
        (response) => response.status === 200,
        () => false,
      ))
        ? 1
        : 0;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const [code] = await ended;
    console.log(`${name}: ${answered} of 20 answered, exit code ${code}`);
    expect(answered === 20 && code === 0, `${name} cost more than the log`);
  };
  const full = openSync("/dev/full", "w");
  await run("the log's disk is full", "ignore", ["--log-file", "/dev/full"]);
  await run("the disk of stderr is full", full, []);
  await run("nobody reads stderr any more", "pipe", [], (child) => child.stderr.destroy());
  closeSync(full);
}
