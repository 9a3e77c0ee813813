/** Which requests a profile times, and what becomes of their times. Must not know where they run. */
import { FoveaError } from "../../base/errors.ts";
import { fitRuntime, type RuntimeModel } from "../../pricing/runtime.ts";
import { type LeastTimes, type Rounds, timeInRounds } from "./rounds.ts";

/**
 * Lengths of prompts, each some 1.4 times the one before. Kernels work on 16 or 32 tokens at once, so that multiples of
 * these are cheaper than what lies between: a table of them alone would be up to 16 % too low there.
 */
const PROMPTS = [
  1, 2, 3, 5, 8, 13, 21, 30, 43, 60, 85, 120, 170, 240, 340, 480, 680, 950, 1350, 1900,
] as const;

/** Of the profile's requests, unless it is told others: of the prompt, and of the output. */
const LONGEST = { prompt: 2048, output: 64 };

/** The model, and what it was made of. */
export interface Profile extends LeastTimes {
  readonly model: RuntimeModel;
  readonly repeats: number;
  /** That the timing took. */
  readonly seconds: number;
}

export interface ProfileOptions extends Rounds {
  readonly context: number;
  readonly longest?: { readonly prompt?: number | undefined; readonly output?: number | undefined };
}

/** The first token, a quarter of the outputs and all of them: each a request of its own, as a user would send it. */
export async function takeProfile({ context, longest, ...rounds }: ProfileOptions): Promise<Profile> {
  const { prompt: most = LONGEST.prompt, output: last = LONGEST.output } = longest ?? {};
  const outputs = [...new Set([1, Math.ceil(last / 4), last])];
  const prompts = PROMPTS.filter((prompt) => prompt <= most && prompt + last <= context);
  if (outputs.length < 2 || prompts.length < 2)
    throw new FoveaError(
      `no two lengths of prompt fit a profile of prompts to ${most} and outputs of ${last} tokens in a context of ${context}; change --prompt-tokens or --gen-tokens`,
    );
  const started = performance.now();
  const requests = prompts.flatMap((prompt) => outputs.map((output) => ({ prompt, output })));
  const { times, noise } = await timeInRounds(requests, rounds);
  const seconds = (performance.now() - started) / 1000;
  return { model: fitRuntime(times), times, repeats: rounds.repeats, noise, seconds };
}
