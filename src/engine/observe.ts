/** An engine's plans, sequences and blocks as plain data. Made for those who look; nobody else pays for it. */

import type { SequenceReport, StepPart } from "./report.ts";
import { Generating } from "./request.ts";
import type { Sequence } from "./sequence.ts";
import type { StepPlan } from "./step.ts";

/** Sequences that wait, and are told one by one. */
const MOST_WAITING = 64;

type Part = StepPlan["parts"][number];

/** Whether a part is anything else than the one token that was drawn last. */
export const isPrefill = ({ ids, start, promptLength }: Part): boolean =>
  ids.length > 1 || start < (promptLength ?? 0);

/** What a step is about to do. */
export function partsOf({ sequences, parts, ends }: StepPlan): StepPart[] {
  return parts.map((part, i) => {
    const { id, arrival, pending } = sequences[i]!;
    const [one] = pending;
    const draws = one instanceof Generating && ends[i]! > (ends[i - 1] ?? 0);
    const first = draws && one.generated.length === 0;
    return {
      ...{ id, tokens: part.ids.length, prefill: isPrefill(part) },
      drawn: draws ? pending.length : 0,
      since: first ? arrival : undefined,
    };
  });
}

export function sequencesOf(running: readonly Sequence[], waiting: readonly Sequence[]): SequenceReport[] {
  return [
    ...running.map((one) => reportOf(one, true)),
    ...waiting.slice(0, MOST_WAITING).map((one) => reportOf(one, false)),
  ];
}

function reportOf(one: Sequence, runs: boolean): SequenceReport {
  const { id, known, length, hit, blocks } = one;
  const prompt = one.prompt.length;
  const inside = one.paused ? "paused" : known - length > 1 || length < prompt ? "prefill" : "decode";
  const outside = hit === undefined ? "waiting" : "preempted";
  const state = runs ? inside : outside;
  return { id, state, prompt, cached: hit ?? 0, generated: known - prompt, blocks };
}

/** See EngineSnapshot; `users` of each block, −1 where it is only kept. */
export function mapOf(users: ArrayLike<number>): string {
  let text = "";
  let last = 0;
  for (let i = 0; i < users.length; i++) {
    const count = users[i]!;
    text += count < 0 ? "-" : count === 0 ? "." : Math.min(count, 35).toString(36);
    if (count !== 0) last = i + 1;
  }
  return text.slice(0, last);
}
