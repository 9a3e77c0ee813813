/**
 * The planner of shared attention (Juravsky et al. 2024, "Hydragen", arXiv 2402.05099): finds the tiles of keys that
 * several sequences of a step have in common, at any depth and for any number of them. Knows page numbers; its plan
 * is plain data, which the `attend` op reads.
 */

export interface SharingSequence {
  readonly pages: readonly number[];
  /** Tiles of keys that lie wholly before its tokens of this step. */
  readonly tiles: number;
}

export interface SharePlan {
  /** [s] the sequences, those that share side by side. */
  readonly order: Int32Array;
  /** [s, 4]: of the order the first and the number, then the first tile and the one after the last; zeros behind. */
  readonly shares: Int32Array;
}

export const emptyPlan = (count: number): SharePlan => ({
  order: new Int32Array(count),
  shares: new Int32Array(4 * count),
});

/** Fills the plan for these sequences; gives the number of groups. `tilePages`: pages in a tile. */
export function planShares(
  sequences: readonly SharingSequence[],
  tilePages: number,
  { order, shares }: SharePlan,
): number {
  const count = sequences.length;
  for (let i = 0; i < count; i++) order[i] = i;
  shares.fill(0);
  order.sort((a, b) => compare(sequences[a]!, sequences[b]!, tilePages) || a - b);
  // Neighbours in the order have the most in common: a tile is shared by a run of them.
  const common = new Int32Array(Math.max(0, count - 1));
  for (let i = 0; i < common.length; i++)
    common[i] = commonTiles(sequences[order[i]!]!, sequences[order[i + 1]!]!, tilePages);
  let groups = 0;
  const split = (first: number, end: number, from: number): void => {
    if (end - first < 2) return;
    let least = common[first]!;
    for (let i = first + 1; i < end - 1; i++) least = Math.min(least, common[i]!);
    if (least > from) shares.set([first, end - first, from, least], 4 * groups++);
    let start = first;
    for (let i = first; i < end - 1; i++)
      if (common[i] === least) {
        split(start, i + 1, least);
        start = i + 1;
      }
    split(start, end, least);
  };
  split(0, count, 0);
  return groups;
}

function commonTiles(a: SharingSequence, b: SharingSequence, tilePages: number): number {
  const most = Math.min(a.tiles, b.tiles) * tilePages;
  let same = 0;
  while (same < most && a.pages[same] === b.pages[same]) same++;
  return Math.floor(same / tilePages);
}

/** By their pages, as words by their letters. */
function compare(a: SharingSequence, b: SharingSequence, tilePages: number): number {
  const most = Math.min(a.tiles, b.tiles) * tilePages;
  for (let i = 0; i < most; i++) if (a.pages[i] !== b.pages[i]) return a.pages[i]! - b.pages[i]!;
  return a.tiles - b.tiles;
}
