/**
 * What a language model learns: to foretell each next token of windows of a corpus. Knows decoders and tokens; must not
 * know optimizers or files.
 */
import { BatchAttention, makeBatch, type TokenBatch } from "../cache/index.ts";
import type { Recompute } from "../grad/index.ts";
import type { Decoder } from "../nn/index.ts";
import { crossEntropy, type Stream, scale, sum, type Tensor } from "../ops/index.ts";
import type { Objective } from "./trainer.ts";

/** Gives tokens [start, start + out.length). */
export interface TokenSource {
  read(start: number, out: Int32Array): void;
}

export interface LanguageOptions {
  readonly decoder: Decoder;
  readonly tokens: TokenSource;
  /** Where window n begins. */
  readonly start: (n: number) => number;
  /** Tokens that a window predicts; one more is read. */
  readonly context: number;
  /** Windows of a batch. */
  readonly windows: number;
  /** Batches of a step. Default 1. */
  readonly batches?: number;
  /** Label smoothing. Default 0. */
  readonly smoothing?: number;
  /** Computes blocks anew on the way back in place of keeping what is in them. Default false. */
  readonly recompute?: boolean;
  /** Added to the loss of each batch, from its logits [n, v]: the divergence from a teacher, say. */
  readonly more?: (s: Stream, logits: Tensor, batch: TokenBatch) => Tensor;
}

export class LanguageObjective implements Objective {
  readonly batches: number;
  private readonly options: LanguageOptions;
  private readonly inputs: readonly TokenBatch[];
  private readonly targets: readonly Int32Array[];

  constructor(options: LanguageOptions) {
    this.options = options;
    this.batches = options.batches ?? 1;
    const { context, windows } = options;
    this.inputs = Array.from({ length: this.batches }, () =>
      makeBatch(
        Array.from({ length: windows }, (_, sequence) => ({
          sequence,
          ids: new Int32Array(context),
          start: 0,
        })),
      ),
    );
    this.targets = this.inputs.map(() => new Int32Array(windows * context));
  }

  get tokensPerStep(): number {
    return this.batches * this.options.windows * this.options.context;
  }

  /** Windows `step · (windows of a step)` and following. */
  feed(step: number): void {
    const { tokens, start, context, windows } = this.options;
    const window = new Int32Array(context + 1);
    for (let batch = 0; batch < this.batches; batch++)
      for (let i = 0; i < windows; i++) {
        tokens.read(start((step * this.batches + batch) * windows + i), window);
        this.inputs[batch]!.ids.set(window.subarray(0, context), i * context);
        this.targets[batch]!.set(window.subarray(1), i * context);
      }
  }

  push(s: Stream, batch: number, recompute: Recompute): Tensor {
    const { decoder, smoothing = 0, more } = this.options;
    const input = this.inputs[batch]!;
    const hidden = decoder.forward(s, input, new BatchAttention(), {
      ...(this.options.recompute && { around: (_: number, run: () => Tensor) => recompute(run) }),
    });
    const rows = Int32Array.from(input.ids, (_, row) => row);
    const logits = decoder.logits(s, hidden, rows);
    const losses = crossEntropy(s, logits, s.constant(this.targets[batch]!), { smoothing });
    const loss = meanOf(s, losses);
    if (!more) return loss;
    const total = s.empty("f32", [1, 1]);
    s.push({ kind: "add", a: loss, b: more(s, logits, input), y: total });
    return total;
  }
}

/** The mean of a loss of each row, [n, 1] to [1, 1]. */
export const meanOf = (s: Stream, losses: Tensor): Tensor =>
  scale(s, sum(s, losses, [1, 1]), 1 / losses.dim(0));
