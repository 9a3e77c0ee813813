/** One step of a paged cache: its numbers, in the arrays that the step's constants are, and the ops of each layer. */
import type { Stream, Tensor } from "../ops/index.ts";
import type { TokenBatch } from "./batch.ts";
import type { AttentionOptions, CacheStep } from "./kv-cache.ts";
import type { LayerPages } from "./layer-store.ts";
import type { PagedSequences } from "./sequences.ts";
import { emptyPlan, type SharePlan } from "./shares.ts";

/** The numbers of a step for s sequences and n tokens. */
export class StepIndex {
  /** [n] where each token is written. */
  readonly slots: Int32Array;
  /** [s, 3] as `attend` wants them. */
  readonly spans: Int32Array;
  /** [s, width] */
  readonly pages: Int32Array;
  readonly width: number;
  /** What sequences have in common; absent: nothing. */
  readonly plan: SharePlan | undefined;
  /** Rows, from the first, that the plan may speak of. */
  readonly sharedRows: number;

  constructor(tokens: number, sequences: number, width: number, sharedRows: number) {
    this.slots = new Int32Array(tokens);
    this.spans = new Int32Array(3 * sequences);
    this.pages = new Int32Array(sequences * width);
    this.width = width;
    this.sharedRows = sharedRows;
    this.plan = sharedRows > 0 ? emptyPlan(sequences) : undefined;
  }

  /** Writes where the batch's tokens belong, for sequences that have been extended by them. */
  locate(batch: TokenBatch, sequences: PagedSequences, page: number): void {
    const { slots, spans, pages, width } = this;
    for (let i = 0; i < batch.sequences.length; i++) {
      const held = sequences.get(batch.sequences[i]!);
      const [from, to] = [batch.offsets[i]!, batch.offsets[i + 1]!];
      const start = held.length - (to - from);
      for (let row = from; row < to; row++) {
        const position = start + row - from;
        slots[row] = held.pages[Math.floor(position / page)]! * page + (position % page);
      }
      spans[3 * i] = from;
      spans[3 * i + 1] = to - from;
      spans[3 * i + 2] = start;
      pages.set(held.pages, i * width);
    }
  }
}

export class DenseStep implements CacheStep {
  private readonly s: Stream;
  private readonly layers: readonly LayerPages[];
  private readonly slots: Tensor;
  private readonly indices: {
    readonly spans: Tensor;
    readonly pages: Tensor;
    readonly order?: Tensor;
    readonly shares?: Tensor;
  };
  private readonly numbers: { readonly longest: number; readonly sharedRows: number };
  readonly again: CacheStep["again"];

  constructor(
    s: Stream,
    layers: readonly LayerPages[],
    index: StepIndex,
    page: number,
    again: CacheStep["again"],
  ) {
    const { slots, spans, pages, width, plan, sharedRows } = index;
    const sequences = spans.length / 3;
    this.s = s;
    this.layers = layers;
    this.slots = s.constant(slots);
    this.indices = {
      spans: s.constant(spans, [sequences, 3]),
      pages: s.constant(pages, [sequences, width]),
      ...(plan
        ? { order: s.constant(plan.order), shares: s.constant(plan.shares, [sequences, 4]) }
        : undefined),
    };
    this.numbers = { longest: width * page, sharedRows };
    this.again = again;
  }

  append(layer: number, k: Tensor, v: Tensor): void {
    const { keys, values } = this.layers[layer]!;
    this.s.push({ kind: "cache_write", k, v, slots: this.slots, keys, values });
  }

  attend(layer: number, q: Tensor, options: AttentionOptions): Tensor {
    const { keys, values, shape } = this.layers[layer]!;
    const y = this.s.empty("f32", [q.dim(0), q.dim(1), shape.valueDim]);
    this.s.push({
      kind: "attend",
      ...{ q, keys, values, y },
      ...this.indices,
      ...options,
      ...this.numbers,
      causal: 1,
    });
    return y;
  }
}
