/**
 * One row: several engines on one piece of work with one number of threads, in turns (A B C, then C B A), each in a
 * process of its own. A round that others disturbed is repeated; what stays noisy is refused. Knows no engine.
 *
 * @typedef {object} Engine
 * @property {string} name
 * @property {string} script of engines/; it answers `open` and `time`
 * @property {boolean} [ours] whether it is Fovea; every one of ours is compared with every other
 * @property {object} open parameters of its `open`
 * @property {object} time parameters of its `time`
 * @property {{ execPath?: string, execArgv?: string[] }} [process] how its process is started
 * @property {boolean} [brief] in place of the plan's
 * @property {() => void} [before] called before each start of a process, where each round has a new one
 *
 * @typedef {object} Measure what is read off what an engine's `time` answers
 * @property {string} name
 * @property {string} unit `MiB` and `ms` are better when smaller, all else (a rate) when larger
 * @property {number} [amount] units of work: the rate is amount / time, a time is for one unit. Default 1.
 * @property {(times: Record<string, number>) => number} of milliseconds, or bytes where the unit is MiB
 * @property {{ bytes?: number, operations?: number }} [work] of the whole amount
 * @property {string} [limit] what bounds it: `read`, `f32` or `int8`
 *
 * @typedef {object} Plan
 * @property {string} label
 * @property {number} threads
 * @property {number} rounds
 * @property {readonly Engine[]} engines
 * @property {readonly Measure[]} measures
 * @property {boolean} [fresh] each round starts new processes, in the order of the engines, and asks them to `close`
 * @property {boolean} [brief] what is timed is short: each measurement follows one that does not count, because a core
 *   that has been idle is slow at first
 * @property {number} [tolerance] engines give a `sample` of what they compute when they open; one that differs from
 *   ours by more is not compared
 */
import { existsSync } from "node:fs";
import { startChild } from "./child.mjs";
import { peakMemory, waitForQuiet, watchOthers } from "./machine.mjs";
import { median, spread, summary } from "./statistics.mjs";

/**
 * `others`: cores that other processes may keep busy during a measurement. `spread`: half of the interquartile
 * range, relative to the median, above which a comparison is refused.
 */
export const strict = { others: 0.1, spread: 0.08 };
export const lenient = { others: Infinity, spread: Infinity };
const WAIT_SECONDS = 120;

/** Refusal of a row, with the reason. */
export class TooNoisy extends Error {}

/**
 * @param {Plan} plan
 * @param {{ read: number, operations: Record<string, number> } | undefined} limits of this machine, same threads
 * @param {{ others: number, spread: number }} bounds
 */
export async function measureRow(plan, limits, bounds) {
  const running = new Map();
  const described = {};
  const absent = [];
  /** @type {Map<string, Record<string, number>[]>} */
  const times = new Map(plan.engines.map(({ name }) => [name, []]));
  const pids = () => [process.pid, ...[...running.values()].map((child) => child.pid)];
  const start = async (engine) => {
    engine.before?.();
    const child = startChild(engine.script, engine.process);
    running.set(engine.name, child);
    described[engine.name] = await child.call("open", engine.open);
    return child;
  };
  const stop = async (engine) => {
    await running.get(engine.name)?.stop();
    running.delete(engine.name);
  };
  /** One measurement of one engine. */
  const time = async (engine, round) => {
    const parameters = { ...engine.time, seed: round };
    if (!plan.fresh) {
      const child = running.get(engine.name);
      if (engine.brief ?? plan.brief) await child.call("time", parameters);
      return await child.call("time", parameters);
    }
    try {
      const child = await start(engine);
      const times = await child.call("time", parameters);
      const peakBytes = peakMemory(child.pid);
      await child.call("close");
      return { ...times, peakBytes };
    } finally {
      await stop(engine);
    }
  };

  try {
    for (const engine of plan.engines)
      try {
        if (engine.process?.execPath && !existsSync(engine.process.execPath))
          throw new Error(`${engine.process.execPath} is missing`);
        if (!plan.fresh) await start(engine);
        await time(engine, 0); // warm-up
        if (plan.tolerance !== undefined) checkSample(plan, described, engine.name);
      } catch (error) {
        if (engine.ours) throw error;
        await stop(engine);
        times.delete(engine.name);
        absent.push({ engine: engine.name, reason: error.message.split("\n")[0] });
      }

    const present = plan.engines.filter(({ name }) => times.has(name));
    const values = (name, measure) => times.get(name).map((t) => shownBy(measure, t));
    const settled = () =>
      present.every(({ name }) => plan.measures.every((m) => spread(values(name, m)) <= bounds.spread));
    for (let round = 0, tries = 0; round < plan.rounds || (round < 2 * plan.rounds && !settled()); tries++) {
      if (tries > 4 * plan.rounds) throw new TooNoisy(`other processes kept disturbing, ${tries} times`);
      if (!(await waitForQuiet(pids(), bounds.others, WAIT_SECONDS)))
        throw new TooNoisy(
          `other processes kept more than ${bounds.others} cores busy for ${WAIT_SECONDS} s`,
        );
      const used = plan.fresh ? () => 0 : watchOthers(pids()); // the processor time of one that has ended is lost
      const turns = [...present];
      if (round % 2 === 1 && !plan.fresh) turns.reverse();
      const results = [];
      for (const engine of turns) results.push([engine.name, await time(engine, round + 1)]);
      if (used() > bounds.others) continue;
      for (const [name, result] of results) times.get(name).push(result);
      round++;
    }
    return {
      label: plan.label,
      threads: plan.threads,
      rounds: times.get(present[0].name).length,
      // What was computed served the comparison, and is long.
      engines: Object.fromEntries(
        Object.entries(described).map(([name, { sample: _, ...said }]) => [name, said]),
      ),
      absent,
      measures: plan.measures.map((measure) =>
        compare(
          measure,
          present.map(({ name, ours = false }) => ({ name, ours, times: times.get(name) })),
          limits,
          bounds,
        ),
      ),
    };
  } finally {
    await Promise.all([...running.values()].map((child) => child.stop()));
  }
}

