/**
 * What is done to the logits themselves, greedy decoding included: bias, then the repetition, frequency and
 * presence penalties, in vLLM's order. It knows the tokens so far, not how the next one is drawn.
 */
import type { LogitRow } from "./row.ts";
import type { Sampling, SamplingContext } from "./sampling.ts";

/** Whether `penalize` would change anything. */
export const hasPenalties = (sampling: Sampling): boolean =>
  sampling.logitBias.size > 0 ||
  sampling.repetitionPenalty !== 1 ||
  sampling.frequencyPenalty !== 0 ||
  sampling.presencePenalty !== 0;

/**
 * Changes the row, whose maxima must be settled then.
 *
 * - bias: l ← l + b
 * - repetition, once for each distinct token among the last `repetitionWindow` of prompt and generated
 *   text: l ← l / r where l > 0, else l · r (Keskar et al., "CTRL", arXiv 1909.05858, section 4.1)
 * - frequency and presence, over generated text only: l ← l − c·f − p, c > 0 being the token's count (OpenAI)
 *
 * @param counts one zero for each token of the vocabulary; zero again on return
 */
export function penalize(
  row: LogitRow,
  sampling: Sampling,
  context: SamplingContext,
  counts: Uint32Array,
): void {
  for (const [token, bias] of sampling.logitBias) row.open(token)[token]! += bias;
  if (sampling.repetitionPenalty !== 1) penalizeRepetition(row, sampling, context, counts);
  if (sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0)
    penalizeCounts(row, sampling, context.generated, counts);
}

function penalizeRepetition(
  row: LogitRow,
  { repetitionPenalty: penalty, repetitionWindow: window }: Sampling,
  { prompt, generated }: SamplingContext,
  seen: Uint32Array,
): void {
  const length = prompt.length + generated.length;
  const tokenAt = (i: number): number => (i < prompt.length ? prompt[i]! : generated[i - prompt.length]!);
  const first = Math.max(0, length - window);
  for (let i = first; i < length; i++) {
    const token = tokenAt(i);
    if (seen[token] !== 0) continue; // seen already, or no token of this vocabulary
    seen[token] = 1;
    const own = row.open(token);
    const logit = own[token]!;
    own[token] = logit > 0 ? logit / penalty : logit * penalty;
  }
  for (let i = first; i < length; i++) seen[tokenAt(i)] = 0;
}

function penalizeCounts(
  row: LogitRow,
  { frequencyPenalty, presencePenalty }: Sampling,
  generated: ArrayLike<number>,
  counts: Uint32Array,
): void {
  for (let i = 0; i < generated.length; i++) counts[generated[i]!]!++;
  for (let i = 0; i < generated.length; i++) {
    const token = generated[i]!;
    const count = counts[token];
    if (!count) continue; // done already, or no token of this vocabulary
    row.open(token)[token]! -= count * frequencyPenalty + presencePenalty;
    counts[token] = 0;
  }
}
