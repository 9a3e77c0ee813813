/**
 * Who runs and who waits: takes requests in, does what the scheduler decides about them, and ends what nobody wants
 * any more. Knows the cache as the room that sequences take; no model, no logits.
 */
import { FoveaError } from "../base/errors.ts";
import type { KvCache } from "../cache/index.ts";
import type { GenerateRequest, Generating, RequestOptions, Scoring } from "./request.ts";
import { type Decision, type Limits, schedule } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";

/** The global is a getter: a binding of our own saves its calls. */
const { performance } = globalThis;

export class Queues {
  running: Sequence[] = [];
  waiting: Sequence[] = [];
  readonly counts = { preemptions: 0, promptTokens: 0, cachedTokens: 0 };
  private readonly cache: KvCache;
  private readonly limits: Limits;
  private readonly keeps: boolean;
  /** Waiting generations by hashes of their prompts: those with equal ones do it together. */
  private readonly alike = new Map<number, Sequence>();
  private nextId = 0;

  /** @param keeps whether the cache keeps beginnings of generations for later ones */
  constructor(cache: KvCache, limits: Limits, keeps: boolean) {
    this.cache = cache;
    this.limits = limits;
    this.keeps = keeps;
  }

  get empty(): boolean {
    return this.running.length + this.waiting.length === 0;
  }

  get all(): Sequence[] {
    return [...this.running, ...this.waiting];
  }

  generate(request: GenerateRequest, one: Generating): void {
    const { prompt, salt = "", timeout } = request;
    const key = hashOf(prompt);
    const same = timeout === undefined ? this.alike.get(key) : undefined;
    if (same?.admits(request) && same.width < this.limits.sequences) (same.pending as Generating[]).push(one);
    else this.alike.set(key, this.enqueue(request, salt, this.keeps, [one]));
  }

  score(options: RequestOptions, one: Scoring): void {
    // Its logits are wanted from the first on, so that the cache can give it nothing.
    this.enqueue(options, "", false, [one]);
  }

  /** A generation whose prompt a sequence has done goes its own way from here. */
  twin(sequence: Sequence, one: Generating): Sequence {
    const { parts, place, hit } = sequence;
    const twin = new Sequence({ ...parts, id: this.nextId++ }, [one], this.cache.fork(place!));
    twin.hit = hit;
    this.running.push(twin);
    return twin;
  }

  /** Lets the scheduler decide, and does all of that but the step. */
  decide(): Decision {
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

  /** Ends what nobody wants any more. */
  sweep(): void {
    for (const sequence of this.waiting.length > 0 ? this.all : this.running) {
      const { pending } = sequence;
      if (!pending.some((one) => one.cancelled)) continue;
      for (const one of pending) if (one.cancelled) one.end(one.abortError);
      const left = (pending as Generating[]).filter((one) => !one.cancelled);
      if (left.length > 0) sequence.pending = left;
      else this.drop(sequence);
    }
  }

  /** A sequence is done, or has failed. */
  finish(sequence: Sequence, error?: unknown): void {
    for (const one of sequence.pending) one.end(error);
    this.drop(sequence);
  }

  /** Fails all, and forgets them as they are: the cache is about to be closed. */
  close(error: FoveaError): void {
    for (const sequence of this.all) for (const one of sequence.pending) one.end(error);
    this.running = [];
    this.waiting = [];
  }

  private enqueue(
    { priority = 0, timeout }: RequestOptions,
    salt: string,
    keeps: boolean,
    pending: Generating[] | [Scoring],
  ): Sequence {
    const arrival = performance.now();
    const deadline = timeout === undefined ? undefined : arrival + timeout;
    const { cache } = this;
    const sequence = new Sequence(
      { cache, id: this.nextId++, arrival, priority, deadline, salt, keeps },
      pending,
    );
    this.waiting.push(sequence);
    return sequence;
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

  /** Lets those wait on whose beginning is being computed for another. */
  private defer(): void {
    const busy = this.running.filter((one) => one.known - one.length > 1);
    for (const one of this.waiting) {
      one.forget();
      one.deferred = one.parts.keeps && busy.some((other) => one.follows(other));
    }
  }
}

/** 32 bits of the tokens (FNV-1a, by words). */
function hashOf(ids: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193);
  return hash;
}
