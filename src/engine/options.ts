/** How an engine is set up. */
import { ParameterError } from "../base/errors.ts";
import type { CacheFormat, Precision } from "../ops/index.ts";
import type { Limits } from "./scheduler.ts";

export interface EngineOptions {
  readonly cacheFormat: CacheFormat;
  /** Of products with weights of float formats; default f32. */
  readonly precision?: Precision | undefined;
  /** Tokens that the cache may hold, of running sequences and kept beginnings. */
  readonly cacheTokens: number;
  /** Sequences that run at once; default 32. */
  readonly sequences?: number;
  /** Tokens in one step; default 512: enough to use the device well, few enough that nobody waits long. */
  readonly stepTokens?: number;
  /** Milliseconds that a request waits behind later ones of a higher priority, at most; default 10 000. */
  readonly patience?: number;
  /** Whether beginnings of texts are kept for later requests; default true. */
  readonly keepPrefixes?: boolean;
  /** Whether sequences attend together to what they have in common; default true. Changes the speed alone. */
  readonly sharedAttention?: boolean;
}

/** Checks the options, and completes those that the scheduler needs. */
export function limitsFrom(options: EngineOptions, block: number): Limits {
  const { cacheTokens, sequences = 32, stepTokens = 512, patience = 10_000 } = options;
  for (const [name, value, least] of [
    ["sequences", sequences, 1],
    ["stepTokens", stepTokens, sequences + 1],
    ["cacheTokens", cacheTokens, 1],
  ] as const)
    if (!Number.isSafeInteger(value) || value < least)
      throw new ParameterError(name, `must be a whole number from ${least}, not ${value}`);
  return { tokens: stepTokens, sequences, block, patience };
}
