/**
 * What the next step does: a pure function from the requests, the budgets and the free blocks of the cache to tokens
 * for each sequence. Knows numbers only: no tokens, no cache, no model, no clock.
 *
 * Everybody stands in one order of rank, running or waiting: first those who have waited beyond the patience, then by
 * priority, then by arrival. Who is first gets what it needs, and nobody passes a waiting request that does not fit.
 */

/** What decides the rank of a request. */
export interface Ranked {
  readonly id: number;
  /** When it came; of any unit, the same as `now`. Of equal ones the smaller `id` is earlier. */
  readonly arrival: number;
  /** Larger is sooner. */
  readonly priority: number;
  /** When it is too late; absent: never. */
  readonly deadline?: number | undefined;
  /** Its reader is far behind: it gets no tokens, and gives way to everybody. */
  readonly paused?: boolean;
}

/** A sequence that is in the cache. */
export interface RunningSequence extends Ranked {
  /** Tokens that the cache has. */
  readonly length: number;
  /** Tokens that there are: the prompt and what has been drawn. The difference is to be run. */
  readonly known: number;
  /** Blocks that it holds, shared ones too. */
  readonly blocks: number;
  /** Whether its next token needs a block beyond those, because the last one is shared and must be copied. */
  readonly copies: boolean;
  /** Blocks that can be taken by others when it is preempted. */
  readonly own: number;
  /** Sequences that it becomes when its prompt is done. */
  readonly width: number;
}

/** A request that is not in the cache, for the first time or again. */
export interface WaitingRequest extends Ranked {
  readonly known: number;
  readonly width: number;
  /** How many of its tokens the cache has kept, whole blocks of them. */
  readonly cached: number;
  /** How many of those blocks nobody uses now: they count as free until it does. */
  readonly idle: number;
}

export interface Limits {
  /** Tokens in one step; more than `sequences`. */
  readonly tokens: number;
  /** Sequences that run at once. */
  readonly sequences: number;
  /** Positions in a block. */
  readonly block: number;
  /** How long a request waits for one that came later, if that has a higher priority. */
  readonly patience: number;
}

export interface Situation {
  readonly now: number;
  /** Blocks that are free, or kept for nobody in particular. */
  readonly available: number;
  readonly running: readonly RunningSequence[];
  readonly waiting: readonly WaitingRequest[];
}

/** Plain data: to be done in this order. */
export interface Decision {
  /** Too late: to be ended. */
  readonly expired: readonly number[];
  /** To be put out of the cache, and to wait with the tokens that they have. */
  readonly preempted: readonly number[];
  /** To be put into the cache, in this order. */
  readonly admitted: readonly number[];
  /** The step: so many tokens of each, those with a single token first. */
  readonly parts: readonly { readonly id: number; readonly tokens: number }[];
}

/** Blocks that hold so many positions. */
const blocksOf = (tokens: number, { block }: Limits): number => Math.ceil(tokens / block);

/** Smaller is better; a class above all priorities for those who have waited too long, one below for the paused. */
function classOf({ arrival, priority, paused }: Ranked, now: number, { patience }: Limits): number {
  if (paused) return Number.POSITIVE_INFINITY;
  return now - arrival >= patience ? Number.NEGATIVE_INFINITY : -priority;
}

/** Negative when `a` ranks before `b`. */
export function compareRank(a: Ranked, b: Ranked, now: number, limits: Limits): number {
  const [first, second] = [classOf(a, now, limits), classOf(b, now, limits)];
  if (first !== second) return first < second ? -1 : 1;
  return a.arrival - b.arrival || a.id - b.id;
}

export function schedule(situation: Situation, limits: Limits): Decision {
  return steady(situation) ?? new Scheduling(situation, limits).decide();
}

/** The usual step, at once: everybody writes, nobody waits or can be late, and there are blocks for all. */
function steady({ available, running, waiting }: Situation): Decision | undefined {
  if (waiting.length > 0 || 2 * running.length > available) return undefined;
  for (const one of running) if (!isSingle(one) || one.deadline !== undefined) return undefined;
  const parts = running.map(({ id }) => ({ id, tokens: 1 }));
  return { expired: [], preempted: [], admitted: [], parts };
}

class Scheduling {
  private readonly limits: Limits;
  private readonly now: number;
  private available: number;
  /** Whether somebody has given blocks away in this step. */
  private released = false;
  /** Running sequences by rank. Those from `end` on have been preempted, those before `next` have got their part. */
  private readonly order: RunningSequence[];
  private next = 0;
  private end: number;
  private readonly waiting: WaitingRequest[];
  private slots: number;
  /** Tokens left for prompts: every running sequence that needs a single token gets it. */
  private tokens: number;
  /** Blocks that each of `order` takes in this step. */
  private readonly granted: number[];
  /** Blocks that those who were let in need later. */
  private promised = 0;
  private readonly expired: number[] = [];
  private readonly preempted: number[] = [];
  private readonly admitted: number[] = [];
  private readonly singles: Decision["parts"][number][] = [];
  private readonly prompts: Decision["parts"][number][] = [];

