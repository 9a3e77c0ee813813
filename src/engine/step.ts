/** What the scheduler decided, as a batch of tokens and the rows of logits that are wanted. */
import type { BatchPart } from "../cache/index.ts";
import { Generating } from "./request.ts";
import type { Decision } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

export interface StepPlan {
  readonly sequences: readonly Sequence[];
  readonly parts: readonly BatchPart[];
  /** Of all rows those whose logits are wanted, and for each sequence the end of its own among these. */
  readonly rows: readonly number[];
  readonly ends: readonly number[];
  /** For each of these rows the scales of the sums that its draws need; undefined: nobody draws. */
  readonly scales: readonly number[] | undefined;
  /** Whether each sequence has one token and draws from its logits at once: those of such a step do not last. */
  readonly single: boolean;
}

export function planStep(decided: Decision["parts"], running: readonly Sequence[]): StepPlan {
  const sequences: Sequence[] = [];
  const parts: BatchPart[] = [];
  const rows: number[] = [];
  const ends: number[] = [];
  const scales: number[] = [];
  let [row, draws] = [0, false];
  let single = true;
  for (const { id, tokens } of decided) {
    const sequence = running.length === 1 ? running[0]! : running.find((one) => one.id === id)!;
    const start = sequence.length;
    const { wanted } = sequence;
    const ids = sequence.tokens(start, start + tokens);
    parts.push({ sequence: sequence.place!, ids, start, promptLength: sequence.prompt.length });
    for (let at = Math.max(start, wanted); at < start + tokens; at++) {
      rows.push(row + at - start);
      draws = sequence.pushScales(scales) || draws;
    }
    row += tokens;
    single &&= tokens === 1 && rows.length === row && sequence.pending[0] instanceof Generating;
    sequences.push(sequence);
    ends.push(rows.length);
  }
  return { sequences, parts, rows, ends, scales: draws ? scales : undefined, single };
}
