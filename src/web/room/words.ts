/** Numbers and states of the engine in words. */
import type { EngineSnapshot, EngineStats, SequenceState } from "../../engine/report.ts";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const showCount = (value: number): string => whole.format(value);
export const showRate = (value: number): string => (value >= 100 ? whole.format(value) : three.format(value));
export const showShare = (part: number, all: number): string =>
  all > 0 ? `${three.format(Math.round((1000 * part) / all) / 10)} %` : "–";
export const showTime = (ms: number | undefined): string =>
  ms === undefined ? "–" : ms >= 1000 ? `${three.format(ms / 1000)} s` : `${three.format(ms)} ms`;

const used = ({ blocks }: EngineStats): number => blocks.capacity - blocks.available;

/** How the cache stands, in a sentence. */
export const describeCache = (stats: EngineStats): string =>
  `Of ${showCount(stats.blocks.capacity)} blocks ${showCount(used(stats))} are in use, ` +
  `${showCount(stats.blocks.shared)} of these by several sequences, and ` +
  `${showCount(stats.blocks.idle)} are kept for later prompts.`;

const verbs: readonly (readonly [SequenceState, string])[] = [
  ["prefill", "reading prompts"],
  ["decode", "writing"],
  ["paused", "paused until readers catch up"],
  ["waiting", "waiting"],
  ["preempted", "preempted"],
];

/** What the sequences do, in a sentence. */
export function describeSequences({ sequences, stats }: Omit<EngineSnapshot, "blocks">): string {
  if (stats.running + stats.waiting === 0) return "Nothing runs, nothing waits.";
  const number = (state: SequenceState): number => sequences.filter((one) => one.state === state).length;
  const parts = verbs.flatMap(([state, verb]) => {
    // Of those who wait not all are told one by one, and one may stand for several choices.
    const count = state === "waiting" ? stats.waiting - number("preempted") : number(state);
    return count > 0 ? `${count} ${verb}` : [];
  });
  return `Sequences: ${parts.join(", ")}.`;
}

export const usedShare = (stats: EngineStats): string => showShare(used(stats), stats.blocks.capacity);
