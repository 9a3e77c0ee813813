/**
 * `npm run bench:soak -- --minutes 60`: a server under full load of every dialect: whole answers and streams, short and
 * long, tools and schemas, clients that leave, refusals. Ends with a table; exit code 1 when a request was lost, memory
 * climbs, or something stays behind.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fetchAnew, metricsOf, modelProcess, processOf, startServer } from "./server.mjs";
import { asks, complete } from "./soak-requests.mjs";
import { withTemplate } from "./talking.mjs";

const text = { type: "string" };
const { values: options } = parseArgs({
  options: { minutes: text, clients: text, model: text, help: { type: "boolean" } },
});
if (options.help) {
  console.log("usage: npm run bench:soak -- [--minutes N] [--clients N] [--model MODEL.gguf]");
  process.exit(0);
}
const minutes = Number(options.minutes ?? 5);
const clients = Number(options.clients ?? 24);
/** Milliseconds until a request counts as lost, and in which what has ended must have been cleared away. */
const PATIENCE = 120_000;
const CLEARING = 20_000;
/** Milliseconds between two samples. */
const interval = Math.min(10_000, Math.max(500, minutes * 200));
/** What memory may climb over the part of the run that counts: a share of it, or so many bytes. */
const CLIMB = { share: 0.1, bytes: 48 * 2 ** 20 };

const folder = mkdtempSync(join(tmpdir(), "fovea-soak-"));
const model = join(folder, "soak.gguf");
await withTemplate(
  options.model ?? fileURLToPath(new URL("../models/default/model.gguf", import.meta.url)),
  model,
);

/**
 * Milliseconds that this process, and with it the machine, was at work: neither the run nor anybody's patience ends in
 * a pause.
 */
let awake = 0;
const waiting = new Map();
let looked = performance.now();
setInterval(() => {
  const now = performance.now();
  awake += Math.min(now - looked, 1000);
  looked = now;
  for (const [controller, due] of waiting)
    if (awake > due) controller.abort(new Error(`no answer within ${PATIENCE / 1000} s`));
}, 100).unref();

// A cache that is full early, so that memory that still climbs is lost, and not kept for later.
const server = await startServer(["--model", model, "--no-packed-cache", "--cache-tokens", "8192"]);
const problems = [];
try {
  await run(server);
} finally {
  const how = await server.stop();
  if (how !== 0) problems.push(`the server ended with ${how}: ${server.log}`);
  rmSync(folder, { recursive: true });
}
for (const problem of problems) console.log(`WRONG: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

async function run({ url, pid, model: served }) {
  const host = modelProcess(pid);
  const calm = { server: processOf(pid), model: processOf(host) };
  const counts = new Map();
  const losses = [];
  const started = awake;
  const until = started + minutes * 60_000;
  const client = async (number) => {
    for (let i = 0; awake < until; i++) {
      const ask = asks[(number * 7 + i) % asks.length];
      const outcome = await send(url, served, ask, number * 100_003 + i);
      const key = `${ask.name}\t${outcome.kind}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (outcome.kind === "lost" && losses.push(`${ask.name}: ${outcome.why}`) > 20) return;
    }
  };
  const samples = [];
  const sampling = (async () => {
    while (awake < until) {
      await sleep(interval);
      const metrics = await metricsOf(url);
      const at = (awake - started) / 1000;
      samples.push({
        ...{ at, server: processOf(pid), model: processOf(host) },
        delay: metrics.get('fovea_event_loop_delay_seconds{quantile="0.99"}') * 1000,
      });
    }
  })();
  await Promise.all([sampling, ...Array.from({ length: clients }, (_, i) => client(i))]);
  const seconds = (awake - started) / 1000;
  let metrics;
  await cleared(async () => {
    metrics = await metricsOf(url);
    const left = ["running", "waiting"].filter((state) => metrics.get(`fovea_requests_${state}`) !== 0);
    return left.map((state) => `requests still count as ${state}`);
  });
  report(samples, counts, seconds, metrics);
  for (const loss of losses.slice(0, 5)) problems.push(loss);
  if (modelProcess(pid) !== host) {
    problems.push("the model's process is another one than at first");
    return;
  }
  // The connections that this process keeps for later requests are none of the server's making.
  await globalThis[Symbol.for("undici.globalDispatcher.1")].close();
  await cleared(() => {
    const left = processOf(pid).handles - calm.server.handles;
    return [
      ...(left > 8 ? [`${left} handles of the server stayed open`] : []),
      ...(processOf(host).handles > calm.model.handles + 4
        ? ["handles of the model's process stayed open"]
        : []),
    ];
  });
}

