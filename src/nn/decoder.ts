/**
 * The frame that all decoder-only models share: embeddings, blocks, a last norm, a head. What a block does
 * is the architecture's affair.
 */
import { ParameterError } from "../base/errors.ts";
import {
  type AttentionMemory,
  type BatchPart,
  type LayerShape,
  makeBatch,
  type TokenBatch,
} from "../cache/index.ts";
import {
  add,
  blockSoftmax,
  embed,
  gather,
  linear,
  type Stream,
  scale,
  softcap,
  type Tensor,
} from "../ops/index.ts";
import type { Layer } from "./layers.ts";
import { RecordedStep } from "./recorded-step.ts";
import type { Rope } from "./rope.ts";
import { type Block, Step } from "./step.ts";

export interface DecoderParts {
  /** Positions that the model was made for. */
  readonly context: number;
  /** [vocabulary, d] */
  readonly embedding: Tensor;
  /** Factor of the embeddings; default 1. */
  readonly embeddingScale?: number;
  /** Learned positions [positions, d], added to the embeddings. */
  readonly positions?: Tensor | undefined;
  readonly blocks: readonly Block[];
  /** What each block needs from the cache. */
  readonly cacheLayers: readonly LayerShape[];
  readonly norm: Layer;
  /** [vocabulary, d], and perhaps a bias [vocabulary]; the embedding itself when tied. */
  readonly head: Tensor;
  readonly headBias?: Tensor | undefined;
  /** `cap · tanh(logits / cap)`; 0 or absent: none. */
  readonly logitSoftcap?: number;
}

export interface ForwardOptions {
  /** First block (default 0) and the one after the last (default all). */
  readonly from?: number;
  readonly to?: number;
  /** The hidden states to begin with, when `from` is not 0: [n, d]. */
  readonly hidden?: Tensor;
  /** Called with the hidden states before block i, for i from `from` to `to`. */
  readonly tap?: (i: number, hidden: Tensor) => void;
  /** Has block i run by `run`, at once: `(_, run) => recompute(run)` when a tape shall not keep what is in it. */
  readonly around?: (i: number, run: () => Tensor) => Tensor;
}

/** Logits of some rows, one after another. */
export interface Logits {
  readonly rows: Float32Array;
  /** What draws must know of blocks of them, row by row (see `summary`); absent where reading all is as quick. */
  readonly summary: Float32Array | undefined;
}

/** Tokens of a vocabulary from which on logits are summarized. */
const LARGE = 1 << 14;

export class Decoder {
  readonly parts: DecoderParts;
  /** Encodings that steps have used. */
  private readonly ropes = new Set<Rope>();

  constructor(parts: DecoderParts) {
    this.parts = parts;
  }

  get vocabularySize(): number {
    return this.parts.head.dim(0);
  }

  get depth(): number {
    return this.parts.blocks.length;
  }

  /**
   * Names the position encodings of a text of this length: where the names are equal, so are the keys of equal tokens.
   * Known once a step has been made.
   */
  lengthKey(length: number): string {
    let name = "";
    for (const rope of this.ropes) name += `${rope.lengthKey(length)} `;
    return name;
  }

  /** Pushes the blocks on the stream: hidden states [n, d] after the last of them, before the norm. */
  forward(s: Stream, batch: TokenBatch, cache: AttentionMemory, options: ForwardOptions = {}): Tensor {
    const { blocks } = this.parts;
    const { from = 0, to = blocks.length, tap, around = (_, run) => run() } = options;
    if (!(0 <= from && from <= to && to <= blocks.length))
      throw new ParameterError("from, to", `there are blocks 0 to ${blocks.length}, not ${from} to ${to}`);
    if (from > 0 !== (options.hidden !== undefined))
      throw new ParameterError("hidden", "hidden states are needed when `from` is not 0, and only then");
    const step = this.begin(s, batch, cache);
    let x = options.hidden ?? this.embed(step);
    for (let i = from; i < to; i++) {
      tap?.(i, x);
      const input = x;
      x = around(i, () => blocks[i]!(step, input));
    }
    tap?.(to, x);
    return x;
  }

  /**
   * The whole way from these tokens to the logits of the given rows, to be run now and with other tokens later.
   * `scales`, as they are when it runs: see `summary`.
   */
  record(
    s: Stream,
    parts: readonly BatchPart[],
    cache: AttentionMemory,
    rows: Int32Array,
    scales?: Float32Array,
  ): RecordedStep {
    const batch = makeBatch(parts);
    const step = this.begin(s, batch, cache);
    const hidden = this.parts.blocks.reduce((x, block) => block(step, x), this.embed(step));
    const logits = this.logits(s, hidden, rows);
    const recording = s.record([logits, ...this.summary(s, logits, scales)]);
    return new RecordedStep(batch, step, recording, (next) => this.checkIds(next));
  }

  /** Logits [r, vocabulary] of the given rows of the last hidden states. */
  logits(s: Stream, hidden: Tensor, rows: Int32Array): Tensor {
    const { norm, head, headBias, logitSoftcap } = this.parts;
    const all = rows.length === hidden.dim(0) && rows.every((row, i) => row === i);
    const normed = norm(s, all ? hidden : gather(s, hidden, s.constant(rows)));
    const logits = linear(s, normed, head, headBias);
    return logitSoftcap ? softcap(s, logits, logitSoftcap) : logits;
  }

  /**
   * Of logits of a large vocabulary, the largest of each block and sums of exponentials, for each row with scales of its
   * own [r, sums]: [r, 1 + sums, blocks], or nothing. See `block_softmax` of the op set.
   */
  summary(s: Stream, logits: Tensor, scales: Float32Array | undefined): Tensor[] {
    if (!scales || this.vocabularySize < LARGE) return [];
    const rows = logits.dim(0);
    return [blockSoftmax(s, logits, s.constant(scales, [rows, scales.length / rows]))];
  }

  private begin(s: Stream, batch: TokenBatch, cache: AttentionMemory): Step {
    this.checkIds(batch);
    return new Step(s, batch, cache.begin(s, batch), this.ropes);
  }

  private embed(step: Step): Tensor {
    const { embedding, embeddingScale = 1, positions } = this.parts;
    const s = step.stream;
    let x = embed(s, embedding, step.ids());
    if (embeddingScale !== 1) x = scale(s, x, embeddingScale);
    if (positions) x = add(s, x, embed(s, positions, step.positions()));
    return x;
  }

  private checkIds({ ids, positions }: TokenBatch): void {
    const size = this.parts.embedding.dim(0);
    const bad = ids.find((id) => id < 0 || id >= size);
    if (bad !== undefined)
      throw new ParameterError("ids", `token ${bad} is outside the vocabulary of ${size}`);
    const limit = this.parts.positions?.dim(0) ?? Number.POSITIVE_INFINITY;
    const far = positions.find((position) => position >= limit);
    if (far !== undefined)
      throw new ParameterError("ids", `position ${far} is beyond the ${limit} that the model has learned`);
  }
}
