/** The planner of shared attention: examples, and its definition on random trees. */
import { describe, expect, it } from "vitest";
import { emptyPlan, planShares, type SharingSequence } from "../../../src/cache/shares.ts";
import { Random } from "../../support/random.ts";

function plan(sequences: readonly SharingSequence[], tilePages = 2) {
  const plan = emptyPlan(sequences.length);
  const groups = planShares(sequences, tilePages, plan);
  const shares = Array.from({ length: sequences.length }, (_, i) => [
    ...plan.shares.subarray(4 * i, 4 * i + 4),
  ]);
  expect(
    shares
      .slice(groups)
      .flat()
      .every((x) => x === 0),
  ).toBe(true);
  return shares.slice(0, groups).map(([first = 0, count = 0, tile, end]) => ({
    members: [...plan.order.subarray(first, first + count)],
    ...{ tile, end },
  }));
}

describe("what sequences have in common", () => {
  it("is nothing for one, or for strangers", () => {
    expect(plan([{ pages: [1, 2], tiles: 1 }])).toEqual([]);
    expect(
      plan([
        { pages: [1, 2], tiles: 1 },
        { pages: [3, 4], tiles: 1 },
      ]),
    ).toEqual([]);
  });

  it("is whole tiles that lie before all of them", () => {
    const pages = [1, 2, 3, 4, 5];
    expect(
      plan([
        { pages, tiles: 2 },
        { pages, tiles: 1 },
      ]),
    ).toEqual([{ members: [1, 0], tile: 0, end: 1 }]);
    expect(
      plan([
        { pages, tiles: 2 },
        { pages: [1, 2, 3, 9], tiles: 2 },
      ]),
    ).toEqual([{ members: [0, 1], tile: 0, end: 1 }]);
    expect(
      plan([
        { pages, tiles: 0 },
        { pages, tiles: 2 },
      ]),
    ).toEqual([]);
  });

  it("is a tree, of any depth and width", () => {
    const sequence = (...pages: number[]) => ({ pages: pages.flatMap((p) => [p, p]), tiles: pages.length });
    const shares = plan([
      sequence(1, 2, 5),
      sequence(1, 3),
      sequence(9, 9),
      sequence(1, 2, 6),
      sequence(1, 3),
      sequence(1, 2, 6),
    ]);
    expect(shares).toEqual([
      { members: [0, 3, 5, 1, 4], tile: 0, end: 1 },
      { members: [0, 3, 5], tile: 1, end: 2 },
      { members: [3, 5], tile: 2, end: 3 },
      { members: [1, 4], tile: 1, end: 2 },
    ]);
  });

  it("is found wherever it is, and once, on random trees", () => {
    const random = new Random(3);
    for (let round = 0; round < 300; round++) {
      const count = random.int(1, 9);
      // A page's number tells all pages before it, as it does in a cache.
      const sequences = Array.from({ length: count }, () => {
        let path = 0;
        const pages = Array.from({ length: random.int(0, 9) }, () => (path = path * 2 + random.int(1, 2)));
        return { pages, tiles: random.int(0, Math.floor(pages.length / 2)) };
      });
      const shares = plan(sequences);
      for (let t = 0; t < count; t++)
        for (let tile = 0; tile < 5; tile++) {
          const same = sequences.flatMap(({ pages, tiles }, other) =>
            tile < tiles &&
            tile < sequences[t]!.tiles &&
            pages[2 * tile + 1] === sequences[t]!.pages[2 * tile + 1]
              ? [other]
              : [],
          );
          const found = shares.filter(
            (one) => one.members.includes(t) && one.tile! <= tile && tile < one.end!,
          );
          expect(found.map(({ members }) => members.sort())).toEqual(same.length > 1 ? [same] : []);
        }
    }
  });
});
