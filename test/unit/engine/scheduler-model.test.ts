/**
 * The scheduler in a world of its own: random requests come, leave and stall over a cache of a few blocks, with
 * prefixes in common, forks and copies. Whatever happens, the books balance, and everybody comes to an end.
 */
import { describe, expect, it } from "vitest";
import { compareRank, type Limits, schedule } from "../../../src/engine/scheduler.ts";
import { Random } from "../../support/random.ts";

interface Request {
  readonly id: number;
  readonly arrival: number;
  readonly priority: number;
  readonly deadline: number | undefined;
  readonly prompt: number;
  /** Tokens to draw. */
  readonly length: number;
  width: number;
  drawn: number;
  paused: boolean;
  /** In the cache: tokens, and its blocks by number. */
  held: { length: number; blocks: number[] } | undefined;
  /** Requests of a family begin with the same tokens. */
  readonly family: number;
}

class World {
  readonly limits: Limits;
  readonly capacity: number;
  private readonly random: Random;
  private readonly free: number[];
  private readonly users: number[];
  /** Kept prefixes: for each family, the block of each of its first positions. */
  private readonly kept = new Map<number, number[]>();
  now = 0;
  private nextId = 0;
  waiting: Request[] = [];
  running: Request[] = [];
  ended = 0;
  came = 0;
  readonly events = { preempted: 0, aborted: 0, expired: 0, hits: 0, forks: 0, copies: 0, starved: 0 };

  constructor(seed: number) {
    this.random = new Random(seed);
    const r = this.random;
    const sequences = r.int(1, 6);
    this.limits = {
      sequences,
      tokens: sequences + r.int(1, 40),
      block: r.pick([1, 2, 4, 8]),
      patience: r.pick([5, 40, 400]),
    };
    this.capacity = r.int(8, 40);
    this.free = Array.from({ length: this.capacity }, (_, i) => i);
    this.users = this.free.map(() => 0);
  }

  arrive(): void {
    const { random: r, limits } = this;
    const most = (this.capacity - 1) * limits.block;
    const prompt = r.int(1, Math.max(1, Math.floor(most / 2)));
    const request: Request = {
      ...{ id: this.nextId++, arrival: this.now, priority: r.int(0, 2), prompt },
      deadline: r.next() < 0.05 ? this.now + r.int(0, 60) : undefined,
      length: r.int(1, Math.max(1, most - prompt)),
      width: r.next() < 0.2 ? r.int(1, limits.sequences) : 1,
      ...{ drawn: 0, paused: false, held: undefined, family: r.int(0, 3) },
    };
    this.came += request.width;
    this.waiting.push(request);
  }

  private isKept(block: number): boolean {
    for (const blocks of this.kept.values()) if (blocks.includes(block)) return true;
    return false;
  }

  /** Blocks of a family's prefix that fit a request, always leaving one token to run. */
  private match(one: Request): number[] {
    const most = Math.floor((one.prompt - 1) / this.limits.block);
    return (this.kept.get(one.family) ?? []).slice(0, most);
  }

  private take(): number {
    let block = this.free.pop();
    if (block === undefined) {
      // The last block of a prefix that nobody uses.
      for (const blocks of this.kept.values()) {
        const last = blocks.at(-1);
        if (last !== undefined && this.users[last] === 0) {
          blocks.pop();
          block = last;
          break;
        }
      }
    }
    if (block === undefined) throw new Error("the scheduler gave out more blocks than there are");
    this.users[block] = 1;
    return block;
  }

  private give(block: number): void {
    if (--this.users[block]! === 0 && !this.isKept(block)) this.free.push(block);
  }

  private leave(one: Request): void {
    for (const block of one.held?.blocks ?? []) this.give(block);
    one.held = undefined;
    this.running = this.running.filter((other) => other !== one);
    this.waiting = this.waiting.filter((other) => other !== one);
  }

  private end(one: Request): void {
    this.leave(one);
    this.ended += one.width;
  }

