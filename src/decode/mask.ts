/** Tokens that may come next, decided from outside (a grammar): what an engine asks, and the row that obeys. */

export interface TokenMask {
  /**
   * A bit for each token: whether it may come next. Asked for while the model runs; valid until the next call on this
   * object.
   */
  allowed(): Uint32Array;
  /** Takes the token that was drawn. */
  accept(token: number): void;
  /** Whether no token may follow. */
  readonly finished: boolean;
}

/** Leaves only the allowed ones of the tokens [from, end) of a row of logits; `from` is a multiple of 32. */
export function maskRow(row: Float32Array, allowed: Uint32Array, from: number, end: number): void {
  for (let at = from; at < end; at += 32) {
    const bits = allowed[at >>> 5] ?? 0;
    if (bits === 0xffffffff) continue;
    const last = Math.min(at + 32, end);
    if (bits === 0) row.fill(Number.NEGATIVE_INFINITY, at, last);
    else
      for (let i = at; i < last; i++) if (((bits >>> (i - at)) & 1) === 0) row[i] = Number.NEGATIVE_INFINITY;
  }
}
