/**
 * Times requests again and again, and takes the least time of each: what it takes when nothing disturbs. Knows rounds
 * and noise; must not know where requests run nor what their times are for.
 */
import { FoveaError } from "../../base/errors.ts";
import { uniform } from "../../decode/random.ts";
import type { Timed } from "../../pricing/runtime.ts";
import { median } from "../measure.ts";

/** Milliseconds that a request with so many tokens of prompt takes until it has written so many. */
export type TimeRequest = (prompt: number, output: number) => Promise<number>;

export type Request = Omit<Timed, "ms">;

export interface Rounds {
  readonly time: TimeRequest;
  /** How often each request is timed: at least twice. */
  readonly repeats: number;
  readonly onProgress: (done: number, total: number) => void;
}

/** The least times, and how far they can be believed. */
export interface LeastTimes {
  readonly times: readonly Timed[];
  /** By which share of the least time the second least is above it, at the median of all requests. */
  readonly noise: number;
}

/** Times of each request, unless it is told otherwise: the least of two or three is no better than their mean. */
export const REPEATS = 10;

/**
 * A process is slow in its first seconds, as code is compiled that soon runs for the thousandth time: until then, or
 * for a model whose steps are long and hide that, for some seconds.
 */
const WARM_UP = { requests: 1000, ms: 5000 };

/** A least time that no other comes near may be luck. */
const MOST_NOISE = 0.1;

/**
 * All requests once, in random order, then all of them again in another: a moment that disturbs, disturbs some time of
 * many, and not all times of one; and none always follows the same.
 */
export async function timeInRounds(requests: readonly Request[], rounds: Rounds): Promise<LeastTimes> {
  const { time, repeats, onProgress } = rounds;
  await warmUp(requests, time);
  const taken = requests.map((): number[] => []);
  for (let round = 0; round < repeats; round++)
    for (const [done, i] of shuffled(requests.length, round).entries()) {
      onProgress(round * requests.length + done, repeats * requests.length);
      taken[i]!.push(await time(requests[i]!.prompt, requests[i]!.output));
    }
  for (const all of taken) all.sort((a, b) => a - b);
  return {
    times: requests.map((request, i) => ({ ...request, ms: taken[i]![0]! })),
    noise: median(taken.map(([least = 0, second = 0]) => second / least - 1)),
  };
}

export const isNoisy = (noise: number): boolean => noise > MOST_NOISE;

/** @throws FoveaError where the machine was too noisy for the times to mean anything */
export function refuseNoise(noise: number): void {
  if (isNoisy(noise))
    throw new FoveaError(
      `the machine is too noisy: the least time of a request is ${(100 * noise).toFixed(1)} % below all others; leave it alone, raise --runs, or take it all the same with --noisy`,
    );
}

/** Short ones of the requests, in random order. */
async function warmUp(requests: readonly Request[], time: TimeRequest): Promise<void> {
  const size = ({ prompt, output }: Request): number => prompt + output;
  const short = requests.filter((request) => size(request) <= median(requests.map(size)));
  const until = performance.now() + WARM_UP.ms;
  for (let i = 0; i < WARM_UP.requests && performance.now() < until; i++) {
    const { prompt, output } = short[Math.floor(uniform(0, i) * short.length)]!;
    await time(prompt, output);
  }
}

function shuffled(length: number, round: number): number[] {
  const order = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const other = Math.floor(uniform(round, i) * (i + 1));
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order;
}
