/**
 * Texts that a model writes by schemas, as hot as they get: whether each is valid, as Ajv judges, and what the grammar
 * costs for each token, beside the same model writing freely as many tokens.
 */
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { open } from "../dist/index.js";

const TEMPERATURE = 1.5;
const MAX_TOKENS = 64;
/** Texts that are cut off at the limit are no samples: others are drawn, for a schema so many until one is whole. */
const TRIES = 40;

export async function samples(cases, wanted, path = defaultModel()) {
  const model = await open(path);
  const found = { valid: 0, invalid: [], cut: 0, tokens: 0, seconds: 0, freeTokens: 0, freeSeconds: 0 };
  let seed = 0;
  const write = async (options) => {
    const start = performance.now();
    const result = await model
      .generate("The", { temperature: TEMPERATURE, seed: seed++, maxTokens: MAX_TOKENS, ...options })
      .result();
    return { ...result, seconds: (performance.now() - start) / 1000 };
  };
  const all = cases.map(({ name, schema }) => ({
    name,
    schema,
    validate: validator(schema),
    kept: 0,
    failed: 0,
  }));
  const done = () => found.valid + found.invalid.length;
  /** One text by a schema; whether it is whole. */
  const draw = async (one) => {
    const grammar = { jsonSchema: one.schema, whitespace: "single", unknownKeywords: "ignore" };
    // The first of a schema compiles it and meets its masks.
    if (one.kept + one.failed === 0) await write({ grammar });
    const { text, tokens, finishReason, seconds } = await write({ grammar });
    if (finishReason !== "stop") {
      found.cut++;
      one.failed++;
      return false;
    }
    found.tokens += tokens.length;
    found.seconds += seconds;
    const free = await write({ ignoreEnd: true, maxTokens: tokens.length });
    found.freeTokens += free.tokens.length;
    found.freeSeconds += free.seconds;
    one.kept++;
    if (isValid(one.validate, text)) found.valid++;
    else found.invalid.push(`${one.name}: ${text}`);
    return true;
  };
  // Each schema first, then those that come to an end, in turns.
  for (const one of all) for (let i = 0; i < TRIES && !(await draw(one)); i++);
  const ending = all.filter(({ kept }) => kept > 0);
  for (let i = 0; done() < wanted; i++) await draw(ending[i % ending.length]);
  await model.close();
  report(model.name, all, found);
}

function isValid(validate, text) {
  try {
    return validate(JSON.parse(text));
  } catch {
    return false;
  }
}

/** Of the draft whose keywords the schema has. */
function validator(schema) {
  const older = /"dependencies"|"additionalItems"/.test(JSON.stringify(schema));
  const ajv = new (older ? Ajv : Ajv2020)({ strict: false, validateFormats: true });
  addFormats(ajv);
  return ajv.compile(schema);
}

function report(name, all, { valid, invalid, cut, tokens, seconds, freeTokens, freeSeconds }) {
  const each = (1e6 * seconds) / tokens;
  const free = (1e6 * freeSeconds) / freeTokens;
  console.log(
    `${name}, temperature ${TEMPERATURE}: ${valid + invalid.length} texts by ${all.filter(({ kept }) => kept > 0).length} schemas`,
  );
  console.log(`${valid} valid, ${invalid.length} not; ${cut} more were cut off at ${MAX_TOKENS} tokens`);
  console.log(
    `${each.toFixed(1)} µs for each of ${tokens} tokens, ${free.toFixed(1)} µs without a grammar: ${(each - free).toFixed(1)} µs more`,
  );
  const none = all.filter(({ kept }) => kept === 0).map(({ name: schema }) => schema);
  if (none.length > 0) console.log(`no text that was not cut off: ${none.join(", ")}`);
  for (const wrong of invalid.slice(0, 20)) console.log(`  not valid: ${wrong.slice(0, 300)}`);
  if (invalid.length > 0) process.exitCode = 1;
}

const defaultModel = () => fileURLToPath(new URL("../models/default/model.gguf", import.meta.url));
