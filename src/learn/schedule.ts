/** Learning rates over the steps of a training, as plain functions. Knows numbers only. */
import { ParameterError } from "../base/errors.ts";

/** The learning rate of step `step`, counted from 0. */
export type Schedule = (step: number) => number;

export interface CosineOptions {
  readonly peak: number;
  /** Steps in which the rate rises from 0 to its peak. */
  readonly warmup: number;
  /** Steps in all. */
  readonly steps: number;
  /** The rate at the end. Default a tenth of the peak. */
  readonly floor?: number;
}

/** Rises linearly, then falls along half a cosine (Loshchilov and Hutter 2017, without restarts). */
export function cosine({ peak, warmup, steps, floor = peak / 10 }: CosineOptions): Schedule {
  checkRates(peak, floor, warmup);
  if (!(steps >= warmup))
    throw new ParameterError("steps", `${steps} are fewer than the ${warmup} of warm-up`);
  return (step) => {
    if (step < warmup) return (peak * (step + 1)) / warmup;
    const share = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
    return floor + ((peak - floor) * (1 + Math.cos(Math.PI * share))) / 2;
  };
}

export interface WarmupStableDecayOptions {
  readonly peak: number;
  readonly warmup: number;
  /** The step at which the rate begins to fall, and in how many it reaches the floor; absent: it stays. */
  readonly decay?: { readonly from: number; readonly steps: number } | undefined;
  /** The rate at the end. Default 0. */
  readonly floor?: number;
}

/**
 * Rises, stays, and falls when it is told to: a training can be ended well at any time (Hu et al. 2024, MiniCPM,
 * section 4). It falls as one less the square root (Hägele et al. 2024, section 3).
 */
export function warmupStableDecay(options: WarmupStableDecayOptions): Schedule {
  const { peak, warmup, decay, floor = 0 } = options;
  checkRates(peak, floor, warmup);
  if (decay && !(decay.from >= 0 && decay.steps > 0))
    throw new ParameterError("decay", "must begin at a step and take one at least");
  return (step) => {
    const rise = step < warmup ? (step + 1) / warmup : 1;
    if (!decay || step < decay.from) return peak * rise;
    const share = Math.min(1, (step + 1 - decay.from) / decay.steps);
    return floor + (peak * rise - floor) * (1 - Math.sqrt(share));
  };
}

function checkRates(peak: number, floor: number, warmup: number): void {
  if (!(peak > 0 && peak < Infinity)) throw new ParameterError("peak", `must be above 0, not ${peak}`);
  if (!(floor >= 0 && floor <= peak))
    throw new ParameterError("floor", `must be from 0 to the peak, not ${floor}`);
  if (!(Number.isSafeInteger(warmup) && warmup >= 0))
    throw new ParameterError("warmup", `must be a whole number of steps, not ${warmup}`);
}
