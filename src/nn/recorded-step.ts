/**
 * A step of a decoder that runs again and again with other tokens: nothing is pushed, checked, placed or encoded
 * anew, only the numbers change that tokens and positions decide.
 */
import { type BatchPart, refill, type TokenBatch } from "../cache/index.ts";
import type { Recording } from "../ops/index.ts";
import type { Logits } from "./decoder.ts";
import type { Step } from "./step.ts";

export class RecordedStep {
  private readonly batch: TokenBatch;
  private readonly step: Step;
  private readonly recording: Recording;
  private readonly check: (batch: TokenBatch) => void;

  /** `check` refuses tokens that the decoder cannot take. */
  constructor(batch: TokenBatch, step: Step, recording: Recording, check: (batch: TokenBatch) => void) {
    this.batch = batch;
    this.step = step;
    this.recording = recording;
    this.check = check;
  }

  /**
   * Makes it the step of these tokens, which count as the cache's from now on. False when they need another step:
   * more or fewer parts, or longer ones, or the cache must copy, or has moved.
   */
  again(parts: readonly BatchPart[]): boolean {
    if (!refill(this.batch, parts)) return false;
    this.check(this.batch);
    return this.step.again();
  }

  /** Logits, one row after another; the next run writes over them. */
  async run(): Promise<Logits> {
    return logitsOf(await this.recording.run());
  }
}

/** What `Decoder.logits` had the stream give, as numbers. */
export function logitsOf([rows, summary]: readonly Uint8Array[]): Logits {
  const numbers = (bytes: Uint8Array): Float32Array =>
    new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return { rows: numbers(rows!), summary: summary && numbers(summary) };
}
