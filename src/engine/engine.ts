/**
 * Serves many requests at once: schedule → batch → forward → draw → tell, step by step, for as long as there is
 * anything to do. What comes of a request does not depend on the others. Knows tokens, not text.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import { DenseCache } from "../cache/index.ts";
import { type Choice, SamplingWorkspace } from "../decode/sampling.ts";
import type { Decoder, Logits } from "../nn/index.ts";
import type { Device } from "../ops/index.ts";
import { Forward } from "./forward.ts";
import { isPrefill, mapOf, partsOf, sequencesOf } from "./observe.ts";
import { type EngineOptions, limitsFrom } from "./options.ts";
import { Queues } from "./queues.ts";
import type { EngineSnapshot, EngineStats, StepRecord } from "./report.ts";
import { type GenerateRequest, Generating, type RequestOptions, Scoring } from "./request.ts";
import type { Decision, Limits } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";
import { planStep, type StepPlan } from "./step.ts";

/** The global is a getter: a binding of our own saves its calls. */
const { performance } = globalThis;

/** Milliseconds after which timers and sockets get their turn on this thread. */
const TURN = 10;
/** Milliseconds that a timer can measure; a longer one would be over at once. */
const LONGEST = 2 ** 31 - 1;

export class Engine {
  readonly decoder: Decoder;
  /** Tokens that the cache may hold: no request gets more. */
  readonly cacheTokens: number;
  /** Told of each step when it is done. */
  observer: ((record: StepRecord) => void) | undefined;
  private readonly cache: DenseCache;
  private readonly forward: Forward;
  private readonly workspace: SamplingWorkspace;
  private readonly queues: Queues;
  private readonly limits: Limits;
  private looping = false;
  private woken: (() => void) | undefined;
  private turnDue = 0;
  private closed = false;
  private readonly counts = { steps: 0, stepMs: 0, prefillTokens: 0, generatedTokens: 0 };

  constructor(decoder: Decoder, device: Device, options: EngineOptions) {
    const { cacheFormat, cacheTokens } = options;
    this.limits = limitsFrom(options, DenseCache.block);
    this.decoder = decoder;
    // Blocks more, so that a text of all those tokens can also copy one.
    this.cache = new DenseCache(device, decoder.parts.cacheLayers, {
      format: cacheFormat,
      capacity: (Math.ceil(cacheTokens / DenseCache.block) + 2) * DenseCache.block,
      lengthKey: (length) => decoder.lengthKey(length),
      sharedAttention: options.sharedAttention ?? true,
    });
    this.forward = new Forward(decoder, device, this.cache, { precision: options.precision });
    this.cacheTokens = cacheTokens;
    this.workspace = new SamplingWorkspace(decoder.vocabularySize);
    this.queues = new Queues(this.cache, this.limits, options.keepPrefixes ?? true);
  }

  /** Draws tokens after the prompt, until `maxTokens`, a token of `ends`, an abort, or the reader's return. */
  generate(request: GenerateRequest): AsyncIterableIterator<Choice> {
    this.check(request.prompt, request.maxTokens);
    const one = new Generating(request, this.workspace, this.wake);
    this.queues.generate(request, one);
    this.wake();
    return one.events;
  }

  /** Logits after each position of a text, some positions at a time: rows [positions, vocabulary]. */
  logits(ids: readonly number[], options: RequestOptions = {}): AsyncIterableIterator<Float32Array> {
    this.check(ids, 0);
    const one = new Scoring(ids, options, this.wake);
    this.queues.score(options, one);
    this.wake();
    return one.events;
  }

  stats(): EngineStats {
    const { running, waiting, counts } = this.queues;
    const count = (all: readonly Sequence[]): number => all.reduce((sum, { width }) => sum + width, 0);
    return {
      ...{ running: count(running), waiting: count(waiting) },
      blocks: this.cache.counts(),
      ...{ ...this.counts, ...counts },
    };
  }

  /** How things stand, with each sequence and block. */
  snapshot(): EngineSnapshot {
    const { running, waiting } = this.queues;
    const { sequences, tokens: stepTokens, block } = this.limits;
    return {
      at: Date.now(),
      limits: { sequences, stepTokens, block },
      stats: this.stats(),
      sequences: sequencesOf(running, waiting),
      blocks: mapOf(this.cache.users()),
    };
  }

  /** The clock of all that is told of times. */
  now(): number {
    return performance.now();
  }

  close(): void {
    this.closed = true;
    this.queues.close(new FoveaError("the model was closed before the request was complete"));
    this.wake();
    this.cache.close();
  }

