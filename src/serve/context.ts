/** What the request handlers share: the model, and how one request's work is started, counted and ended. */
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { Tokenizer } from "../checkpoint/tokenizer/index.ts";
import type { GenerateOptions, Generation, GenerationResult, LanguageModel } from "../tasks/types.ts";
import { ApiError } from "./errors.ts";
import { type Gate, stopping } from "./gate.ts";

export interface ServeContext {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  /** Unix time at which the model was opened, in seconds. */
  readonly created: number;
  /** Who sends a request, as far as keys tell: what is kept for one is not shown to another. */
  readonly ownerOf: (request: Request) => string;
  readonly gate: Gate;
  /** Milliseconds that a request may take. */
  readonly timeout: number;
  /** Aborted when the server must end its work. */
  readonly shutdown: AbortSignal;
  readonly onError: (error: unknown) => void;
}

/** One request's work: the signal that ends it, and how it is ended. */
export interface Work {
  readonly signal: AbortSignal;
  /** What its generations are told besides: prompts that are kept for one key speed up no other's. */
  readonly options: Pick<GenerateOptions, "signal" | "cacheSalt">;
  /** Ends what still runs. */
  abort(): void;
  /** It has come to its end: the server need not end it any more. */
  done(): void;
}

/** Of requests that are worked on, so that whatever refuses one also ends its work. */
const works = new WeakMap<Request, Work>();

/** Ends the work of a request that has failed, if it had begun: called where errors become answers. */
export const endWork = (request: Request): void => works.get(request)?.abort();

/**
 * Work that ends when the client goes, when its time is over, when the server stops, or when `abort` is called.
 * Refused when the server is stopping or has enough to do.
 */
export function startWork(context: ServeContext, request: Request): Work {
  const { gate, timeout, shutdown } = context;
  const leave = gate.enter();
  const own = new AbortController();
  // Not joined to the signals below: that of the server would remember every request.
  const stop = () => own.abort(stopping());
  const timer = setTimeout(() => own.abort(tooLong(timeout)), timeout).unref();
  const done = () => {
    leave();
    clearTimeout(timer);
    shutdown.removeEventListener("abort", stop);
  };
  if (shutdown.aborted) stop();
  shutdown.addEventListener("abort", stop);
  const signal = AbortSignal.any([own.signal, request.signal]);
  // Each of its generations listens; Node would take more than ten for a leak.
  setMaxListeners(0, signal);
  const work: Work = {
    signal,
    options: { signal, cacheSalt: context.ownerOf(request) },
    abort() {
      done();
      own.abort();
    },
    done,
  };
  works.set(request, work);
  return work;
}

/** Runs all to their ends. */
export async function allResults(
  work: Work,
  generations: readonly Generation[],
): Promise<GenerationResult[]> {
  const results = await Promise.all(generations.map((g) => g.result()));
  work.done();
  return results.map((result) => complete(result, work));
}

/** Runs the only one to its end. */
export async function wholeResult(work: Work, generation: Generation): Promise<GenerationResult> {
  const result = await generation.result();
  work.done();
  return complete(result, work);
}

/** Refuses to pass off a result that was cut short as a whole one. */
export function complete(result: GenerationResult, { signal }: Work): GenerationResult {
  if (result.finishReason !== "abort") return result;
  throw signal.reason instanceof ApiError ? signal.reason : stopping();
}

const tooLong = (ms: number): ApiError =>
  new ApiError(504, `the answer was not complete after ${ms / 1000} s; ask for fewer tokens`, {
    code: "timeout",
  });

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export const usageOf = (prompt: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
});

export const newId = (prefix: string): string => `${prefix}-${randomUUID().replaceAll("-", "")}`;

export const unixTime = (): number => Math.floor(Date.now() / 1000);
