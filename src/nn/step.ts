/**
 * What the layers of a model share during one step. Layers see the tokens as tensors only, never as numbers: what
 * they push depends on shapes, and so a recorded step stays right when it is begun again with other tokens.
 */
import type { CacheStep, TokenBatch } from "../cache/index.ts";
import type { Stream, Tensor } from "../ops/index.ts";
import type { Rope } from "./rope.ts";

interface Rotation {
  /** [n, pairs] */
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export class Step {
  readonly stream: Stream;
  readonly cache: CacheStep;
  private readonly batch: TokenBatch;
  private readonly rotations = new Map<Rope, Rotation & { readonly again: () => void }>();

  private readonly ropes: Set<Rope>;

  /** `ropes`: where the encodings that are used are told. */
  constructor(stream: Stream, batch: TokenBatch, cache: CacheStep, ropes: Set<Rope>) {
    this.stream = stream;
    this.batch = batch;
    this.cache = cache;
    this.ropes = ropes;
  }

  /** i32 [n] */
  ids(): Tensor {
    return this.stream.constant(this.batch.ids);
  }

  /** Position of each token in its sequence, i32 [n]. */
  positions(): Tensor {
    return this.stream.constant(this.batch.positions);
  }

  /** The rotation of each row, computed once for all layers that use the same encoding. */
  rotation(rope: Rope): Rotation {
    let rotation = this.rotations.get(rope);
    if (rotation === undefined) {
      const { positions, lengths } = this.batch;
      const { cos, sin } = rope.table(positions, lengths);
      const shape = [positions.length, rope.pairs];
      rotation = {
        cos: this.stream.constant(cos, shape),
        sin: this.stream.constant(sin, shape),
        again: () => rope.table(positions, lengths, cos, sin),
      };
      this.rotations.set(rope, rotation);
      this.ropes.add(rope);
    }
    return rotation;
  }

  /** Brings all numbers up to date with the batch, which has other tokens now; see {@link CacheStep.again}. */
  again(): boolean {
    if (!this.cache.again(this.batch)) return false;
    for (const rotation of this.rotations.values()) rotation.again();
    return true;
  }
}

/** A layer of a model: [n, d] to [n, d]. */
export type Block = (step: Step, x: Tensor) => Tensor;
