/** Masks at the logits: a bit for each token. Knows no grammars. */

/** Leaves only the allowed tokens of a row of logits. */
export function applyMask(row: Float32Array, mask: Uint32Array): void {
  for (let word = 0, at = 0; at < row.length; word++, at += 32) {
    const bits = mask[word]!;
    if (bits === 0xffffffff) continue;
    if (bits === 0) row.fill(Number.NEGATIVE_INFINITY, at, at + 32);
    else
      for (let i = 0; i < 32; i++)
        if (((bits >>> i) & 1) === 0 && at + i < row.length) row[at + i] = Number.NEGATIVE_INFINITY;
  }
}
