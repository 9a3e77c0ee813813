/**
 * Steps of a decoder over several sequences. A step in which each has one token is recorded, and run again for as long
 * as it fits. Knows tokens and rows; not whose they are.
 */
import { type BatchPart, type KvCache, makeBatch } from "../cache/index.ts";
import type { Decoder, RecordedStep } from "../nn/index.ts";
import { type Device, Stream } from "../ops/index.ts";

/** Recorded steps that are kept, for different numbers of sequences: each has room for its logits. */
const RECORDINGS = 8;

export class Forward {
  private readonly decoder: Decoder;
  private readonly device: Device;
  private readonly cache: KvCache;
  /** By number of sequences, the one that was used last at the end. */
  private readonly recorded = new Map<number, RecordedStep>();

  constructor(decoder: Decoder, device: Device, cache: KvCache) {
    this.decoder = decoder;
    this.device = device;
    this.cache = cache;
  }

  /** One token for each of the sequences: the logits after them, which the next such step writes over. */
  decode(parts: readonly BatchPart[]): Promise<Float32Array> {
    const { recorded } = this;
    const count = parts.length;
    let step = recorded.get(count);
    if (!step?.again(parts)) {
      const rows = Int32Array.from({ length: count }, (_, i) => i);
      step = this.decoder.record(new Stream(this.device), parts, this.cache, rows);
    }
    if (recorded.size > 1 || !recorded.has(count)) recorded.delete(count);
    recorded.set(count, step);
    if (recorded.size > RECORDINGS) recorded.delete(recorded.keys().next().value!);
    return step.run();
  }

  /** Any parts: the logits after the given rows, one after another. */
  async mixed(parts: readonly BatchPart[], rows: readonly number[]): Promise<Float32Array> {
    const s = new Stream(this.device);
    const hidden = this.decoder.forward(s, makeBatch(parts), this.cache);
    if (rows.length > 0) return await s.read(this.decoder.logits(s, hidden, Int32Array.from(rows)));
    await s.flush();
    return new Float32Array(0);
  }
}
