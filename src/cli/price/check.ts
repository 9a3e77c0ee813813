/** How far prices are from what requests take: on requests that no profile has seen. */
import { uniform } from "../../decode/random.ts";
import { priceRequest, type RuntimeModel } from "../../pricing/runtime.ts";
import { median } from "../measure.ts";
import type { Profile, TimeRequest } from "./profile.ts";

/** Shares of the time that was taken. */
export interface PriceErrors {
  readonly medianError: number;
  readonly p95Error: number;
  /** Above 0: priced too low. */
  readonly meanError: number;
}

/** The errors of `idealized` are from the median of the repeats of each request, those of `denoised` from the least. */
export interface Check {
  readonly requests: number;
  readonly repeats: number;
  readonly idealized: PriceErrors;
  readonly denoised: PriceErrors;
}

export interface CheckOptions {
  readonly profile: Pick<Profile, "idealized" | "denoised">;
  readonly time: TimeRequest;
  readonly requests: number;
  readonly repeats: number;
  /** Tokens of prompt and output together. */
  readonly limit: number;
  readonly seed: number;
  readonly onProgress: (done: number, total: number) => void;
}

/** Requests with lengths drawn evenly on a logarithmic scale, in random order; all once, then all of them again. */
export async function checkPrices(options: CheckOptions): Promise<Check> {
  const { profile, time, requests, repeats, limit, seed, onProgress } = options;
  const longest = Math.min(profile.idealized.firstToken.at(-1)!.prompt, limit - 1);
  const drawn = (most: number, i: number, stream: number): number =>
    Math.max(1, Math.round(most ** uniform(seed, i, stream)));
  const all = Array.from({ length: requests }, (_, i) => {
    const prompt = drawn(longest, i, 0);
    return { prompt, output: drawn(Math.min(128, limit - prompt), i, 1), taken: [] as number[] };
  });
  for (let round = 0; round < repeats; round++)
    for (const [i, { prompt, output, taken }] of all.entries()) {
      onProgress(round * requests + i, repeats * requests);
      taken.push(...(await time(prompt, [output])));
    }
  const errorsOf = (model: RuntimeModel, of: (taken: number[]) => number): PriceErrors => {
    const errors = all.map(({ prompt, output, taken }) => {
      const ms = of(taken);
      return (ms - priceRequest(model, prompt, output).totalMs) / ms;
    });
    const sorted = errors.map(Math.abs).sort((a, b) => a - b);
    return {
      medianError: sorted[Math.floor(requests / 2)]!,
      p95Error: sorted[Math.ceil(0.95 * requests) - 1]!,
      meanError: errors.reduce((sum, error) => sum + error, 0) / requests,
    };
  };
  return {
    ...{ requests, repeats },
    idealized: errorsOf(profile.idealized, median),
    denoised: errorsOf(profile.denoised, (taken) => Math.min(...taken)),
  };
}
