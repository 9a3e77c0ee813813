/**
 * Serves many requests at once: schedule → batch → forward → draw → tell, step by step, for as long as there is
 * anything to do. What comes of a request does not depend on the others. Knows tokens, not text.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import { DenseCache, type KvCache } from "../cache/index.ts";
import { type Choice, SamplingWorkspace } from "../decode/sampling.ts";
import type { Decoder } from "../nn/index.ts";
import type { Device } from "../ops/index.ts";
import { Forward } from "./forward.ts";
import { type EngineOptions, type EngineStats, limitsFrom } from "./options.ts";
import { type GenerateRequest, Generating, type RequestOptions, Scoring } from "./request.ts";
import { type Decision, type Limits, schedule } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";
import { planStep, type StepPlan } from "./step.ts";

/** The global is looked up anew each time. */
const { performance } = globalThis;

/** Milliseconds after which timers and sockets get their turn on this thread. */
const TURN = 10;

export class Engine {
  readonly decoder: Decoder;
  private readonly cache: DenseCache;
  private readonly forward: Forward;
  private readonly workspace: SamplingWorkspace;
  private readonly limits: Limits;
  private readonly keeps: boolean;
  private readonly cacheTokens: number;
  private running: Sequence[] = [];
  private waiting: Sequence[] = [];
  /** Waiting generations by hashes of their prompts: those with equal ones do it together. */
  private readonly alike = new Map<number, Sequence>();
  private nextId = 0;
  private looping = false;
  private woken: (() => void) | undefined;
  private turnDue = 0;
  private closed = false;
  private readonly counts = {
    steps: 0,
    preemptions: 0,
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
  };

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
    this.forward = new Forward(decoder, device, this.cache);
    this.cacheTokens = cacheTokens;
    this.workspace = new SamplingWorkspace(decoder.vocabularySize);
    this.keeps = options.keepPrefixes ?? true;
  }

  /** Draws tokens after the prompt, until `maxTokens`, a token of `ends`, an abort, or the reader's return. */
  generate(request: GenerateRequest): AsyncIterableIterator<Choice> {
    const { prompt, maxTokens, salt = "", priority = 0, timeout } = request;
    this.check(prompt, maxTokens);
    const one = new Generating(request, this.workspace, this.wake);
    const key = hashOf(prompt);
    const same = timeout === undefined ? this.alike.get(key) : undefined;
    if (same?.admits(prompt, salt, priority) && same.width < this.limits.sequences)
      (same.pending as Generating[]).push(one);
    else this.alike.set(key, this.enqueue(request, salt, this.keeps, [one]));
    return one.events;
  }

  /** Logits after each position of a text, some positions at a time: rows [positions, vocabulary]. */
  logits(ids: readonly number[], options: RequestOptions = {}): AsyncIterableIterator<Float32Array> {
    this.check(ids, 0);
    const one = new Scoring(ids, options, this.wake);
    // Its logits are wanted from the first on, so that the cache can give it nothing.
    this.enqueue(options, "", false, [one]);
    return one.events;
  }

  stats(): EngineStats {
    const { capacity, available, kept } = this.cache;
    const count = (all: readonly Sequence[]): number => all.reduce((sum, { width }) => sum + width, 0);
    return {
      ...{ running: count(this.running), waiting: count(this.waiting) },
      blocks: { capacity, available, kept },
      ...this.counts,
    };
  }

  close(): void {
    this.closed = true;
    const error = new FoveaError("the model was closed before the request was complete");
    for (const sequence of [...this.running, ...this.waiting])
      for (const one of sequence.pending) one.end(error);
    this.running = [];
    this.waiting = [];
    this.wake();
    this.cache.close();
  }

  private enqueue(
    { priority = 0, timeout }: RequestOptions,
    salt: string,
    keeps: boolean,
    pending: Generating[] | [Scoring],
  ): Sequence {
    if (this.closed) throw new FoveaError("the model is closed");
    const arrival = performance.now();
    const deadline = timeout === undefined ? undefined : arrival + timeout;
    const cache: KvCache = this.cache;
    const sequence = new Sequence(
      { cache, id: this.nextId++, arrival, priority, deadline, salt, keeps },
      pending,
    );
    this.waiting.push(sequence);
    this.wake();
    return sequence;
  }

  private check(ids: readonly number[], more: number): void {
    const { context } = this.decoder.parts;
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
    if (this.looping || this.closed || this.waiting.length + this.running.length === 0) return;
    this.looping = true;
    void this.loop();
  };

  private async loop(): Promise<void> {
    // Those who ask at the same moment are seen together.
    await undefined;
    while (!this.closed) {
      this.sweep();
      if (this.running.length + this.waiting.length === 0) break;
      const decision = this.decide();
      const { parts, preempted, expired } = decision;
      try {
        if (parts.length > 0) {
          const plan = planStep(parts, this.running);
          this.end(plan, await this.begin(plan));
        } else if (preempted.length + expired.length === 0) await this.sleep();
      } catch (error) {
        if (!this.closed) this.failRunning(error);
      }
      if (performance.now() > this.turnDue) {
        await new Promise((resolve) => setImmediate(resolve));
        this.turnDue = performance.now() + TURN;
      }
    }
    this.looping = false;
  }

  /** Ends what nobody wants any more. */
  private sweep(): void {
    for (const sequence of this.waiting.length > 0 ? [...this.running, ...this.waiting] : this.running) {
      const { pending } = sequence;
      if (!pending.some((one) => one.cancelled)) continue;
      for (const one of pending) if (one.cancelled) one.end(one.abortError);
      const left = (pending as Generating[]).filter((one) => !one.cancelled);
      if (left.length > 0) sequence.pending = left;
      else this.drop(sequence);
    }
  }

  private drop(sequence: Sequence): void {
    sequence.leave();
    this.running = this.running.filter((one) => one !== sequence);
    if (!this.waiting.includes(sequence)) return;
    this.waiting = this.waiting.filter((one) => one !== sequence);
    this.unlist(sequence);
  }

  private unlist(sequence: Sequence): void {
    const key = hashOf(sequence.prompt);
    if (this.alike.get(key) === sequence) this.alike.delete(key);
  }

  /** Lets the scheduler decide, and does all of that but the step. */
  private decide(): Decision {
    const { running, waiting } = this;
    if (waiting.length > 0) this.defer();
    const decision = schedule(
      { now: performance.now(), available: this.cache.available, running, waiting },
      this.limits,
    );
    const { expired, preempted, admitted } = decision;
    for (const id of expired) {
      const sequence = [...running, ...waiting].find((one) => one.id === id)!;
      for (const one of sequence.pending)
        one.end(new FoveaError("the request did not come to its end within its time"));
      this.drop(sequence);
    }
    for (const id of preempted) {
      const sequence = running.find((one) => one.id === id)!;
      this.drop(sequence);
      this.waiting.push(sequence);
      this.counts.preemptions++;
    }
    for (const id of admitted) {
      const sequence = waiting.find((one) => one.id === id)!;
      this.waiting = this.waiting.filter((one) => one !== sequence);
      this.unlist(sequence);
      const first = sequence.hit === undefined;
      sequence.enter();
      this.running.push(sequence);
      if (!first) continue;
      this.counts.promptTokens += sequence.prompt.length;
      this.counts.cachedTokens += sequence.hit ?? 0;
    }
    return decision;
  }

  /** Lets those wait on whose beginning is being computed for another. */
  private defer(): void {
    const busy = this.running.filter((one) => one.known - one.length > 1);
    for (const one of this.waiting) {
      one.forget();
      one.deferred = one.parts.keeps && busy.some((other) => one.follows(other));
    }
  }

  /** Starts a step; what needs no logits is done while the device works. */
  private begin({ parts, rows, single, sequences }: StepPlan): Promise<Float32Array> {
    this.counts.steps++;
    const logits = single ? this.forward.decode(parts) : this.forward.mixed(parts, rows);
    for (const { pending } of sequences)
      for (const one of pending) if (one instanceof Generating) one.prepare();
    return logits;
  }

  private end({ parts, sequences, ends }: StepPlan, logits: Float32Array): void {
    if (this.closed) return;
    const size = this.decoder.vocabularySize;
    for (let i = 0, first = 0; i < sequences.length; first = ends[i++]!) {
      const count = ends[i]! - first;
      const own = sequences.length === 1 ? logits : logits.subarray(first * size, ends[i]! * size);
      if (parts[i]!.ids.length > 1) this.cache.settle(sequences[i]!.place!);
      if (count > 0) this.tell(sequences[i]!, own, count);
    }
  }

  /** Gives a sequence its logits: those of a generation's last token, or `count` rows of a text. */
  private tell(sequence: Sequence, logits: Float32Array, count: number): void {
    const { pending } = sequence;
    const [one] = pending;
    if (one instanceof Generating) {
      const generations = pending as Generating[];
      // The prompt is done: from here everybody goes his own way.
      const twins = generations.splice(1).map((other) => this.twin(sequence, other));
      this.draw(sequence, one, logits);
      for (const twin of twins) this.draw(twin, twin.pending[0] as Generating, logits);
    } else if (one?.take(logits, count)) this.finish(sequence);
  }

  private twin(sequence: Sequence, one: Generating): Sequence {
    const { parts, place, hit } = sequence;
    const twin = new Sequence({ ...parts, id: this.nextId++ }, [one], this.cache.fork(place!));
    twin.hit = hit;
    this.running.push(twin);
    return twin;
  }

  private draw(sequence: Sequence, one: Generating, logits: Float32Array): void {
    if (one.cancelled) return;
    try {
      if (one.generated.length === 0) one.request.onPrompt?.(sequence.hit ?? 0);
      this.counts.generatedTokens++;
      if (one.take(logits)) this.finish(sequence);
    } catch (error) {
      this.finish(sequence, error);
    }
  }

  private finish(sequence: Sequence, error?: unknown): void {
    for (const one of sequence.pending) one.end(error);
    this.drop(sequence);
  }

  /** A step has failed: nobody knows what the cache holds of those who were in it. */
  private failRunning(error: unknown): void {
    for (const sequence of this.running) this.finish(sequence, error);
  }

  /** Until somebody wakes the engine, or a request is too late. */
  private async sleep(): Promise<void> {
    const deadlines = [...this.running, ...this.waiting].flatMap(({ deadline }) => deadline ?? []);
    await new Promise<void>((resolve) => {
      const timer =
        deadlines.length > 0
          ? setTimeout(resolve, Math.max(1, Math.min(...deadlines) - performance.now()))
          : undefined;
      this.woken = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** 32 bits of the tokens (FNV-1a, by words). */
function hashOf(ids: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193);
  return hash;
}
