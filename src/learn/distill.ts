/** Learning from a teacher's probabilities. Knows two decoders over the same vocabulary. */

import { ParameterError } from "../base/errors.ts";
import { BatchAttention, type TokenBatch } from "../cache/index.ts";
import type { Decoder } from "../nn/index.ts";
import { klDivergence, type Stream, scale, type Tensor } from "../ops/index.ts";
import { meanOf } from "./language.ts";

export interface DistillationOptions {
  /** Softens both distributions. Default 2. */
  readonly temperature?: number;
  /** Factor beside the loss of the texts themselves. Default 1. */
  readonly weight?: number;
}

/**
 * A term for `LanguageOptions.more`: weight · T² · KL(teacher ‖ student), both at temperature T (Hinton et al. 2015).
 * The teacher's weights are no parameters of the tape, so nothing flows back to them.
 */
export function distillation(teacher: Decoder, { temperature = 2, weight = 1 }: DistillationOptions = {}) {
  if (!(temperature > 0 && temperature < Infinity))
    throw new ParameterError("temperature", `must be above 0, not ${temperature}`);
  return (s: Stream, logits: Tensor, batch: TokenBatch): Tensor => {
    if (teacher.vocabularySize !== logits.dim(1))
      throw new ParameterError(
        "teacher",
        `has ${teacher.vocabularySize} tokens, but the student ${logits.dim(1)}; they need the same vocabulary`,
      );
    const hidden = teacher.forward(s, batch, new BatchAttention());
    const rows = Int32Array.from(batch.ids, (_, row) => row);
    const divergence = klDivergence(s, logits, teacher.logits(s, hidden, rows), temperature);
    return scale(s, meanOf(s, divergence), weight * temperature ** 2);
  };
}
