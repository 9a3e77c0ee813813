/**
 * One row: both engines on one file with one number of threads, in turns (A B A B ...), each in a process that
 * stays alive. A round that others disturbed is repeated; a row that stays noisy is refused.
 */
import { startChild } from "./child.mjs";
import { waitForQuiet, watchOthers } from "./machine.mjs";
import { benchModel } from "./models.mjs";
import { median, spread } from "./statistics.mjs";

/**
 * `others`: cores that other processes may keep busy during a measurement. `spread`: half of the interquartile
 * range, relative to the median, above which a row is refused.
 */
export const strict = { others: 0.1, spread: 0.08 };
export const lenient = { others: Infinity, spread: Infinity };
const WAIT_SECONDS = 120;

/** Refusal of a row, with the reason. */
export class TooNoisy extends Error {}

/**
 * @param {{ shape: string, format: string, threads: number, promptTokens: number, generatedTokens: number, rounds: number, device: string }} plan
 * @param {number | undefined} bandwidth GB/s of this machine with as many threads
 * @param {{ others: number, spread: number }} bounds
 */
export async function measureRow(plan, bandwidth, bounds) {
  const { shape, format, threads, promptTokens, generatedTokens, rounds, device } = plan;
  const { path, ...cost } = await benchModel(shape, format);
  const engines = { fovea: startChild("fovea.mjs"), llama: startChild("llama.mjs") };
  const pids = [process.pid, engines.fovea.pid, engines.llama.pid];
  try {
    const context = promptTokens + generatedTokens + 8;
    const fovea = await engines.fovea.call("open", { path, threads, device });
    const llama = await engines.llama.call("open", { path, threads, context });
    const time = (engine, seed) =>
      engines[engine].call("time", { path, ids: tokens(promptTokens, seed), count: generatedTokens });
    for (const engine of Object.keys(engines)) await time(engine, 0); // warm-up

    const times = { fovea: [], llama: [] };
    let worst = 0;
    for (let round = 0, tries = 0; round < rounds; tries++) {
      if (tries > 3 * rounds)
        throw new TooNoisy(`other processes kept ${worst.toFixed(2)} cores busy, more than ${bounds.others}`);
      if (!(await waitForQuiet(pids, bounds.others, WAIT_SECONDS)))
        throw new TooNoisy(
          `other processes kept more than ${bounds.others} cores busy for ${WAIT_SECONDS} s`,
        );
      const used = watchOthers(pids);
      const order = round % 2 === 0 ? ["fovea", "llama"] : ["llama", "fovea"];
      const results = [];
      for (const engine of order) results.push([engine, await time(engine, round + 1)]);
      worst = used();
      if (worst > bounds.others) continue;
      for (const [engine, result] of results) times[engine].push(result);
      round++;
    }
    return {
      ...{ shape, format, threads, promptTokens, generatedTokens, rounds, bandwidth, cost },
      engines: { fovea, llama },
      prefill: compare(times, "prefill", promptTokens, bounds, (rate) => ({
        gigaOperations: (rate * cost.prefillOperations) / 1e9,
      })),
      decode: compare(times, "decode", generatedTokens, bounds, (rate) => ({
        gigabytes: (rate * cost.decodeBytes) / 1e9,
        ...(bandwidth === undefined ? {} : { bandwidthShare: (rate * cost.decodeBytes) / 1e9 / bandwidth }),
      })),
    };
  } finally {
    await Promise.all(Object.values(engines).map((engine) => engine.stop()));
  }
}

/** Rates of both engines for one phase, and the ratio round by round. */
function compare(times, phase, count, bounds, achieved) {
  const rates = (engine) => times[engine].map((t) => (1000 * count) / t[phase]);
  const [fovea, llama] = [rates("fovea"), rates("llama")];
  const ratios = fovea.map((rate, i) => rate / llama[i]);
  for (const [name, values] of Object.entries({ fovea, "llama.cpp": llama }))
    if (spread(values) > bounds.spread)
      throw new TooNoisy(
        `${phase} of ${name} spreads by ${percent(spread(values))}, more than ${percent(bounds.spread)}: ` +
          `${values.map((x) => x.toFixed(1)).join(", ")} tokens/s`,
      );
  const summary = (values) => ({ tokensPerSecond: median(values), spread: spread(values), all: values });
  return {
    fovea: { ...summary(fovea), ...achieved(median(fovea)) },
    llama: { ...summary(llama), ...achieved(median(llama)) },
    ratio: { median: median(ratios), spread: spread(ratios), all: ratios },
  };
}

export const percent = (x) => `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`;

/** Token ids without meaning; equal for both engines, different in every round. */
const tokens = (count, seed) =>
  Array.from({ length: count }, (_, i) => 300 + ((i * 7919 + seed * 104729) % 3500));
