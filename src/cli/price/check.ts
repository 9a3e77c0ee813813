/** How far prices are from what requests take: on requests that no profile has seen. */
import { uniform } from "../../decode/random.ts";
import { priceRequest, type RuntimeModel, type Timed } from "../../pricing/runtime.ts";
import { type LeastTimes, type Rounds, timeInRounds } from "./rounds.ts";

/** Errors are shares of the least time that a request took. */
export interface Check extends LeastTimes {
  readonly requests: number;
  readonly repeats: number;
  readonly medianError: number;
  readonly p95Error: number;
  /** Above 0: priced too low. */
  readonly meanError: number;
  readonly times: readonly (Timed & { readonly price: number })[];
}

export interface CheckOptions extends Rounds {
  readonly model: RuntimeModel;
  readonly requests: number;
  /** Tokens at most: of prompt and output together, and of each. */
  readonly limit: number;
  readonly longest?: { readonly prompt?: number | undefined; readonly output?: number | undefined };
  readonly seed: number;
}

/** Requests with lengths drawn evenly on a logarithmic scale. */
export async function checkPrices(options: CheckOptions): Promise<Check> {
  const { model, requests, limit, longest, seed, ...rounds } = options;
  const { prompt: mostPrompt = Number.POSITIVE_INFINITY, output: mostOutput = 128 } = longest ?? {};
  const longestPrompt = Math.min(model.firstToken.at(-1)!.prompt, mostPrompt, limit - 1);
  const drawn = (most: number, i: number, stream: number): number =>
    Math.max(1, Math.round(most ** uniform(seed, i, stream)));
  const asked = Array.from({ length: requests }, (_, i) => {
    const prompt = drawn(longestPrompt, i, 0);
    return { prompt, output: drawn(Math.min(mostOutput, limit - prompt), i, 1) };
  });
  const { times, noise } = await timeInRounds(asked, rounds);
  const priced = times.map((timed) => ({
    ...timed,
    price: priceRequest(model, timed.prompt, timed.output).totalMs,
  }));
  const errors = priced.map(({ ms, price }) => (ms - price) / ms);
  const sorted = errors.map(Math.abs).sort((a, b) => a - b);
  return {
    ...{ requests, repeats: rounds.repeats },
    medianError: sorted[Math.floor(requests / 2)]!,
    p95Error: sorted[Math.ceil(0.95 * requests) - 1]!,
    meanError: errors.reduce((sum, error) => sum + error, 0) / requests,
    ...{ noise, times: priced },
  };
}
