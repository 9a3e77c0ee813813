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

/** A text whose beginning the cache may know, and may keep for others. */
export interface Prefix {
  readonly ids: ArrayLike<number>;
  /** Only texts of one salt share anything. */
  readonly salt: string;
  /** As in {@link BatchPart}, of all tokens that the sequence will ever have. */
  readonly promptLength: number;
  /** Tokens that may be taken from what is kept. */
  readonly most: number;
}

/** What the tokens of a step attend to: all that a model asks of its cache. */
export interface AttentionMemory {
  /** Makes room for a batch and says so on the stream; the batch's tokens count from now on. */
  begin(s: Stream, batch: TokenBatch): CacheStep;
}

export interface KvCache extends AttentionMemory {
  /** Positions in a block: what sequences share, and what room is counted in. */
  readonly block: number;
  /** Blocks at most. */
  readonly capacity: number;
  /** Blocks that could be had now, those included that are kept and used by nobody. */
  readonly available: number;
  /**
   * A new sequence. Without a prefix it is empty, and ends with `remove`; with one it begins with as much of that as is
   * kept (its `length` tells), and its own blocks are kept for others.
   */
  add(prefix?: Prefix): SequenceId;
  /** How much of a prefix `add` would find: tokens, and the blocks of them that nobody uses now. */
  find(prefix: Prefix): { readonly tokens: number; readonly idle: number };
  /** A new sequence that begins with all that the given one holds. */
  fork(sequence: SequenceId): SequenceId;
  /** Forgets a sequence. */
  remove(sequence: SequenceId): void;
  /** Keeps the blocks that a sequence has completed for others from now on; otherwise that waits for its next step. */
  settle(sequence: SequenceId): void;
  /** Tokens that the sequence holds. */
  length(sequence: SequenceId): number;
  /** Blocks that a sequence holds, and those of them that nobody else uses. */
  blocks(sequence: SequenceId): number;
  ownBlocks(sequence: SequenceId): number;
  /** Whether its next token needs a block beyond those, because it would be written into one that others see. */
  copies(sequence: SequenceId): boolean;
  /** How many of the first `length` tokens can still be attended to if the sequence is cut there. */
  keep(sequence: SequenceId, length: number): number;
  /** Forgets all but the first `length` tokens; refused when `keep` says that it cannot. */
  truncate(sequence: SequenceId, length: number): void;
  /** Gives up all that is kept and used by nobody: it may not be what it should be. */
  forget(): void;
  /** Bytes held on the device. */
  bytes(): number;
  close(): void;
}
