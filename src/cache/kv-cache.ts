/**
 * The protocol of key-value caches: what a model remembers of its sequences. Dense, windowed, quantized,
 * retrieved, remote caches all stand behind it. Positions are applied to keys before they are written.
 */
import type { Stream, Tensor } from "../ops/index.ts";
import type { SequenceId, TokenBatch } from "./batch.ts";

export interface AttentionOptions {
  /** Factor of the scores, usually 1/√d. */
  readonly scale: number;
  /** Keys that a query sees, counting its own; 0: all before it. */
  readonly window: number;
  /** `softcap · tanh(score / softcap)`; 0: none. */
  readonly softcap: number;
}

/** The cache during one step: made by `begin`, used by each layer; of use after the flush only to a recording. */
export interface CacheStep {
  /** Remembers k [n, kvHeads, d] and v [n, kvHeads, dv] of the batch's tokens. */
  append(layer: number, k: Tensor, v: Tensor): void;
  /** q [n, heads, d] over all that each token may see, its own key included: [n, heads, dv]. */
  attend(layer: number, q: Tensor, options: AttentionOptions): Tensor;
  /**
   * Begins the step again, with other tokens or sequences in a batch of the same shape: as `begin`, but the step's
   * numbers are written where the first ones are, so that the ops that were pushed then are right once more. False,
   * and nothing has changed, when other ops are needed.
   */
  again(batch: TokenBatch): boolean;
}

/** Shape of what one layer remembers of a token. */
export interface LayerShape {
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

export interface KvCache {
  /** A new, empty sequence. */
  add(): SequenceId;
  /** A new sequence that begins with all that the given one holds. */
  fork(sequence: SequenceId): SequenceId;
  /** Forgets a sequence. */
  remove(sequence: SequenceId): void;
  /** Tokens that the sequence holds. */
  length(sequence: SequenceId): number;
  /** How many of the first `length` tokens can still be attended to if the sequence is cut there. */
  keep(sequence: SequenceId, length: number): number;
  /** Forgets all but the first `length` tokens; refused when `keep` says that it cannot. */
  truncate(sequence: SequenceId, length: number): void;
  /** Makes room for a batch and says so on the stream; the batch's tokens count from now on. */
  begin(s: Stream, batch: TokenBatch): CacheStep;
  /** Bytes held on the device. */
  bytes(): number;
  close(): void;
}
