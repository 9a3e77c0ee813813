/** The scheduler by examples: what a step does with given requests, budgets and free blocks. */
import { describe, expect, it } from "vitest";
import {
  type Limits,
  type RunningSequence,
  type Situation,
  schedule,
  type WaitingRequest,
} from "../../../src/engine/scheduler.ts";

const limits: Limits = { tokens: 16, sequences: 4, block: 4, patience: 100 };

const running = (id: number, length: number, known: number, more: Partial<RunningSequence> = {}) => ({
  ...{ id, arrival: id, priority: 0, length, known, copies: false, width: 1 },
  ...{ blocks: Math.ceil(length / 4), own: Math.ceil(length / 4) },
  ...more,
});
const waiting = (id: number, known: number, more: Partial<WaitingRequest> = {}) => ({
  ...{ id, arrival: id, priority: 0, known, cached: 0, idle: 0, width: 1 },
  ...more,
});
const decide = (situation: Partial<Situation>, own: Partial<Limits> = {}) =>
  schedule({ now: 50, available: 100, running: [], waiting: [], ...situation }, { ...limits, ...own });

describe("a step", () => {
  it("does nothing when there is nothing to do", () => {
    expect(decide({})).toEqual({ expired: [], preempted: [], admitted: [], parts: [] });
  });

  it("takes the tokens of those who write first, and fills up with prompts in order of arrival", () => {
    const { parts } = decide({ running: [running(1, 0, 30), running(2, 9, 10), running(3, 4, 9)] });
    expect(parts).toEqual([
      { id: 2, tokens: 1 },
      { id: 1, tokens: 15 },
    ]);
  });

  it("lets requests in as far as tokens, places and blocks reach, in their order", () => {
    const all = [waiting(1, 6), waiting(2, 6), waiting(3, 6)];
    expect(decide({ waiting: all })).toMatchObject({
      admitted: [1, 2, 3],
      parts: [
        { id: 1, tokens: 6 },
        { id: 2, tokens: 6 },
        { id: 3, tokens: 4 },
      ],
    });
    expect(decide({ waiting: all }, { sequences: 2 }).admitted).toEqual([1, 2]);
    // Two blocks for the prompt and one to go on.
    expect(decide({ waiting: all, available: 8 }).admitted).toEqual([1, 2]);
    expect(decide({ waiting: [waiting(1, 6, { width: 4 }), waiting(2, 1)] }).admitted).toEqual([1]);
  });

  it("lets nobody pass a request that does not fit", () => {
    const { admitted } = decide({
      available: 4,
      running: [running(1, 9, 10)],
      waiting: [waiting(2, 12), waiting(3, 1)],
    });
    expect(admitted).toEqual([]);
  });

  it("lets a request that is alone use everything", () => {
    const { admitted, parts } = decide({ available: 2, waiting: [waiting(1, 12)] });
    expect([admitted, parts]).toEqual([[1], [{ id: 1, tokens: 8 }]]);
  });

  it("runs what the cache has not kept", () => {
    const kept = waiting(1, 11, { cached: 8, idle: 1 });
    expect(decide({ waiting: [kept] }).parts).toEqual([{ id: 1, tokens: 3 }]);
    // One block is new, one was nobody's, one is to go on; running sequences may each need one.
    const beside = { running: [running(9, 9, 10, { arrival: 0 })] };
    expect(decide({ ...beside, available: 4, waiting: [kept] }).admitted).toEqual([1]);
    expect(decide({ ...beside, available: 3, waiting: [kept] }).admitted).toEqual([]);
  });

  it("preempts from the last when blocks run out", () => {
    const { preempted, parts } = decide({
      available: 0,
      running: [running(1, 8, 9), running(2, 8, 9), running(3, 8, 9)],
    });
    expect(preempted).toEqual([3]);
    expect(parts).toEqual([
      { id: 1, tokens: 1 },
      { id: 2, tokens: 1 },
    ]);
  });

  it("counts a block for the copy of a shared one", () => {
    const sharing = [running(1, 6, 7, { copies: true }), running(2, 6, 7, { copies: true, own: 1 })];
    expect(decide({ available: 2, running: sharing }).preempted).toEqual([]);
    expect(decide({ available: 0, running: sharing }).preempted).toEqual([2]);
  });

  it("does a part of a prompt where blocks do not reach for all of it", () => {
    expect(decide({ available: 1, running: [running(1, 4, 20)] }).parts).toEqual([{ id: 1, tokens: 4 }]);
    expect(decide({ available: 0, running: [running(1, 4, 20)] }).parts).toEqual([]);
  });

  it("puts higher priorities first, at the cost of lower ones when there is no place", () => {
    const urgent = waiting(9, 4, { priority: 1 });
    expect(decide({ waiting: [waiting(1, 16), urgent] }).admitted).toEqual([9, 1]);
    const full = { running: [running(1, 4, 5), running(2, 4, 5)], waiting: [urgent] };
    expect(decide(full, { sequences: 2 })).toMatchObject({ preempted: [2], admitted: [9] });
    expect(decide({ ...full, waiting: [waiting(9, 4)] }, { sequences: 2 })).toMatchObject({
      preempted: [],
      admitted: [],
    });
    // In vain it preempts nobody.
    const wide = waiting(9, 4, { priority: 1, width: 3 });
    expect(decide({ ...full, waiting: [wide] }, { sequences: 2 }).preempted).toEqual([]);
  });

  it("puts those first who have waited beyond the patience", () => {
    const late = { now: 150, waiting: [waiting(60, 4, { priority: 5 }), waiting(10, 16)] };
    expect(decide(late).admitted).toEqual([10]);
    expect(decide({ ...late, now: 60 }).admitted).toEqual([60, 10]);
    const busy = { ...late, running: [running(70, 4, 5, { priority: 5 })] };
    expect(decide(busy, { sequences: 1 })).toMatchObject({ preempted: [70], admitted: [10] });
  });

  it("ends what is too late, and gives its place away", () => {
    const { expired, admitted } = decide(
      { running: [running(1, 4, 5, { deadline: 50 })], waiting: [waiting(2, 4, { deadline: 51 })] },
      { sequences: 1 },
    );
    expect([expired, admitted]).toEqual([[1], [2]]);
  });

  it("gives nothing to the paused, who give way to everybody", () => {
    const paused = running(1, 4, 5, { paused: true });
    expect(decide({ running: [paused] }).parts).toEqual([]);
    expect(decide({ running: [paused], waiting: [waiting(2, 4)] }, { sequences: 1 })).toMatchObject({
      preempted: [1],
      admitted: [2],
    });
    expect(decide({ waiting: [waiting(2, 4, { paused: true })] }).admitted).toEqual([]);
  });

  it("changes nothing of what it is given", () => {
    const situation: Situation = {
      ...{ now: 0, available: 3 },
      running: [running(2, 9, 10), running(1, 3, 8)],
      waiting: [waiting(4, 4), waiting(3, 4)],
    };
    const before = structuredClone(situation);
    schedule(situation, limits);
    expect(situation).toEqual(before);
  });
});
