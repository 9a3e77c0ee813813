/**
 * Times of requests of many lengths, each taken several times. Knows clocks and models; must not know how a price is
 * made of them.
 */
import { readFileSync } from "node:fs";
import { FoveaError } from "../../base/errors.ts";
import { fitRuntime, type RuntimeModel, type Timed } from "../../pricing/runtime.ts";
import { median } from "../measure.ts";

/** Lengths of prompts; those that the context does not hold are left out. */
const PROMPTS = [
  1, 16, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048,
];
/** Numbers of output tokens at which the clock is read. */
const OUTPUTS = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64];

/** Milliseconds that a request takes, with each of these numbers of output tokens. */
export type TimeRequest = (prompt: number, outputs: readonly number[]) => Promise<readonly number[]>;

export interface Profile {
  /** From the median of the repeats: what a request takes on this machine, left alone. */
  readonly idealized: RuntimeModel;
  /** From the least of the repeats: what it takes where others disturb it least. */
  readonly denoised: RuntimeModel;
  readonly repeats: number;
  /** Of the machine's time, what others took meanwhile; undefined where that cannot be told. */
  readonly others: number | undefined;
  /** Seconds that the timing took. */
  readonly seconds: number;
}

export interface ProfileOptions {
  readonly context: number;
  readonly repeats: number;
  readonly time: TimeRequest;
  readonly onProgress: (done: number, total: number) => void;
}

/** All lengths once, then all of them again: what disturbs some time disturbs all lengths alike. */
export async function takeProfile({ context, repeats, time, onProgress }: ProfileOptions): Promise<Profile> {
  const prompts = PROMPTS.filter((prompt) => prompt + OUTPUTS.at(-1)! <= context);
  if (prompts.length < 2)
    throw new FoveaError(
      `a context of ${context} is too short for a profile, which generates ${OUTPUTS.at(-1)} tokens`,
    );
  const times = new Map<string, number[]>();
  const total = prompts.length * (repeats + 1);
  const started = performance.now();
  let machine = machineTimes();
  for (let round = -1; round < repeats; round++) {
    if (round === 0) machine = machineTimes(); // the first round warms up
    for (const [i, prompt] of prompts.entries()) {
      onProgress((round + 1) * prompts.length + i, total);
      const taken = await time(prompt, OUTPUTS);
      if (round < 0) continue;
      for (const [o, output] of OUTPUTS.entries()) {
        const key = `${prompt} ${output}`;
        times.set(key, [...(times.get(key) ?? []), taken[o]!]);
      }
    }
  }
  const timed = (of: (all: number[]) => number): Timed[] =>
    [...times].map(([key, all]) => {
      const [prompt, output] = key.split(" ").map(Number) as [number, number];
      return { prompt, output, ms: of(all) };
    });
  return {
    idealized: fitRuntime(timed(median)),
    denoised: fitRuntime(timed((all) => Math.min(...all))),
    repeats,
    others: othersSince(machine),
    seconds: (performance.now() - started) / 1000,
  };
}

/** Milliseconds of processor time: of all processes, of ours, and how much there was to have. */
interface MachineTimes {
  readonly busy: number;
  readonly own: number;
  readonly all: number;
}

function machineTimes(): MachineTimes | undefined {
  let stat: string;
  try {
    stat = readFileSync("/proc/stat", "utf8");
  } catch {
    return undefined;
  }
  // In hundredths of a second: user, nice, system, idle, waiting, interrupts, ..., stolen.
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft = 0, stolen = 0] = stat
    .slice(0, stat.indexOf("\n"))
    .split(/ +/)
    .slice(1)
    .map((ticks) => 10 * Number(ticks));
  const busy = user + nice + system + irq + soft + stolen;
  const { user: own, system: ownSystem } = process.cpuUsage();
  return { busy, own: (own + ownSystem) / 1000, all: busy + idle + waiting };
}

/** The share of the processors that others had since then. */
function othersSince(before: MachineTimes | undefined): number | undefined {
  const now = machineTimes();
  if (!before || !now || now.all === before.all) return undefined;
  return Math.max(0, (now.busy - before.busy - (now.own - before.own)) / (now.all - before.all));
}
