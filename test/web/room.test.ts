/** What the engine room keeps of what it sees: lanes, rates and times, and never more than so much. */
import { describe, expect, it } from "vitest";
import type {
  EngineFrame,
  EngineSnapshot,
  EngineStats,
  SequenceReport,
  SequenceState,
} from "../../src/engine/report.ts";
import { countTime, percentile } from "../../src/engine/times.ts";
import { History, SAMPLES } from "../../src/web/room/history.ts";
import { Lanes, ROWS, SPAN } from "../../src/web/room/lanes.ts";
import { describeCache, describeSequences, showTime } from "../../src/web/room/words.ts";
import { Random } from "../support/random.ts";

const stats = (more: Partial<EngineStats> = {}): EngineStats => ({
  ...{ running: 0, waiting: 0, steps: 0, stepMs: 0, preemptions: 0, promptTokens: 0, cachedTokens: 0 },
  ...{ prefillTokens: 0, generatedTokens: 0 },
  blocks: { capacity: 10, available: 7, kept: 2, idle: 1, shared: 2 },
  ...more,
});
const sequence = (id: number, state: SequenceState): SequenceReport => ({
  ...{ id, state, prompt: 10, cached: 0, generated: 0, blocks: 1 },
});
const frame = (
  at: number,
  sequences: readonly SequenceReport[],
  ran: EngineFrame["ran"] = [],
  more: Partial<EngineFrame> = {},
): EngineFrame => ({ at, sequences, ran, stats: stats(), first: [], between: [], ...more });
const snapshot = (at: number, more: Partial<EngineStats> = {}): EngineSnapshot => ({
  ...{ at, sequences: [], blocks: "1-" },
  ...{ stats: stats(more), limits: { sequences: 4, stepTokens: 64, block: 64 } },
});
const shown = ({ rows }: Lanes) =>
  rows.map(({ stretches }) => stretches.map(({ id, from, to, state }) => [id, from, to, state]));

describe("lanes", () => {
  it("have a row for each sequence while it lives, and what it did when", () => {
    const lanes = new Lanes();
    lanes.begin(1000, [sequence(1, "decode")]);
    lanes.add(
      frame(
        1100,
        [sequence(1, "decode"), sequence(2, "decode")],
        [
          [1, 0, 3],
          [2, 8, 2],
        ],
      ),
    );
    lanes.add(
      frame(
        1150,
        [sequence(2, "decode"), sequence(3, "waiting")],
        [
          [1, 0, 1],
          [2, 0, 3],
        ],
      ),
    );
    // The first has ended: its row is the fourth's.
    lanes.add(
      frame(
        1200,
        [sequence(2, "preempted"), sequence(3, "prefill"), sequence(4, "prefill")],
        [
          [3, 64, 0],
          [4, 5, 0],
        ],
      ),
    );
    expect(shown(lanes)).toEqual([
      [
        [1, 1000, 1000, "decode"],
        [1, 1000, 1150, "decode"],
        [4, 1150, 1200, "prefill"],
      ].slice(1),
      [
        [2, 1050, 1075, "prefill"],
        [2, 1075, 1150, "decode"],
        [2, 1150, 1200, "preempted"],
      ],
      [
        [3, 1100, 1150, "waiting"],
        [3, 1150, 1200, "prefill"],
      ],
    ]);
  });

  it("forget what is out of sight, and never hold more than so much", () => {
    const lanes = new Lanes();
    const random = new Random(7);
    lanes.begin(0, []);
    const states: readonly SequenceState[] = ["prefill", "decode", "waiting", "preempted", "paused"];
    for (let step = 1; step <= 4000; step++) {
      const alive = Array.from({ length: 80 }, (_, i) =>
        sequence(i + 40 * Math.floor(step / 9), random.pick(states)),
      );
      lanes.add(frame(50 * step, alive, []));
    }
    expect(lanes.rows).toHaveLength(ROWS);
    for (const { stretches } of lanes.rows) {
      expect(stretches.length).toBeLessThanOrEqual(1 + SPAN / 50);
      for (const { to } of stretches) expect(to).toBeGreaterThanOrEqual(200_000 - SPAN);
    }
    lanes.add(frame(200_050 + SPAN, []));
    expect(lanes.rows).toEqual([]);
  });
});

