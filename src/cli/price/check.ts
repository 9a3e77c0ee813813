/** How far prices are from what requests take: on requests that no profile has seen. */
import { uniform } from "../../decode/random.ts";
import { type Price, priceRequest, type RuntimeModel } from "../../pricing/runtime.ts";
import type { TimeRequest } from "./profile.ts";

export interface Check {
  readonly requests: number;
  /** Shares of the time that was taken. */
  readonly medianError: number;
  readonly p95Error: number;
  /** Above 0: priced too low. */
  readonly meanError: number;
}

/**
 * Requests with lengths drawn evenly on a logarithmic scale, in random order.
 *
 * @param limit tokens of prompt and output together
 */
export async function checkPrices(
  model: RuntimeModel,
  time: TimeRequest,
  requests: number,
  limit: number,
  seed: number,
  onProgress: (done: number, total: number) => void,
): Promise<Check> {
  const longest = Math.min(model.firstToken.at(-1)!.prompt, limit - 1);
  const drawn = (most: number, i: number, stream: number): number =>
    Math.max(1, Math.round(most ** uniform(seed, i, stream)));
  const errors: number[] = [];
  for (let i = 0; i < requests; i++) {
    onProgress(i, requests);
    const prompt = drawn(longest, i, 0);
    const output = drawn(Math.min(128, limit - prompt), i, 1);
    const [taken = 0] = await time(prompt, [output]);
    const { totalMs }: Price = priceRequest(model, prompt, output);
    errors.push((taken - totalMs) / taken);
  }
  const sorted = errors.map(Math.abs).sort((a, b) => a - b);
  return {
    requests,
    medianError: sorted[Math.floor(requests / 2)]!,
    p95Error: sorted[Math.ceil(0.95 * requests) - 1]!,
    meanError: errors.reduce((sum, error) => sum + error, 0) / requests,
  };
}