/** Waits until nothing is left; what is left for too long is a problem. @param look says what is left */
async function cleared(look) {
  const due = awake + CLEARING;
  for (;;) {
    const left = await look();
    if (left.length === 0) return;
    if (awake > due) {
      problems.push(...left);
      return;
    }
    await sleep(100);
  }
}

/** One request and what became of it: answered, left (by this client), refused (as it should be), busy, or lost. */
async function send(url, served, ask, seed) {
  const leaving = new AbortController();
  const lost = new AbortController();
  waiting.set(lost, awake + PATIENCE);
  const signal = AbortSignal.any([leaving.signal, lost.signal]);
  try {
    const { path, body, leaves } = ask.make(seed);
    if (leaves !== undefined) setTimeout(() => leaving.abort(), leaves);
    const request = {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      ...{ body: JSON.stringify({ ...body, model: served }), signal },
    };
    const response = await fetchAnew(url + path, request);
    if (response.status === 429) {
      await response.text();
      await sleep(1000);
      return { kind: "busy" };
    }
    if (leaves !== undefined) {
      await response.text();
      return { kind: "answered" }; // it was quicker
    }
    const got = await response.text();
    if (response.status === 400 && ask.refused) return { kind: "refused" };
    return response.status === 200 && complete(path, body, got)
      ? { kind: "answered" }
      : { kind: "lost", why: `${response.status} ${got.slice(-300)}` };
  } catch (error) {
    if (leaving.signal.aborted) return { kind: "left" };
    return { kind: "lost", why: `${error.message} ${error.cause?.message ?? ""}` };
  } finally {
    waiting.delete(lost);
  }
}

function report(samples, counts, seconds, metrics) {
  const MB = (bytes) => (bytes / 2 ** 20).toFixed(1).padStart(9);
  console.log(`${clients} clients, ${(seconds / 60).toFixed(1)} minutes\n`);
  const names = [...new Set([...counts.keys()].map((key) => key.split("\t")[0]))].sort();
  const kinds = ["answered", "left", "refused", "busy", "lost"];
  console.log(["request".padEnd(28), ...kinds.map((kind) => kind.padStart(9))].join(""));
  for (const name of names)
    console.log(
      [name.padEnd(28), ...kinds.map((kind) => String(counts.get(`${name}\t${kind}`) ?? 0).padStart(9))].join(
        "",
      ),
    );
  const tokens = metrics.get("fovea_generated_tokens_total") ?? 0;
  console.log(`\n${(tokens / seconds).toFixed(0)} tokens a second`);
  // What is first seen is still being warmed up: code compiled, caches filled.
  const counted = samples.filter(({ at }) => at > seconds / 3);
  console.log(`\n${"MiB resident".padEnd(28)}    first   median     last    climb  handles`);
  for (const which of ["server", "model"]) {
    const bytes = counted.map((sample) => sample[which].bytes);
    const middle = median(bytes);
    const climb =
      slope(
        counted.map(({ at }) => at),
        bytes,
      ) *
      (counted.at(-1).at - counted[0].at);
    const handles = median(counted.map((sample) => sample[which].handles));
    console.log(
      `${`${which}'s process`.padEnd(28)}${MB(bytes[0])}${MB(middle)}${MB(bytes.at(-1))}${MB(climb)}${String(handles).padStart(9)}`,
    );
    if (climb > Math.max(CLIMB.bytes, CLIMB.share * middle))
      problems.push(
        `memory of the ${which}'s process climbs: ${MB(climb).trim()} MiB of ${MB(middle).trim()}`,
      );
  }
  const delays = counted.map(({ delay }) => delay);
  console.log(
    `\nevent loop's delay, p99: ${median(delays).toFixed(1)} ms in the median interval, ${Math.max(...delays).toFixed(1)} in the worst`,
  );
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Theil and Sen's: the median of the slopes between all pairs, which a few garbage collections do not sway. */
function slope(x, y) {
  const slopes = [];
  for (let i = 0; i < x.length; i++)
    for (let j = i + 1; j < x.length; j++) slopes.push((y[j] - y[i]) / (x[j] - x[i]));
  return slopes.length === 0 ? 0 : median(slopes);
}