describe("the history", () => {
  it("makes rates of counts, and times of the last seconds", () => {
    const history = new History();
    history.begin(snapshot(5000), 100);
    expect(history.offset).toBe(-4900);
    const between = new Map<number, number>();
    for (let i = 1; i <= 100; i++) countTime(between, i, 1);
    history.add(
      frame(5200, [], [], {
        stats: stats({ steps: 3, prefillTokens: 50, generatedTokens: 20 }),
        between: [...between],
        blocks: "11",
      }),
      290,
    );
    expect(history.offset).toBe(-4910);
    expect(history.blocks).toBe("11");
    history.sample(600);
    const [sample] = history.samples;
    expect(sample).toMatchObject({ time: 0.6, prefill: 100, generated: 40 });
    expect(sample!.first.p50).toBeUndefined();
    expect(sample!.between.p50! / 50).toBeCloseTo(1, 1);
    expect(Math.abs(sample!.between.p95! / 95 - 1)).toBeLessThan(0.05);
    // Nothing comes: the rates fall to nothing, the times are soon of the past.
    for (let i = 1; i <= 10; i++) history.sample(600 + 500 * i);
    expect(history.samples.at(-1)).toMatchObject({ prefill: 0, generated: 0, between: { p50: undefined } });
    for (let i = 0; i < 2 * SAMPLES; i++) history.sample(6000 + 500 * i);
    expect(history.samples).toHaveLength(SAMPLES);
  });

  it("begins anew with an engine that was started again", () => {
    const history = new History();
    history.begin(snapshot(0, { steps: 900, generatedTokens: 4000 }), 0);
    history.add(frame(50, [sequence(7, "decode")], [[7, 0, 1]], { stats: stats({ steps: 901 }) }), 50);
    history.add(
      frame(2000, [sequence(0, "prefill")], [[0, 4, 0]], { stats: stats({ steps: 2, generatedTokens: 1 }) }),
      2000,
    );
    history.sample(2500);
    expect(history.samples[0]!.generated).toBe(0);
    expect(shown(history.lanes).flat()).toEqual([
      [7, 0, 50, "decode"],
      [0, 1950, 2000, "prefill"],
    ]);
  });
});

describe("times as counts", () => {
  it("give percentiles within 5 %", () => {
    const random = new Random(3);
    const exact = Array.from({ length: 5000 }, () => Math.exp(8 * random.next() - 2));
    const counts = new Map<number, number>();
    for (const ms of exact) countTime(counts, ms, 1);
    exact.sort((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.95, 1])
      expect(
        Math.abs(percentile([...counts], share)! / exact[Math.ceil(share * 5000) - 1]! - 1),
      ).toBeLessThan(0.05);
    expect(percentile([], 0.5)).toBeUndefined();
  });
});

describe("words", () => {
  it("say what the pictures show", () => {
    const { blocks: _, ...seen } = snapshot(0, { running: 2, waiting: 70 });
    const states = ["decode", "prefill", "waiting", "preempted"] as const;
    const sequences = states.map((state, id) => sequence(id, state));
    expect(describeSequences({ ...seen, sequences })).toBe(
      "Sequences: 1 reading prompts, 1 writing, 69 waiting, 1 preempted.",
    );
    expect(describeSequences({ ...seen, stats: stats() })).toBe("Nothing runs, nothing waits.");
    expect(describeCache(stats())).toBe(
      "Of 10 blocks 3 are in use, 2 of these by several sequences, and 1 are kept for later prompts.",
    );
    expect([undefined, 0.234, 12.34, 1500].map(showTime)).toEqual(["–", "0.234 ms", "12.3 ms", "1.5 s"]);
  });
});
