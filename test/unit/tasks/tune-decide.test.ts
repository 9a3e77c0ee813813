/** Which choices win: clear and repeated gains only, for all numbers of tokens, on a quiet machine. */
import { describe, expect, it } from "vitest";
import { isChoice, usual } from "../../../src/ops/index.ts";
import { best, candidates, confirmed, gain, hopeless } from "../../../src/tasks/tune-decide.ts";

const before = [100, 101, 99, 102, 100, 100, 101];
const faster = (factor: number) => ({ before, after: before.map((time) => time / factor) });
const [one, two] = [
  { ...usual, ahead: 1024 },
  { ...usual, ahead: 4096 },
];

describe("best", () => {
  it("takes the fastest of those that win clearly", () => {
    const tried = [
      { choice: one, rounds: [faster(1.05)] },
      { choice: two, rounds: [faster(1.1)] },
    ];
    expect(best(tried)).toEqual(two);
  });

  it("takes each thing by itself", () => {
    const other = { ...usual, panels: 4 };
    const tried = [
      { choice: one, rounds: [faster(1.05)] },
      { choice: other, rounds: [faster(1.2)] },
    ];
    expect(best(tried)).toEqual({ ...usual, ahead: 1024, panels: 4 });
  });

  it("passes over what is within the noise, was seen too seldom, or loses with another number of tokens", () => {
    const seldom = { before: before.slice(0, 2), after: [50, 50] };
    const now = { before, after: [80, 120, 80, 120, 80, 80, 80] };
    for (const rounds of [
      [faster(1.02)],
      [seldom],
      [now],
      [faster(1.3), faster(0.9)],
      [{ before: [], after: [] }],
    ])
      expect(best([{ choice: one, rounds }])).toBeUndefined();
  });

  it("trusts nothing while something else is running", () => {
    const busy = { before: [100, 150, 150, 150, 140, 150, 160], after: [90, 90, 90, 90, 90, 90, 90] };
    expect(best([{ choice: one, rounds: [busy] }])).toBeUndefined();
  });
});

it("a choice must win its trial with every number of tokens", () => {
  expect(confirmed([faster(1.03), faster(1.05)])).toBe(true);
  expect(confirmed([faster(1.03), faster(1.01)])).toBe(false);
  expect(confirmed([])).toBe(false);
});

it("what has not won anything after two rounds is given up", () => {
  expect(hopeless(faster(0.99))).toBe(true);
  expect(hopeless(faster(1.01))).toBe(false);
  expect(hopeless({ before: [1], after: [2] })).toBe(false);
  expect(gain(faster(1.5))).toBeCloseTo(1.5);
});

it("candidates can be chosen, and each changes one thing", () => {
  for (const tokens of [1, 2, 16, 256])
    for (const choice of candidates(tokens)) {
      expect(isChoice(choice)).toBe(true);
      expect(Object.values(choice).filter((value) => value !== 0)).toHaveLength(1);
    }
});
