/** What has been seen of the engine: its last word, sequences over time, and rates and times of two minutes. Bounded. */
import type { EngineFrame, EngineSnapshot, EngineStats, Times } from "../../engine/report.ts";
import { percentile } from "../../engine/times.ts";
import { Lanes } from "./lanes.ts";

/** Milliseconds of a sample, samples that are kept, and those over which times are looked at together. */
export const SAMPLE = 500;
export const SAMPLES = 240;
const WINDOW = 10;

export interface Sample {
  /** Seconds of this page's clock. */
  readonly time: number;
  /** Tokens per second. */
  readonly prefill: number;
  readonly generated: number;
  /** Milliseconds: half of all, and 95 of 100, are not above these. */
  readonly first: Quantiles;
  readonly between: Quantiles;
}

export interface Quantiles {
  readonly p50: number | undefined;
  readonly p95: number | undefined;
}

type Seen = Omit<EngineSnapshot, "blocks">;

export class History {
  readonly lanes = new Lanes();
  readonly samples: Sample[] = [];
  blocks = "";
  now: Seen | undefined;
  /** This page's clock (ms since it was loaded) less the server's: the least that was seen, so without delays. */
  offset: number | undefined;
  private base: EngineStats | undefined;
  private sampled = 0;
  private first: Map<number, number>[] = [new Map()];
  private between: Map<number, number>[] = [new Map()];

  /** A stream begins. */
  begin(snapshot: EngineSnapshot, clock: number): void {
    const { blocks, ...seen } = snapshot;
    this.now = seen;
    this.blocks = blocks;
    this.base = seen.stats;
    this.sampled = clock;
    this.offset = clock - seen.at;
    this.lanes.begin(seen.at, seen.sequences);
  }

  add(frame: EngineFrame, clock: number): void {
    const { limits, stats: before } = this.now!;
    // Another engine, which counts from the beginning.
    if (frame.stats.steps < before.steps) {
      this.base = frame.stats;
      this.lanes.begin(this.now!.at, []);
    }
    const { at, stats, sequences, blocks } = frame;
    this.now = { at, stats, sequences, limits };
    if (blocks !== undefined) this.blocks = blocks;
    this.offset = Math.min(this.offset!, clock - at);
    this.lanes.add(frame);
    gather(this.first.at(-1)!, frame.first);
    gather(this.between.at(-1)!, frame.between);
  }

  /** Completes a sample; to be called every SAMPLE milliseconds, whether something happens or not. */
  sample(clock: number): void {
    const { base, now } = this;
    if (!base || !now) return;
    const seconds = (clock - this.sampled) / 1000;
    if (seconds <= 0) return;
    const rate = (key: "prefillTokens" | "generatedTokens"): number =>
      Math.max(0, (now.stats[key] - base[key]) / seconds);
    this.samples.push({
      ...{ time: clock / 1000, prefill: rate("prefillTokens"), generated: rate("generatedTokens") },
      ...{ first: quantiles(this.first), between: quantiles(this.between) },
    });
    if (this.samples.length > SAMPLES) this.samples.shift();
    this.base = now.stats;
    this.sampled = clock;
    for (const windows of [this.first, this.between]) {
      windows.push(new Map());
      if (windows.length > WINDOW) windows.shift();
    }
  }
}

function gather(into: Map<number, number>, times: Times): void {
  for (const [i, count] of times) into.set(i, (into.get(i) ?? 0) + count);
}

function quantiles(windows: readonly Map<number, number>[]): Quantiles {
  const all = new Map<number, number>();
  for (const times of windows) gather(all, [...times]);
  return { p50: percentile([...all], 0.5), p95: percentile([...all], 0.95) };
}
