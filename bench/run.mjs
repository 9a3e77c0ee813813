/**
 * `npm run bench`: Fovea beside llama.cpp in one interleaved run. Writes bench/results/<date>-<cpu>.json and .md.
 * Exit code 1 when a row was refused because the machine was too noisy.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const usage = `usage: npm run bench -- [options]
  --only FORMATS     default q8_0,q4_0,f16; any format of Fovea's
  --shape SHAPES     default llama-1.1b,qwen2.5-0.5b; or any of Fovea's (fovea bench --help)
  --threads COUNTS   default 1,2
  --prefill N        tokens of the prompt, default 512
  --decode N         generated tokens, default 64
  --rounds N         measurements of each engine, default 7
  --device NAME      Fovea's device, default auto
  --quick            3 rounds, q4_0 only
  --noisy            measure on a busy machine too, and write no results
  --label TEXT       appended to the names of the results' files`;

const text = { type: "string" };
const { values: options } = parseArgs({
  options: {
    ...{ only: text, shape: text, threads: text, prefill: text, decode: text, rounds: text },
    ...{
      device: text,
      label: text,
      quick: { type: "boolean" },
      noisy: { type: "boolean" },
      help: { type: "boolean" },
    },
  },
});
if (options.help) {
  console.log(usage);
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

const { describeMachine, readBandwidth } = await import("./machine.mjs");
const { lenient, measureRow, strict, TooNoisy } = await import("./measure.mjs");
const { markdown } = await import("./report.mjs");
const { shapeNames: known } = await import("./models.mjs");

const list = (value, fallback) => (value === undefined ? fallback : value.split(","));
const count = (name, fallback) => {
  const n = options[name] === undefined ? fallback : Number(options[name]);
  if (!Number.isInteger(n) || n < 1) fail(`--${name} must be a whole number above 0, not ${options[name]}`);
  return n;
};
const shapeNames = list(options.shape, ["llama-1.1b", "qwen2.5-0.5b"]);
const formats = list(options.only, options.quick ? ["q4_0"] : ["q8_0", "q4_0", "f16"]);
const threadCounts = list(options.threads, cpus().length > 1 ? ["1", "2"] : ["1"]).map(Number);
for (const name of shapeNames)
  if (!known.includes(name)) fail(`--shape ${name} is none of ${known.join(", ")}`);
for (const threads of threadCounts)
  if (!(threads >= 1 && threads <= cpus().length))
    fail(`--threads ${threads}: this machine has ${cpus().length}`);

const machine = describeMachine();
const bandwidth = Object.fromEntries(threadCounts.map((threads) => [threads, readBandwidth(threads)]));
console.error(
  `memory is read at ${Object.entries(bandwidth)
    .map(([t, x]) => `${x} GB/s (threads: ${t})`)
    .join(", ")}`,
);

const [rows, refused] = [[], []];
for (const shape of shapeNames)
  for (const format of formats)
    for (const threads of threadCounts) {
      const plan = {
        ...{ shape, format, threads, device: options.device ?? "auto" },
        promptTokens: count("prefill", 512),
        generatedTokens: count("decode", 64),
        rounds: count("rounds", options.quick ? 3 : 7),
      };
      console.error(`${shape} ${format}, threads: ${threads} ...`);
      try {
        rows.push(await measureRow(plan, bandwidth[threads], options.noisy ? lenient : strict));
      } catch (error) {
        if (!(error instanceof TooNoisy)) throw error;
        refused.push({ plan, reason: error.message });
        console.error(`  refused: ${error.message}`);
      }
    }

const date = new Date().toISOString().slice(0, 10);
const results = { date: new Date().toISOString(), machine, bandwidth, rows, refused };
const table = markdown(results);
console.log(table);
if (options.noisy) console.error("measured on a machine that may have been busy: nothing is written");
else if (rows.length > 0) {
  const cpu = machine.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const stem = `results/${[date, cpu, options.label].filter(Boolean).join("-")}`;
  mkdirSync(new URL("results/", import.meta.url), { recursive: true });
  for (const [extension, content] of [
    ["json", `${JSON.stringify(results, null, 1)}\n`],
    ["md", `${table}`],
  ])
    writeFileSync(new URL(`${stem}.${extension}`, import.meta.url), content);
  console.error(`written: ${fileURLToPath(new URL(`${stem}.json`, import.meta.url))} and .md`);
}
process.exit(refused.length > 0 ? 1 : 0);

function fail(problem) {
  console.error(`${problem}\n\n${usage}`);
  process.exit(2);
}
