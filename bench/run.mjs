/**
 * `npm run bench`: Fovea beside its peers, case by case, in interleaved rounds. Writes
 * bench/results/<date>-<cpu>.json, .md and .svg. Exit code 1 when something was refused.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { chart } from "./chart.mjs";
import { markdown } from "./report.mjs";

const usage = `usage: npm run bench -- [options]
  --case NAMES       some of the cases, by name, e.g. decode,encoder
  --only FORMATS     weights of the cases that have a choice, e.g. q4_0,f16; any format of Fovea's
  --shape SHAPES     models of those cases, e.g. llama-1.1b; any of Fovea's (fovea bench --help), and for
                     clients default, the model that ships
  --threads COUNTS   default 2, or 1 on one core; e.g. 1,2
  --prefill N        tokens of the prompt, where a case has a choice
  --decode N         generated tokens, likewise
  --rounds N         measurements of each engine; each case has a default
  --device NAME      Fovea's device, default auto
  --quick            few rounds of a part of each case
  --noisy            measure on a busy machine too, and write no results
  --label TEXT       appended to the names of the results' files
  --render FILE      no measurement: write the .md and .svg of a .json of results again`;

const text = { type: "string" };
const { values: options } = parseArgs({
  options: {
    ...{ case: text, only: text, shape: text, threads: text, prefill: text, decode: text, rounds: text },
    ...{ device: text, label: text, render: text },
    ...{ quick: { type: "boolean" }, noisy: { type: "boolean" }, help: { type: "boolean" } },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}
if (options.render !== undefined) {
  write(options.render.replace(/\.json$/, ""), JSON.parse(readFileSync(options.render, "utf8")));
  process.exit(0);
}
for (const [path, remedy] of [
  ["../dist/index.js", "npm run build"],
  ["node_modules/node-llama-cpp", "node scripts/setup.mjs --peers"],
])
  if (!existsSync(new URL(path, import.meta.url))) {
    console.error(`bench/${path} is missing: run ${remedy}`);
    process.exit(2);
  }

const { cases } = await import("./cases/index.mjs");
const { describeMachine, measureLimits } = await import("./machine.mjs");
const { lenient, measureRow, strict, TooNoisy } = await import("./measure.mjs");
const { shapeNames } = await import("./models.mjs");

const list = (name) => options[name]?.split(",");
const count = (name) => {
  if (options[name] === undefined) return undefined;
  const n = Number(options[name]);
  if (!Number.isInteger(n) || n < 1) fail(`--${name} must be a whole number above 0, not ${options[name]}`);
  return n;
};
const threadCounts = (list("threads") ?? [String(Math.min(2, cpus().length))]).map(Number);
for (const threads of threadCounts)
  if (!(threads >= 1 && threads <= cpus().length))
    fail(`--threads ${threads}: this machine has ${cpus().length}`);
const known = cases.map(({ name }) => name);
const chosen = list("case") ?? known;
for (const name of chosen) if (!known.includes(name)) fail(`--case ${name} is none of ${known.join(", ")}`);
for (const name of list("shape") ?? [])
  if (name !== "default" && !shapeNames.includes(name))
    fail(`--shape ${name} is none of default, ${shapeNames.join(", ")}`);

/** Only what was given: each case has its own defaults. */
const given = Object.fromEntries(
  Object.entries({
    ...{ shapes: list("shape"), formats: list("only"), prompt: count("prefill"), count: count("decode") },
    ...{ rounds: count("rounds") ?? (options.quick ? 3 : undefined), device: options.device },
  }).filter(([, value]) => value !== undefined),
);

const machine = describeMachine();
const limits = {};
for (const threads of threadCounts) {
  limits[threads] = measureLimits(threads);
  console.error(`limits with ${threads} threads: ${JSON.stringify(limits[threads])}`);
}

const results = { date: new Date().toISOString(), machine, limits, cases: [] };
const cpu = machine.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-");
const stem = [results.date.slice(0, 10), cpu, list("case")?.join("-"), options.label]
  .filter(Boolean)
  .join("-");
let refusals = 0;
for (const { name, title, about, plans } of cases.filter((one) => chosen.includes(one.name))) {
  const result = { name, title, about, rows: [], missing: [] };
  results.cases.push(result);
  const began = performance.now();
  for await (const plan of plans({ ...given, threadCounts, quick: options.quick ?? false })) {
    const { label, threads, skipped } = plan;
    if (skipped) {
      result.missing.push({ label, reason: skipped });
      continue;
    }
    console.error(`${name}: ${label}, ${threads} ${threads === 1 ? "thread" : "threads"} ...`);
    try {
      const row = await measureRow(plan, limits[threads], options.noisy ? lenient : strict);
      result.rows.push(row);
      for (const { refused } of row.measures) refusals += refused.length;
    } catch (error) {
      refusals++;
      const reason = error instanceof TooNoisy ? error.message : `failed: ${error.message.split("\n")[0]}`;
      result.missing.push({ label, threads, reason });
      console.error(`  ${reason}`);
    }
  }
  result.seconds = Math.round((performance.now() - began) / 1000);
  // After each case: what ends a long run early loses one case at most.
  if (!options.noisy) save();
}
console.log(markdown(results));
if (options.noisy) console.error("measured on a machine that may have been busy: nothing is written");
process.exit(refusals > 0 ? 1 : 0);

function save() {
  const folder = new URL("results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const path = new URL(stem, folder).pathname;
  writeFileSync(`${path}.json`, `${JSON.stringify(results, null, 1)}\n`);
  write(path, results);
}

function write(path, results) {
  writeFileSync(`${path}.md`, markdown(results));
  writeFileSync(`${path}.svg`, chart(results));
  console.error(`written: ${path}.md and .svg`);
}

function fail(problem) {
  console.error(`${problem}\n\n${usage}`);
  process.exit(2);
}