  constructor({ now, available, running, waiting }: Situation, limits: Limits) {
    this.limits = limits;
    this.now = now;
    this.available = available;
    this.order = this.inTime(running);
    if (this.expired.length > 0)
      for (const { id, own } of running) if (this.expired.includes(id)) this.release(own);
    if (this.order.length > 1) this.order.sort((a, b) => compareRank(a, b, now, limits));
    this.end = this.order.length;
    this.granted = this.order.map(() => 0);
    this.waiting = waiting.length > 0 ? this.inTime(waiting).filter((one) => !one.paused) : [];
    this.slots = limits.sequences;
    this.tokens = limits.tokens;
    for (const one of this.order) {
      this.slots -= one.width;
      if (isSingle(one)) this.tokens--;
    }
  }

  decide(): Decision {
    let head = this.best();
    while (this.next < this.end || head) {
      const running = this.next < this.end ? this.order[this.next] : undefined;
      if (head && (!running || compareRank(head, running, this.now, this.limits) < 0))
        head = this.admit(head) ? this.best() : undefined; // nobody passes one that does not fit
      else if (running) this.grow(running);
    }
    const { expired, preempted, admitted } = this;
    return { expired, preempted, admitted, parts: [...this.singles, ...this.prompts] };
  }

  private inTime<T extends Ranked>(all: readonly T[]): T[] {
    return all.filter(({ id, deadline }) => {
      const late = deadline !== undefined && deadline <= this.now;
      if (late) this.expired.push(id);
      return !late;
    });
  }

  /** Takes the first in rank out of those who wait. */
  private best(): WaitingRequest | undefined {
    const { waiting, now, limits } = this;
    if (waiting.length === 0) return undefined;
    let best = 0;
    for (let i = 1; i < waiting.length; i++)
      if (compareRank(waiting[i]!, waiting[best]!, now, limits) < 0) best = i;
    const [found] = waiting.splice(best, 1);
    return found;
  }

  /** Gives a running sequence its tokens, at the cost of those behind it if the blocks do not suffice. */
  private grow(one: RunningSequence): void {
    const index = this.next++;
    const missing = one.known - one.length;
    if (one.paused || missing < 1) return;
    const single = isSingle(one);
    let tokens = single ? 1 : Math.min(missing, this.tokens);
    if (tokens < 1) return;
    const needed = (count: number): number =>
      blocksOf(one.length + count, this.limits) - one.blocks + Number(one.copies);
    while (needed(tokens) > this.available && this.end > this.next) this.preemptLast();
    // The last of all waits for blocks with what it has, or does a part of its prompt.
    if (needed(tokens) > this.available)
      tokens = (one.blocks + this.available - Number(one.copies)) * this.limits.block - one.length;
    if (tokens < 1) return;
    this.granted[index] = needed(tokens);
    this.available -= needed(tokens);
    if (!single) this.tokens -= tokens;
    (single ? this.singles : this.prompts).push({ id: one.id, tokens });
  }

  /** Lets a request in if its whole prompt fits beside what the others are about to need. */
  private admit(one: WaitingRequest): boolean {
    const { limits, now } = this;
    if (this.tokens < 1) return false;
    const rank = classOf(one, now, limits);
    const kept = one.cached / limits.block;
    // Sequences of a lower class give way, from the last one; whether that helps is found out first.
    let [end, slots, blocks] = [this.end, this.slots, this.available];
    // Blocks that it shares with those who give way become idle then; all may be of that kind.
    const idle = (): number => (this.released || end < this.end ? kept : one.idle);
    let reserved = this.promised;
    for (let i = 0; i < end; i++) {
      const other = this.order[i]!;
      if (classOf(other, now, limits) <= rank) reserved += this.outstanding(other) - this.granted[i]!;
    }
    const fits = (): boolean =>
      slots >= one.width &&
      // Alone it may have everything: that it fits was seen when it came.
      (blocks >= blocksOf(one.known, limits) - kept + idle() + one.width + reserved ||
        (end === 0 && this.admitted.length === 0));
    while (!fits() && end > this.next && classOf(this.order[end - 1]!, now, limits) > rank) {
      const victim = this.order[--end]!;
      slots += victim.width;
      blocks += victim.own;
    }
    if (!fits()) return false;
    const taken = idle();
    while (this.end > end) this.preemptLast();
    const room = (kept + this.available - taken) * limits.block - one.cached;
    const tokens = Math.min(one.known - one.cached, this.tokens, room);
    if (tokens < 1) return false;
    const blocksNow = blocksOf(one.cached + tokens, limits) - kept;
    this.admitted.push(one.id);
    this.slots -= one.width;
    this.tokens -= tokens;
    this.available -= blocksNow + taken;
    this.promised += blocksOf(one.known, limits) - kept - blocksNow + one.width;
    this.prompts.push({ id: one.id, tokens });
    return true;
  }

  /** Blocks that a running sequence needs for its prompt, and one to go on. */
  private outstanding({ known, blocks, width, copies }: RunningSequence): number {
    return Math.max(0, blocksOf(known, this.limits) - blocks) + Number(copies) + width;
  }

  private preemptLast(): void {
    const victim = this.order[--this.end]!;
    this.preempted.push(victim.id);
    this.release(victim.own);
    this.slots += victim.width;
    if (isSingle(victim)) this.tokens++;
  }

  private release(blocks: number): void {
    this.available += blocks;
    this.released = true;
  }
}

/** Whether a sequence writes, token by token; a prompt of one token counts as one too. */
const isSingle = ({ known, length, paused }: RunningSequence): boolean => !paused && known - length === 1;
