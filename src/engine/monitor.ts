/**
 * Adds up what an engine's steps do, for those who watch: frames, some of them a second, and none for nobody. Knows
 * records; must not know how frames are sent.
 */
import type { EngineFrame, EngineSnapshot, Monitor, StepRecord } from "./report.ts";
import { countTime } from "./times.ts";

/** Milliseconds between two frames, and between two maps of the cache. */
const FRAME = 50;
const MAP = 250;

export interface Observed {
  /** Told of each step when it is done. */
  observer: ((record: StepRecord) => void) | undefined;
  snapshot(): EngineSnapshot;
  /** Its clock. */
  now(): number;
}

export class EngineMonitor implements Monitor {
  private readonly engine: Observed;
  private readonly listeners = new Set<(frame: EngineFrame) => void>();
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly ran = new Map<number, [prefill: number, decode: number]>();
  private readonly first = new Map<number, number>();
  private readonly between = new Map<number, number>();
  /** When each sequence drew its last token. */
  private readonly drew = new Map<number, number>();
  /** What the last frame told. */
  private told = "";
  private map: string | undefined;
  private mapDue = 0;

  constructor(engine: Observed) {
    this.engine = engine;
  }

  async snapshot(): Promise<EngineSnapshot> {
    return this.engine.snapshot();
  }

  watch(listener: (frame: EngineFrame) => void): () => void {
    // Each is its own, even if somebody watches twice with the same function.
    const own = (frame: EngineFrame): void => listener(frame);
    this.listeners.add(own);
    // The newcomer has no map yet.
    this.map = undefined;
    this.mapDue = 0;
    if (this.timer === undefined) {
      this.engine.observer = (record) => this.add(record);
      this.timer = setInterval(() => this.tell(), FRAME);
      this.timer.unref();
    }
    return () => {
      if (this.listeners.delete(own) && this.listeners.size === 0) this.stop();
    };
  }

  /** Tells nobody any more. */
  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.engine.observer = undefined;
    this.listeners.clear();
    for (const map of [this.ran, this.first, this.between, this.drew]) map.clear();
    this.told = "";
    this.map = undefined;
  }

  private add({ parts }: StepRecord): void {
    const now = this.engine.now();
    for (const { id, tokens, prefill, drawn, since } of parts) {
      const sums = this.ran.get(id) ?? [0, 0];
      sums[prefill ? 0 : 1] += tokens;
      this.ran.set(id, sums);
      if (drawn === 0) continue;
      const last = this.drew.get(id);
      if (since !== undefined) countTime(this.first, now - since, drawn);
      else if (last !== undefined) countTime(this.between, now - last, drawn);
      this.drew.set(id, now);
    }
  }

  private tell(): void {
    const { limits: _, blocks, ...rest } = this.engine.snapshot();
    const { steps, preemptions, running, waiting } = rest.stats;
    const state = [steps, preemptions, running, waiting, rest.sequences.at(-1)?.id].join();
    const now = this.engine.now();
    const mapped = blocks !== this.map && now >= this.mapDue;
    if (state === this.told && !mapped) return;
    this.told = state;
    const present = new Set(rest.sequences.map(({ id }) => id));
    for (const id of this.drew.keys()) if (!present.has(id)) this.drew.delete(id);
    const frame: EngineFrame = {
      ...rest,
      ran: [...this.ran].map(([id, [prefill, decode]]) => [id, prefill, decode]),
      first: [...this.first],
      between: [...this.between],
      ...(mapped && { blocks }),
    };
    if (mapped) {
      this.map = blocks;
      this.mapDue = now + MAP;
    }
    for (const map of [this.ran, this.first, this.between]) map.clear();
    for (const listener of this.listeners) listener(frame);
  }
}
