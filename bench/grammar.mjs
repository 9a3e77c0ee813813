/**
 * `npm run bench:grammar -- DIR`: JSON Schemas with instances, in the form of JSONSchemaBench's MaskBench (one schema
 * in a file with `tests: [{valid, data}]`, or a list of such), over a vocabulary of 128,000 tokens: times of
 * compiling and of masks, and what was wrongly accepted or refused.
 */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openTokenizer } from "../dist/checkpoint/tokenizer/index.js";
import { GrammarCompiler } from "../dist/decode/grammar/index.js";
import { samples } from "./grammar-samples.mjs";

const usage = `usage: npm run bench:grammar -- DIR [options]
  DIR                a folder of .json files: {schema, tests: [{valid, data}]}, or lists of them
  --tokenizer DIR    a folder with a tokenizer; default: Llama 3's vocabulary in ../shared
  --rounds N         times that all is done; the last one is reported. Default 2: the first warms up
  --cold             a new compiler for each schema, so that nothing is known of the vocabulary's terminals
  --refused          list what was refused, and why
  --samples N        in place of all this: N texts that a model writes by the schemas, each checked, and what the
                     grammar costs for each token
  --model PATH       that writes them; default: the one that ships`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokenizer: { type: "string" },
    rounds: { type: "string" },
    cold: { type: "boolean" },
    refused: { type: "boolean" },
    samples: { type: "string" },
    model: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help || positionals.length !== 1) {
  console.log(usage);
  process.exit(values.help ? 0 : 1);
}

const cases = filesOf(positionals[0]).flatMap((path) => {
  const content = JSON.parse(readFileSync(path, "utf8"));
  return (Array.isArray(content) ? content : [content]).map((c) => ({
    name: c.description ?? path,
    path,
    ...c,
  }));
});
if (values.samples) {
  await samples(cases, Number(values.samples), values.model);
  process.exit();
}

const tokenizer = values.tokenizer ? openTokenizer(values.tokenizer) : llama3();
if (tokenizer === undefined) throw new Error(`${values.tokenizer} holds no tokenizer`);
const began = performance.now();
let compiler = new GrammarCompiler(tokenizer);
const preparing = performance.now() - began;
let result;
for (let round = 0; round < Number(values.rounds ?? 2); round++) result = run();
report(result);

function run() {
  const found = {
    compile: [],
    masks: [],
    refused: [],
    wronglyAccepted: [],
    wronglyRefused: [],
    valid: 0,
    invalid: 0,
  };
  for (const { name, path, schema, tests = [] } of cases) {
    if (values.cold) compiler = new GrammarCompiler(tokenizer);
    let grammar;
    const start = performance.now();
    try {
      grammar = compiler.compile({ jsonSchema: schema, unknownKeywords: "ignore" });
      grammar.start([]).allowed();
      found.compile.push(1000 * (performance.now() - start));
    } catch (error) {
      found.refused.push(`${path}: ${error.message}`);
      continue;
    }
    for (const { valid, data } of tests) {
      const accepted = instance(grammar, tokenizer.encode(text(data), { addSpecial: false }), found.masks);
      found[valid ? "valid" : "invalid"]++;
      if (accepted && !valid) found.wronglyAccepted.push(`${path}: ${name}: ${text(data)}`);
      if (!accepted && valid) found.wronglyRefused.push(`${path}: ${name}: ${text(data)}`);
    }
  }
  return found;
}

/** Whether the masks allow the tokens one after the other, and the end after them. */
function instance(grammar, ids, masks) {
  const constraint = grammar.start([]);
  for (const id of ids) {
    const start = performance.now();
    const mask = constraint.allowed();
    masks.push(1000 * (performance.now() - start));
    if (((mask[id >> 5] >>> (id & 31)) & 1) === 0) return false;
    constraint.accept(id);
  }
  return constraint.canEnd;
}

/** As Python's json.dumps writes it, a space behind commas and colons: the form of the published results. */
function text(value) {
  if (Array.isArray(value)) return `[${value.map(text).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}: ${text(item)}`)
    .join(", ")}}`;
}

function report({ compile, masks, refused, wronglyAccepted, wronglyRefused, valid, invalid }) {
  console.log(`${cpus()[0]?.model}, Node ${process.version}, ${tokenizer.vocabSize} tokens`);
  console.log(`the vocabulary was prepared in ${preparing.toFixed(0)} ms`);
  line("compile and first mask, µs", compile);
  line("mask, µs", masks);
  console.log(`${cases.length} schemas: ${compile.length} compiled, ${refused.length} refused by name`);
  console.log(`${valid} valid instances, ${wronglyRefused.length} of them refused`);
  console.log(`${invalid} invalid instances, ${wronglyAccepted.length} of them accepted`);
  for (const wrong of wronglyRefused.slice(0, 20))
    console.log(`  refused though valid: ${wrong.slice(0, 300)}`);
  for (const wrong of wronglyAccepted.slice(0, 20))
    console.log(`  accepted though invalid: ${wrong.slice(0, 300)}`);
  if (values.refused) for (const why of refused) console.log(`  ${why}`);
}

function line(what, numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const mean = sorted.reduce((sum, x) => sum + x, 0) / Math.max(1, sorted.length);
  const parts = [
    ["mean", mean],
    ...[0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999].map((p) => [`p${100 * p}`, at(p)]),
    ["most", at(1)],
  ];
  console.log(
    `${what} (${sorted.length}): ${parts.map(([name, x]) => `${name} ${x.toFixed(x < 100 ? 1 : 0)}`).join(", ")}`,
  );
}

function filesOf(folder) {
  if (statSync(folder).isFile()) return [folder];
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(folder, name));
}

function llama3() {
  const files = fileURLToPath(new URL("../../shared/tokenizers/llama3/", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "fovea-grammar-"));
  try {
    copyFileSync(join(files, "encoder.json"), join(folder, "vocab.json"));
    copyFileSync(join(files, "vocab.bpe"), join(folder, "merges.txt"));
    writeFileSync(join(folder, "tokenizer_config.json"), '{"tokenizer_class": "PreTrainedTokenizerFast"}');
    return openTokenizer(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
