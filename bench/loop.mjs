/**
 * `npm run bench:loop`: how long the server's event loop keeps others waiting while many clients stream. Exit code 1
 * when the 99th percentile of its delay is 20 ms or more.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { main, metricsOf, startServer } from "./server.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string" },
    clients: { type: "string", default: "32" },
    seconds: { type: "string", default: "15" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log("usage: npm run bench:loop -- [--model MODEL] [--clients N] [--seconds N]");
  process.exit(0);
}
const LIMIT = 0.02;

const folder = mkdtempSync(join(tmpdir(), "fovea-loop-"));
const server = await startServer(options.model === undefined ? [] : ["--model", options.model]);
try {
  const prompts = join(folder, "prompts.txt");
  const openings = [
    "It was a bright, cold morning",
    "The captain",
    "Of all the towns on that coast",
    "She wrote",
  ];
  writeFileSync(prompts, openings.join("\n"));
  const load = (seconds) =>
    promisify(execFile)(process.execPath, [
      ...[
        main,
        "load",
        "--json",
        "--url",
        `${server.url}/v1`,
        "--prompts",
        prompts,
        "--endpoint",
        "completions",
      ],
      ...["--clients", options.clients, "--requests", "1000000", "--seconds", String(seconds)],
      ...["--max-tokens", "200", "--body", '{"ignore_eos":true}'],
    ]);
  await load(2);
  await metricsOf(server.url); // delays are told since they were told last
  const report = JSON.parse((await load(options.seconds)).stdout);
  const metrics = await metricsOf(server.url);
  const delay = (quantile) => metrics.get(`fovea_event_loop_delay_seconds{quantile="${quantile}"}`);
  const ms = (seconds) => `${(seconds * 1000).toFixed(1)} ms`;
  console.log(JSON.stringify(report, null, 1));
  console.log(
    `event loop's delay with ${options.clients} clients: ${ms(delay("0.5"))} median, ${ms(delay("0.99"))} p99, ${ms(delay("1"))} at most`,
  );
  if (!(delay("0.99") < LIMIT) || report.failed > 0) process.exitCode = 1;
} finally {
  await server.stop();
  rmSync(folder, { recursive: true });
}