  private check(ids: readonly number[], more: number): void {
    const { context } = this.decoder.parts;
    if (this.closed) throw new FoveaError("the model is closed");
    if (ids.length === 0) throw new ParameterError("prompt", "is empty; give at least one token");
    if (ids.length > context)
      throw new ParameterError("prompt", `has ${ids.length} tokens, but the model's context is ${context}`);
    const size = this.decoder.vocabularySize;
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= size);
    if (bad !== undefined) throw new ParameterError("ids", `${bad} is no token of the vocabulary of ${size}`);
    const room = this.cacheTokens;
    if (ids.length + more > room)
      throw new ParameterError(
        more > 0 ? "maxTokens" : "prompt",
        `${ids.length} tokens of the prompt and ${more} new ones exceed the cache of ${room}; open the model with more cacheTokens`,
      );
  }

  private readonly wake = (): void => {
    this.woken?.();
    this.woken = undefined;
    if (this.looping || this.closed || this.queues.empty) return;
    this.looping = true;
    void this.loop();
  };

  private async loop(): Promise<void> {
    // Those who ask at the same moment are seen together.
    await undefined;
    const { queues } = this;
    while (!this.closed) {
      queues.sweep();
      if (queues.empty) break;
      let decision: Decision | undefined;
      try {
        decision = queues.decide();
        const { parts, preempted, expired } = decision;
        if (parts.length > 0) {
          await this.step(planStep(parts, queues.running));
        } else if (preempted.length + expired.length === 0) await this.sleep();
      } catch (error) {
        // Nobody knows what the cache holds after half a step; without a decision there is no going on.
        const failed = decision ? queues.running : queues.all;
        if (!this.closed) {
          for (const sequence of failed) queues.finish(sequence, error);
          this.cache.forget();
        }
      }
      if (performance.now() > this.turnDue) {
        await new Promise((resolve) => setImmediate(resolve));
        this.turnDue = performance.now() + TURN;
      }
    }
    this.looping = false;
  }

  private async step(plan: StepPlan): Promise<void> {
    const begun = performance.now();
    const logits = this.begin(plan);
    const parts = this.observer && partsOf(plan);
    this.end(plan, await logits);
    const ms = performance.now() - begun;
    this.counts.stepMs += ms;
    if (parts) this.observer?.({ step: this.counts.steps, ms, parts });
  }

  /** Starts a step; what needs no logits is done while the device works. */
  private begin({ parts, rows, scales, single, sequences }: StepPlan): Promise<Logits> {
    this.counts.steps++;
    for (const part of parts) if (isPrefill(part)) this.counts.prefillTokens += part.ids.length;
    const logits =
      single && scales ? this.forward.decode(parts, scales) : this.forward.mixed(parts, rows, scales);
    for (const { pending } of sequences)
      for (const one of pending) if (one instanceof Generating) one.prepare();
    return logits;
  }

  private end({ parts, sequences, ends }: StepPlan, logits: Logits): void {
    if (this.closed) return;
    const alone = sequences.length === 1;
    const all = ends.at(-1)!;
    const part = (of: Float32Array, first: number, end: number): Float32Array =>
      alone ? of : of.subarray((first * of.length) / all, (end * of.length) / all);
    const { rows, summary } = logits;
    for (let i = 0, first = 0; i < sequences.length; first = ends[i++]!) {
      const [end, count] = [ends[i]!, ends[i]! - first];
      if (parts[i]!.ids.length > 1) this.cache.settle(sequences[i]!.place!);
      if (count > 0)
        this.tell(
          sequences[i]!,
          { rows: part(rows, first, end), summary: summary && part(summary, first, end) },
          count,
        );
    }
  }

  /** Gives a sequence its logits: those of a generation's last token, or `count` rows of a text. */
  private tell(sequence: Sequence, logits: Logits, count: number): void {
    const { pending } = sequence;
    const [one] = pending;
    if (one instanceof Generating) {
      const generations = pending as Generating[];
      // The prompt is done: from here everybody goes his own way.
      const twins = generations.splice(1).map((other) => this.queues.twin(sequence, other));
      this.draw(sequence, one, logits);
      for (const twin of twins) this.draw(twin, twin.pending[0] as Generating, logits);
    } else if (one?.take(logits.rows, count)) this.queues.finish(sequence);
  }

  private draw(sequence: Sequence, one: Generating, logits: Logits): void {
    if (one.cancelled) return;
    try {
      if (one.generated.length === 0) one.request.onPrompt?.(sequence.hit ?? 0);
      this.counts.generatedTokens++;
      if (one.take(logits.rows, logits.summary)) this.queues.finish(sequence);
    } catch (error) {
      this.queues.finish(sequence, error);
    }
  }

  /** Until somebody wakes the engine, or a request is aborted or too late. */
  private async sleep(): Promise<void> {
    const { all } = this.queues;
    const deadlines = all.flatMap(({ deadline }) => deadline ?? []);
    // Otherwise signals are looked at in each step: a listener for each request would be many for one signal.
    const signals = new Set(all.flatMap(({ pending }) => pending.map((one) => one.signal)));
    const wait = Math.max(1, Math.min(LONGEST, Math.min(...deadlines) - performance.now()));
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.woken = resolve;
      if (deadlines.length > 0) timer = setTimeout(this.wake, wait);
      for (const signal of signals) signal?.addEventListener("abort", this.wake);
    });
    clearTimeout(timer);
    for (const signal of signals) signal?.removeEventListener("abort", this.wake);
  }
}
