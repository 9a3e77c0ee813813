/**
 * Times generations of a model, and describes the machine that they ran on. Knows clocks; must not know how
 * the numbers are shown.
 */
import { availableParallelism, cpus, totalmem } from "node:os";
import { FoveaError, ParameterError } from "../base/errors.ts";
import type { LanguageModel } from "../tasks/types.ts";

/** Tokens per second: the median of the runs, their extremes, and each. */
export interface Rates {
  readonly tokens_per_second: number;
  readonly min: number;
  readonly max: number;
  readonly all: readonly number[];
}

export interface Measured {
  readonly prefill: Rates;
  readonly decode: Rates;
  /** Median, in milliseconds. */
  readonly firstTokenMs: number;
}

export interface Workload {
  readonly promptTokens: number;
  /** At least 2: the first token belongs to the prompt's time. */
  readonly genTokens: number;
  readonly runs: number;
}

/**
 * Greedy generations after a prompt of fixed pseudo-random tokens; end tokens are ignored, so that each has its
 * full length. Prefill is the time to the first token; decode, the time from the first token to the last.
 */
export async function measure(
  model: LanguageModel,
  { promptTokens, genTokens, runs }: Workload,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Measured> {
  if (promptTokens + genTokens > model.contextLength)
    throw new ParameterError(
      "--prompt-tokens",
      `${promptTokens} and ${genTokens} more exceed the context of ${model.contextLength}`,
    );
  const prefill: number[] = [];
  const decode: number[] = [];
  const firstToken: number[] = [];
  for (let run = 0; run <= runs; run++) {
    onProgress(run, runs + 1);
    // Another prompt each time: the cache would know it.
    const prompt = Array.from(
      { length: promptTokens },
      (_, i) => pseudoRandom(run * promptTokens + i) % model.vocabularySize,
    );
    const started = performance.now();
    let first = 0;
    let count = 0;
    const generation = model.generate(prompt, {
      temperature: 0,
      maxTokens: genTokens,
      ignoreEnd: true,
      signal,
    });
    for await (const _ of generation.events()) {
      if (count === 0) first = performance.now();
      count++;
    }
    const ended = performance.now();
    signal.throwIfAborted();
    if (count !== genTokens)
      throw new FoveaError(
        `the model wrote ${count} tokens in place of ${genTokens}; nothing can be measured`,
      );
    if (run === 0) continue; // the first run pays for what is made once
    firstToken.push(first - started);
    prefill.push((1000 * promptTokens) / (first - started));
    decode.push((1000 * (genTokens - 1)) / (ended - first));
  }
  return { prefill: rates(prefill), decode: rates(decode), firstTokenMs: median(firstToken) };
}

/** Scrambles an index into 32 bits (the finalizer of MurmurHash3). */
export function pseudoRandom(index: number): number {
  let h = index + 0x9e3779b9;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const rates = (values: readonly number[]): Rates => ({
  tokens_per_second: median(values),
  min: Math.min(...values),
  max: Math.max(...values),
  all: values,
});

export interface Machine {
  readonly cpu: string;
  /** That this process may use. */
  readonly cores: number;
  readonly memory_bytes: number;
  readonly platform: string;
  readonly node: string;
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memory_bytes: totalmem(),
  platform: `${process.platform}-${process.arch}`,
  node: process.version,
});
