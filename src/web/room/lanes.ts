/**
 * Sequences over time: each has a row while it lives, and the row goes to another when it has ended. Times are those
 * of the server's clock. Pure, and bounded: rows, and what is remembered of each.
 */
import type { EngineFrame, SequenceReport, SequenceState } from "../../engine/report.ts";

/** Milliseconds that are shown. */
export const SPAN = 30_000;
/** Rows at most: a full engine and some who wait. */
export const ROWS = 48;
/** Milliseconds: a sequence that appears has come since the frame before, which came so much earlier if much happens. */
const FRAME = 50;
/** Stretches of one row at most. */
const STRETCHES = 600;

export interface Stretch {
  readonly id: number;
  readonly from: number;
  to: number;
  readonly state: SequenceState;
}

interface Row {
  id: number | undefined;
  readonly stretches: Stretch[];
}

export class Lanes {
  readonly rows: Row[] = [];
  private readonly rowOf = new Map<number, Row>();
  private last = 0;

  /** Those who live are the same as before, but not what they did meanwhile. */
  begin(at: number, sequences: readonly SequenceReport[]): void {
    for (const row of this.rows) row.id = undefined;
    this.rowOf.clear();
    this.last = at;
    for (const { id, state } of sequences) this.extend(id, at, at, state);
  }

  add({ at, sequences, ran }: EngineFrame): void {
    const from = this.last;
    const did = new Map(ran.map(([id, prefill, decode]) => [id, { prefill, decode }]));
    const alive = new Set<number>();
    for (const { id, state } of sequences) {
      alive.add(id);
      this.work(id, from, at, state, did.get(id));
    }
    // Those that came and went, or ended.
    for (const [id, work] of did) if (!alive.has(id)) this.work(id, from, at, undefined, work);
    for (const [id, row] of this.rowOf)
      if (!alive.has(id)) {
        row.id = undefined;
        this.rowOf.delete(id);
      }
    this.last = at;
    this.forget(at - SPAN);
  }

  private work(
    id: number,
    before: number,
    at: number,
    state: SequenceState | undefined,
    work: { readonly prefill: number; readonly decode: number } | undefined,
  ): void {
    const from = this.rowOf.has(id) ? before : Math.max(before, at - FRAME);
    if (!work) {
      if (state) this.extend(id, from, at, state);
      return;
    }
    const { prefill, decode } = work;
    // Which part of the time each took is not known; prompts come first.
    const middle = prefill > 0 && decode > 0 ? (from + at) / 2 : prefill > 0 ? at : from;
    if (middle > from) this.extend(id, from, middle, "prefill");
    if (at > middle) this.extend(id, middle, at, "decode");
  }

  private extend(id: number, from: number, to: number, state: SequenceState): void {
    const row = this.rowOf.get(id) ?? this.take(id);
    if (!row) return;
    const last = row.stretches.at(-1);
    if (last && last.id === id && last.state === state && last.to === from) last.to = to;
    else row.stretches.push({ id, from, to, state });
    if (row.stretches.length > STRETCHES) row.stretches.shift();
  }

  private take(id: number): Row | undefined {
    let row = this.rows.find((one) => one.id === undefined);
    if (!row) {
      if (this.rows.length >= ROWS) return undefined;
      row = { id: undefined, stretches: [] };
      this.rows.push(row);
    }
    row.id = id;
    this.rowOf.set(id, row);
    return row;
  }

  private forget(before: number): void {
    for (const { stretches } of this.rows) {
      let old = 0;
      while (old < stretches.length && stretches[old]!.to < before) old++;
      if (old > 0) stretches.splice(0, old);
    }
    // Rows at the end that nobody has been in for a while.
    while (this.rows.length > 0) {
      const { id, stretches } = this.rows.at(-1)!;
      if (id !== undefined || stretches.length > 0) break;
      this.rows.pop();
    }
  }
}