/** Throws when an engine computes something else than the first one. */
function checkSample({ engines, tolerance }, described, name) {
  const [ours, other] = [described[engines[0].name].sample, described[name].sample];
  const error = Math.max(...ours.map((x, i) => Math.abs(x - other[i])));
  if (!(error <= tolerance)) throw new Error(`its results differ by ${error}, more than ${tolerance}`);
}

const smallerIsBetter = ({ unit }) => unit === "ms" || unit === "MiB";

/** What a measure shows for one answer of an engine. */
export function shownBy({ unit, amount = 1, of }, times) {
  if (unit === "MiB") return of(times) / 2 ** 20;
  return unit === "ms" ? of(times) / amount : (1000 * amount) / of(times);
}

/**
 * Values of all engines for one measure, and for each of ours with each peer the ratio round by round, above 1 where
 * ours is better. An engine whose values spread too much is not compared.
 *
 * @param {Measure} measure
 * @param {readonly { name: string, ours: boolean, times: Record<string, number>[] }[]} engines
 */
export function compare(measure, engines, limits, bounds) {
  const results = {};
  const refused = [];
  for (const { name, times } of engines) {
    const values = times.map((t) => shownBy(measure, t));
    if (spread(values) > bounds.spread)
      refused.push({
        engine: name,
        reason:
          `spreads by ${percent(spread(values))}, more than ${percent(bounds.spread)}: ` +
          `${values.map((x) => x.toPrecision(4)).join(", ")} ${measure.unit}`,
      });
    results[name] = {
      ...summary(values),
      ...(measure.work ? achieved(measure, median(times.map(measure.of)), limits) : {}),
    };
  }
  const sound = engines.filter(({ name }) => !refused.some(({ engine }) => engine === name));
  const ratios = [];
  for (const ours of sound.filter((engine) => engine.ours))
    for (const peer of sound.filter((engine) => !engine.ours))
      ratios.push({
        ours: ours.name,
        peer: peer.name,
        ...summary(
          results[ours.name].all.map((value, i) => {
            const other = results[peer.name].all[i];
            return smallerIsBetter(measure) ? other / value : value / other;
          }),
        ),
      });
  const { name, unit, work, limit } = measure;
  return { name, unit, ...(work ? { work } : {}), ...(limit ? { limit } : {}), results, ratios, refused };
}

/** Rates of the work that was counted, and their share of what the machine can do. */
function achieved({ work, limit }, milliseconds, limits) {
  const gigabytes = work.bytes && work.bytes / milliseconds / 1e6;
  const gigaOperations = work.operations && work.operations / milliseconds / 1e6;
  const bound = limit && limits && limitOf(limit, limits).value;
  const rate = limit === "read" ? gigabytes : gigaOperations;
  return {
    ...(gigabytes ? { gigabytes } : {}),
    ...(gigaOperations ? { gigaOperations } : {}),
    ...(bound && rate ? { share: rate / bound } : {}),
  };
}

/** The limit of a kind of work: plain reading, or the fastest unit that multiplies and adds such numbers. */
export function limitOf(kind, { read, operations }) {
  if (kind === "read") return { name: "reading", value: read };
  const units = Object.entries(operations).filter(([name]) => name.startsWith(kind));
  const [name, value] = units.sort((a, b) => b[1] - a[1])[0] ?? [kind, undefined];
  return { name, value };
}

export const percent = (x) => `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`;
