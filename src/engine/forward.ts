/**
 * Steps of a decoder over several sequences. A step in which each has one token is recorded, and run again for as long
 * as it fits. Knows tokens and rows; not whose they are.
 */
import { type BatchPart, type KvCache, makeBatch } from "../cache/index.ts";
import { type Decoder, type Logits, logitsOf, type RecordedStep } from "../nn/index.ts";
import { type Device, Stream, type StreamOptions } from "../ops/index.ts";

/** Recorded steps that are kept, for different numbers of sequences: each has room for its logits. */
const RECORDINGS = 8;

export class Forward {
  private readonly decoder: Decoder;
  private readonly device: Device;
  private readonly cache: KvCache;
  private readonly options: StreamOptions;
  /** By number of sequences, the one that was used last at the end. */
  private readonly recorded = new Map<
    number,
    { readonly step: RecordedStep; readonly scales: Float32Array }
  >();

  constructor(decoder: Decoder, device: Device, cache: KvCache, options: StreamOptions = {}) {
    this.decoder = decoder;
    this.device = device;
    this.cache = cache;
    this.options = options;
  }

  /**
   * One token for each of the sequences: the logits after them, which the next such step writes over. `scales`: those
   * of the sums that draws need, row by row.
   */
  decode(parts: readonly BatchPart[], scales: readonly number[]): Promise<Logits> {
    const { recorded } = this;
    const count = parts.length;
    let one = recorded.get(count);
    if (!one?.step.again(parts)) {
      const rows = Int32Array.from({ length: count }, (_, i) => i);
      const own = Float32Array.from(scales);
      const step = this.decoder.record(new Stream(this.device, this.options), parts, this.cache, rows, own);
      one = { step, scales: own };
    } else one.scales.set(scales);
    if (recorded.size > 1 || !recorded.has(count)) recorded.delete(count);
    recorded.set(count, one);
    if (recorded.size > RECORDINGS) recorded.delete(recorded.keys().next().value!);
    return one.step.run();
  }

  /** Any parts: the logits after the given rows, one after another; without scales nobody draws from them. */
  async mixed(
    parts: readonly BatchPart[],
    rows: readonly number[],
    scales: readonly number[] | undefined,
  ): Promise<Logits> {
    const s = new Stream(this.device, this.options);
    const hidden = this.decoder.forward(s, makeBatch(parts), this.cache);
    if (rows.length > 0) {
      const logits = this.decoder.logits(s, hidden, Int32Array.from(rows));
      const summary = this.decoder.summary(s, logits, scales && Float32Array.from(scales));
      return logitsOf(await s.flush([logits, ...summary]));
    }
    await s.flush();
    return { rows: new Float32Array(0), summary: undefined };
  }
}