  /** Somebody leaves, somebody stops reading, somebody goes on. */
  disturb(): void {
    const all = [...this.waiting, ...this.running];
    if (all.length === 0) return;
    const one = this.random.pick(all);
    if (this.random.next() < 0.3) {
      this.events.aborted++;
      this.end(one);
    } else if (one.drawn > 0) one.paused = !one.paused;
  }

  wake(): void {
    for (const one of [...this.waiting, ...this.running]) one.paused = false;
  }

  private copies(one: Request): boolean {
    const { length, blocks } = one.held!;
    return length % this.limits.block !== 0 && this.users[blocks.at(-1)!]! > 1;
  }

  step(): void {
    const { limits } = this;
    this.now++;
    const idle = [...this.kept.values()].flat().filter((block) => this.users[block] === 0);
    const available = this.free.length + idle.length;
    const running = this.running.map((one) => ({
      ...{ id: one.id, arrival: one.arrival, priority: one.priority, deadline: one.deadline },
      ...{ paused: one.paused, width: one.width, length: one.held!.length, known: one.prompt + one.drawn },
      ...{ blocks: one.held!.blocks.length, copies: this.copies(one) },
      own: one.held!.blocks.filter((block) => this.users[block] === 1).length,
    }));
    const waiting = this.waiting.map((one) => {
      const blocks = this.match(one);
      return {
        ...{ id: one.id, arrival: one.arrival, priority: one.priority, deadline: one.deadline },
        ...{ paused: one.paused, width: one.width, known: one.prompt + one.drawn },
        cached: blocks.length * limits.block,
        idle: blocks.filter((block) => this.users[block] === 0).length,
      };
    });
    const decision = schedule({ now: this.now, available, running, waiting }, limits);
    this.check(decision);
    const of = (list: Request[], id: number): Request => {
      const found = list.find((one) => one.id === id);
      if (!found) throw new Error(`request ${id} is not where the scheduler thinks`);
      return found;
    };
    for (const id of decision.expired) {
      this.events.expired++;
      this.end(of([...this.running, ...this.waiting], id));
    }
    for (const id of decision.preempted) {
      const one = of(this.running, id);
      this.events.preempted++;
      this.leave(one);
      this.waiting.push(one);
    }
    for (const id of decision.admitted) {
      const one = of(this.waiting, id);
      const blocks = this.match(one);
      if (blocks.length > 0) this.events.hits++;
      for (const block of blocks) this.users[block]!++;
      one.held = { length: blocks.length * limits.block, blocks: [...blocks] };
      this.waiting = this.waiting.filter((other) => other !== one);
      this.running.push(one);
    }
    for (const { id, tokens } of decision.parts) this.run(of(this.running, id), tokens);
    this.balance();
  }

  /** What must hold of every decision by itself. */
  private check({ admitted, parts, preempted, expired }: ReturnType<typeof schedule>): void {
    const { limits } = this;
    const total = parts.reduce((sum, { tokens }) => sum + tokens, 0);
    if (total > limits.tokens) throw new Error(`${total} tokens in a step of ${limits.tokens}`);
    if (new Set(parts.map(({ id }) => id)).size < parts.length) throw new Error("two parts of one sequence");
    const gone = new Set([...preempted, ...expired]);
    for (const { id, tokens } of parts) {
      if (gone.has(id)) throw new Error("a part of a sequence that was put out");
      if (tokens < 1) throw new Error("an empty part");
    }
    // Whoever is let in ranks before everybody who waits on.
    const left = this.waiting.filter((one) => !one.paused && !admitted.includes(one.id) && !gone.has(one.id));
    for (const one of this.waiting.filter(({ id }) => admitted.includes(id)))
      for (const other of left) {
        if (compareRank(other, one, this.now, limits) < 0) throw new Error("a request was passed by another");
        if (this.now - other.arrival >= limits.patience && other.arrival < one.arrival)
          throw new Error("a request that had waited long was passed by a later one");
      }
    if (left.some((one) => this.now - one.arrival >= limits.patience)) this.events.starved++;
    // The first in rank goes on, always; one that came back may have to wait until somebody else has ended.
    const able = (all: Request[]) => all.filter((one) => !one.paused && !expired.includes(one.id));
    const [best] = able([...this.running, ...this.waiting]).sort((a, b) =>
      compareRank(a, b, this.now, limits),
    );
    // What those who gave way had in common is free in the next step only.
    if (best && parts.length === 0 && preempted.length === 0) throw new Error("nobody goes on");
    if (best?.held && !parts.some(({ id }) => id === best.id))
      throw new Error(`the first in rank, ${best.id}, waits`);
  }

