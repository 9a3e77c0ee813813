/**
 * Which sequences of a step may attend together to what they have in common: those with few tokens in it that begin
 * with the same tile of keys. Knows batches and pages; the planner (shares.ts) finds how much they share.
 */
import { KEY_TILE } from "../ops/index.ts";
import type { TokenBatch } from "./batch.ts";
import type { PagedSequences } from "./sequences.ts";
import { planShares, type SharePlan } from "./shares.ts";

/** Pages in a tile of keys. */
export const TILE_PAGES = 4;
/** Tokens of a sequence in a step, at most, for which it is worth while to attend together with others. */
const FEW_ROWS = 8;

export class StepSharing {
  private readonly sequences: PagedSequences;
  private readonly batch: TokenBatch;
  /** Tokens that each sequence had before the step. */
  private readonly starts: readonly number[];

  /** Made before the sequences are extended by the step's tokens. */
  constructor(sequences: PagedSequences, batch: TokenBatch) {
    this.sequences = sequences;
    this.batch = batch;
    this.starts = batch.sequences.map((sequence) => sequences.get(sequence).length);
  }

  /** The rows of the first sequences of the batch, those with few rows each, if any of these share tiles; otherwise 0. */
  rows(): number {
    const { offsets, sequences } = this.batch;
    let count = 0;
    const first = new Set<number>();
    let shared = false;
    for (; count < sequences.length && offsets[count + 1]! - offsets[count]! <= FEW_ROWS; count++) {
      if (this.starts[count]! < KEY_TILE) continue;
      // Those that have their first page in common may have more.
      const page = this.pages(count)[0]!;
      shared ||= first.has(page) && this.sharesTile(page, count);
      first.add(page);
    }
    return shared && count > 1 ? offsets[count]! : 0;
  }

  plan(rows: number, plan: SharePlan): void {
    const sharing = this.starts.map((start, i) => ({
      pages: this.pages(i),
      tiles: this.batch.offsets[i + 1]! <= rows ? Math.floor(start / KEY_TILE) : 0,
    }));
    planShares(sharing, TILE_PAGES, plan);
  }

  private pages(i: number): readonly number[] {
    return this.sequences.get(this.batch.sequences[i]!).pages;
  }

  /** Whether the first tile of sequence i is also that of one before it that begins with this page. */
  private sharesTile(page: number, i: number): boolean {
    const own = this.pages(i);
    for (let before = 0; before < i; before++) {
      const pages = this.pages(before);
      if (pages[0] === page && own.slice(0, TILE_PAGES).every((each, at) => each === pages[at])) return true;
    }
    return false;
  }
}
