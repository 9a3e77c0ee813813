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

/** Leaves only the allowed tokens of a row of logits. */
export function maskRow(row: Float32Array, allowed: Uint32Array): void {
  for (let word = 0, at = 0; at < row.length; word++, at += 32) {
    const bits = allowed[word] ?? 0;
    if (bits === 0xffffffff) continue;
    const end = Math.min(at + 32, row.length);
    if (bits === 0) row.fill(Number.NEGATIVE_INFINITY, at, end);
    else
      for (let i = at; i < end; i++) if (((bits >>> (i - at)) & 1) === 0) row[i] = Number.NEGATIVE_INFINITY;
  }
}
