/**
 * The ragged batch of one step: tokens of several sequences one after another, without padding. Plain
 * data; knows no device and no model.
 */
import { ParameterError } from "../base/errors.ts";

/** A sequence that a cache remembers, by number. */
export type SequenceId = number;

/** The tokens that one sequence adds in a step. */
export interface BatchPart {
  readonly sequence: SequenceId;
  readonly ids: ArrayLike<number>;
  /** Position of the first of them: how many tokens the sequence has already. */
  readonly start: number;
  /**
   * Tokens of the whole prompt, if more than this part: rotary encodings that depend on the length of the
   * text must not depend on how the prompt is cut. Default: the end of this part.
   */
  readonly promptLength?: number;
}

export interface TokenBatch {
  /** [n] token ids. */
  readonly ids: Int32Array;
  /** [n] position of each token in its sequence. */
  readonly positions: Int32Array;
  /** [n] length of text that the position encoding of each token assumes. */
  readonly lengths: Int32Array;
  /** [s + 1] where each sequence begins in the rows; the last entry is n. */
  readonly offsets: Int32Array;
  /** [s] */
  readonly sequences: readonly SequenceId[];
}

export function makeBatch(parts: readonly BatchPart[]): TokenBatch {
  const n = parts.reduce((sum, part) => sum + part.ids.length, 0);
  const offsets = new Int32Array(parts.length + 1);
  const sequences = parts.map((part) => part.sequence);
  for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.ids.length;
  const numbers = { ids: new Int32Array(n), positions: new Int32Array(n), lengths: new Int32Array(n) };
  const batch = { ...numbers, offsets, sequences };
  fill(batch, parts);
  return batch;
}

/**
 * Puts other tokens in the place of a batch's own, perhaps of other sequences. False, and nothing has changed, unless
 * the parts are as many and as long.
 */
export function refill(batch: TokenBatch, parts: readonly BatchPart[]): boolean {
  const { offsets } = batch;
  if (parts.length !== offsets.length - 1) return false;
  for (let i = 0; i < parts.length; i++)
    if (parts[i]!.ids.length !== offsets[i + 1]! - offsets[i]!) return false;
  fill(batch, parts);
  return true;
}

type Writable = Omit<TokenBatch, "sequences"> & { sequences: SequenceId[] };

function fill(batch: TokenBatch, parts: readonly BatchPart[]): void {
  const { ids, positions, lengths, sequences } = batch as Writable;
  let row = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    const { start, promptLength = start + part.ids.length } = part;
    sequences[i] = part.sequence;
    for (let j = 0; j < part.ids.length; j++, row++) {
      ids[row] = part.ids[j]!;
      positions[row] = start + j;
      lengths[row] = Math.max(start + j + 1, promptLength);
    }
  }
  if (parts.length > 1 && new Set(sequences).size < parts.length)
    throw new ParameterError("batch", `a sequence occurs twice: ${sequences}`);
}
