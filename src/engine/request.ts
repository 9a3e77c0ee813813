/** What a caller asks of the engine, and what comes of it: tokens drawn one by one, or logits of a whole text. */
import type { TokenMask } from "../decode/mask.ts";
import { type Choice, Sampler, type Sampling, type SamplingWorkspace, sumsOf } from "../decode/sampling.ts";
import { EventQueue } from "./events.ts";

/** What all kinds of requests may say. */
export interface RequestOptions {
  /** Ends it without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Larger is sooner; default 0. */
  readonly priority?: number | undefined;
  /** Milliseconds from now; one that has not ended by then fails. */
  readonly timeout?: number | undefined;
}

export interface GenerateRequest extends RequestOptions {
  readonly prompt: readonly number[];
  readonly sampling: Sampling;
  /** Tokens to draw at most, and those that end it. */
  readonly maxTokens: number;
  readonly ends?: ReadonlySet<number> | undefined;
  /** Only requests with the same salt share what the cache keeps; default the empty one. */
  readonly salt?: string | undefined;
  readonly mask?: TokenMask | undefined;
  /** Called when the whole prompt has been processed; `cached`: tokens of it that the cache had. */
  readonly onPrompt?: ((cached: number) => void) | undefined;
}

/** Tokens drawn that a reader may be behind with, and rows of logits (in steps), before the engine waits for him. */
const LEAD = { tokens: 64, rows: 2 };

/** A request under way, whatever its kind. */
abstract class Pending<T> {
  readonly events: EventQueue<T>;
  readonly signal: AbortSignal | undefined;
  /** Whether the reader has gone. */
  private left = false;

  /** @param wake called when something happened that the engine must look at */
  constructor({ signal }: RequestOptions, wake: () => void) {
    this.signal = signal;
    this.events = new EventQueue<T>(
      () => this.paused || wake(),
      () => {
        this.left = true;
        wake();
      },
    );
  }

  abstract get paused(): boolean;

  get cancelled(): boolean {
    return this.left || this.signal?.aborted === true;
  }

  /** What an abort ends it with; undefined: nothing. */
  get abortError(): unknown {
    return undefined;
  }

  end(error?: unknown): void {
    if (error === undefined) this.events.end();
    else this.events.fail(error);
  }
}

export class Generating extends Pending<Choice> {
  readonly request: GenerateRequest;
  readonly generated: number[] = [];
  /** See `sumsOf`. */
  readonly sums: readonly [logprobs: number, draw: number];
  private readonly sampler: Sampler;
  private allowed: Uint32Array | undefined;
  private failure: unknown;

  constructor(request: GenerateRequest, workspace: SamplingWorkspace, wake: () => void) {
    super(request, wake);
    this.request = request;
    this.sampler = new Sampler(request.sampling, workspace);
    this.sums = sumsOf(request.sampling);
  }

  get paused(): boolean {
    return this.events.unread >= LEAD.tokens;
  }

  /** What can be done for the next token while the model runs. What goes wrong is told when that is drawn. */
  prepare(): void {
    if (this.request.mask === undefined) return;
    try {
      this.allowed ??= this.request.mask.allowed();
    } catch (error) {
      this.failure = error;
    }
  }

  /** Draws a token and tells it; true when it was the last. `summary`: what is known of the blocks of the logits. */
  take(logits: Float32Array, summary: Float32Array | undefined): boolean {
    if (this.failure !== undefined) throw this.failure;
    const { generated, request, allowed } = this;
    const { prompt, maxTokens, ends, mask } = request;
    const position = prompt.length + generated.length;
    const context = { prompt, generated, position };
    const choice = this.sampler.next(logits, allowed ? { ...context, allowed } : context, summary);
    this.allowed = undefined;
    generated.push(choice.token);
    this.events.push(choice);
    if (generated.length >= maxTokens || ends?.has(choice.token)) return true;
    mask?.accept(choice.token);
    return mask?.finished === true;
  }
}

export class Scoring extends Pending<Float32Array> {
  readonly ids: readonly number[];
  /** Positions whose logits have been told. */
  told = 0;

  constructor(ids: readonly number[], options: RequestOptions, wake: () => void) {
    super(options, wake);
    this.ids = ids;
  }

  get paused(): boolean {
    return this.events.unread >= LEAD.rows;
  }

  /** A part of the rows is of no use to anybody. */
  override get abortError(): unknown {
    return this.signal?.aborted ? this.signal.reason : undefined;
  }

  /** Tells the logits of the next positions; true when they were the last. */
  take(rows: Float32Array, count: number): boolean {
    this.told += count;
    this.events.push(rows);
    return this.told >= this.ids.length;
  }
}
