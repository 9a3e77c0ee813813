/**
 * Attention without a cache: the tokens of a batch attend to each other, within their sequences. For training
 * and for encoders, whose sequences come whole.
 */
import { ParameterError } from "../base/errors.ts";
import { attendWithin, type Stream, type Tensor } from "../ops/index.ts";
import type { TokenBatch } from "./batch.ts";
import type { AttentionMemory, AttentionOptions, CacheStep } from "./kv-cache.ts";

export interface BatchAttentionOptions {
  /** Whether tokens see only those before them (default), or all of their sequence, as in encoders. */
  readonly causal?: boolean;
}

export class BatchAttention implements AttentionMemory {
  private readonly causal: boolean;

  constructor({ causal = true }: BatchAttentionOptions = {}) {
    this.causal = causal;
  }

  begin(s: Stream, batch: TokenBatch): CacheStep {
    checkWhole(batch);
    const offsets = batch.offsets.slice();
    const lengths = Array.from(batch.sequences, (_, i) => offsets[i + 1]! - offsets[i]!);
    const longest = Math.max(0, ...lengths);
    return new WithinStep(s, s.constant(offsets), longest, this.causal, (next) => {
      checkWhole(next);
      return next.offsets.length === offsets.length && next.offsets.every((row, i) => row === offsets[i]);
    });
  }
}

function checkWhole({ positions, offsets, sequences }: TokenBatch): void {
  for (let i = 0; i < sequences.length; i++) {
    const [from, to] = [offsets[i]!, offsets[i + 1]!];
    if (to > from && positions[from] !== 0)
      throw new ParameterError(
        "batch",
        `a part starts at position ${positions[from]}, but nothing is remembered of what came before; give whole sequences`,
      );
  }
}

class WithinStep implements CacheStep {
  private readonly s: Stream;
  private readonly offsets: Tensor;
  private readonly longest: number;
  private readonly causal: boolean;
  private readonly layers = new Map<number, { k: Tensor; v: Tensor }>();
  readonly again: CacheStep["again"];

  constructor(s: Stream, offsets: Tensor, longest: number, causal: boolean, again: CacheStep["again"]) {
    this.s = s;
    this.offsets = offsets;
    this.longest = longest;
    this.causal = causal;
    this.again = again;
  }

  append(layer: number, k: Tensor, v: Tensor): void {
    this.layers.set(layer, { k, v });
  }

  attend(layer: number, q: Tensor, options: AttentionOptions): Tensor {
    const { s, longest } = this;
    const causal = Number(this.causal);
    return attendWithin(s, { q, ...this.layers.get(layer)! }, this.offsets, { ...options, causal, longest })
      .y;
  }
}