  private run(one: Request, tokens: number): void {
    const { limits } = this;
    const held = one.held!;
    if (held.length + tokens > one.prompt + one.drawn) throw new Error("tokens that nobody has drawn");
    if (this.copies(one)) {
      this.events.copies++;
      const own = this.take();
      this.give(held.blocks.pop()!);
      held.blocks.push(own);
    }
    held.length += tokens;
    while (held.blocks.length * limits.block < held.length) held.blocks.push(this.take());
    if (held.length < one.prompt + one.drawn) return;
    const kept = this.kept.get(one.family) ?? [];
    this.kept.set(one.family, kept);
    // Full blocks of the prompt are kept, where the family's prefix reaches as far.
    for (let i = kept.length; i < Math.floor(one.prompt / limits.block); i++)
      if (kept.every((block, j) => block === held.blocks[j])) kept.push(held.blocks[i]!);
    for (; one.width > 1; one.width--) {
      this.events.forks++;
      for (const block of held.blocks) this.users[block]!++;
      const twin = {
        ...one,
        ...{ id: this.nextId++, width: 1, drawn: 1 },
        held: { ...held, blocks: [...held.blocks] },
      };
      if (twin.drawn >= twin.length) this.end(twin);
      else this.running.push(twin);
    }
    one.drawn++;
    if (one.drawn >= one.length) this.end(one);
  }

  private balance(): void {
    const users = this.users.map(() => 0);
    for (const { held } of this.running) for (const block of held!.blocks) users[block]!++;
    if (users.some((count, block) => count !== this.users[block])) throw new Error("users are miscounted");
    for (const blocks of this.kept.values()) for (const block of blocks) users[block]!++;
    const used = users.filter((count) => count > 0).length;
    if (this.free.length + used !== this.capacity) throw new Error("a block is lost, or has two owners");
    const places = this.running.reduce((sum, { width }) => sum + width, 0);
    if (places > this.limits.sequences) throw new Error(`${places} sequences run at once`);
  }
}

describe("random worlds", () => {
  it("balance, keep their bounds, and come to an end", () => {
    const total = { preempted: 0, aborted: 0, expired: 0, hits: 0, forks: 0, copies: 0, starved: 0 };
    let requests = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const world = new World(seed);
      const random = new Random(1000 + seed);
      const rate = random.next();
      for (let step = 0; step < 120; step++) {
        while (random.next() < rate / 4) world.arrive();
        if (random.next() < 0.1) world.disturb();
        world.step();
      }
      world.wake();
      // Alone in the order of rank, everybody needs at most one step for each token, drawn or read again.
      const work = [...world.waiting, ...world.running].reduce(
        (sum, { prompt, length, width }) => sum + width * (prompt + 2 * length + 1),
        0,
      );
      let steps = 0;
      while (world.ended < world.came) {
        world.step();
        if (++steps > work) throw new Error(`world ${seed} does not come to an end`);
      }
      expect(world.running.length + world.waiting.length).toBe(0);
      requests += world.came;
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += world.events[name];
    }
    expect(requests).toBeGreaterThan(2000);
    for (const [what, count] of Object.entries(total)) expect(count, what).toBeGreaterThan(20);
  });
});
