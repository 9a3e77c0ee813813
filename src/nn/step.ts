/** What the layers of a model share during one step. */
import type { CacheStep, TokenBatch } from "../cache/index.ts";
import type { Stream, Tensor } from "../ops/index.ts";
import type { Rope } from "./rope.ts";

export class Step {
  readonly stream: Stream;
  readonly batch: TokenBatch;
  readonly cache: CacheStep;
  private readonly rotations = new Map<Rope, { cos: Tensor; sin: Tensor }>();

  constructor(stream: Stream, batch: TokenBatch, cache: CacheStep) {
    this.stream = stream;
    this.batch = batch;
    this.cache = cache;
  }

  /** The rotation of each row, computed once for all layers that use the same encoding. */
  rotation(rope: Rope): { cos: Tensor; sin: Tensor } {
    let rotation = this.rotations.get(rope);
    if (rotation === undefined) {
      const { cos, sin } = rope.table(this.batch.positions, this.batch.lengths);
      const shape = [this.batch.positions.length, rope.pairs];
      rotation = { cos: this.stream.constant(cos, shape), sin: this.stream.constant(sin, shape) };
      this.rotations.set(rope, rotation);
    }
    return rotation;
  }
}

/** A layer of a model: [n, d] to [n, d]. */
export type Block = (step: Step, x: Tensor) => Tensor;
