/**
 * Brings packed weights back from where they were kept, after a check of their sums, and keeps them after they
 * were packed. Knows devices and sums; must not know what the weights are for, nor what a file is.
 */
import { FoveaError } from "../base/errors.ts";
import type { KeptParts, PackedPart, PackedStore, PackedWriter } from "../checkpoint/packed-cache.ts";
import { CHECKSUM_BYTES, checksum, type Device, type DeviceBuffer, Stream, Tensor } from "../ops/index.ts";

/** Bytes that are checked between two looks at the signal. */
const CHECK_BYTES = 256 << 20;
/** Bytes that are kept at a time: a fraction of a millisecond of the device's time. */
const PIECE_BYTES = 1 << 20;
/** A background is one that leaves most of the time to others: pauses are so much longer than the work. */
const PAUSE = 3;

const sumsBytes = (bytes: number): number => 8 * Math.ceil(bytes / CHECKSUM_BYTES);
const allSums = (parts: readonly PackedPart[]): number =>
  parts.reduce((sum, { bytes }) => sum + sumsBytes(bytes), 0);

/** The bytes of a buffer from `offset`, as words. */
const words = (buffer: DeviceBuffer, offset: number, bytes: number): Tensor =>
  new Tensor("i32", [bytes / 4], buffer, { offset });

export interface RestoreOptions {
  /** Called with the number of parts that are checked. */
  readonly onProgress?: ((parts: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The parts as buffers of the device, in place where it can; undefined when the store has none that are sound. */
export async function restore(
  device: Device,
  store: PackedStore,
  parts: readonly PackedPart[],
  options: RestoreOptions = {},
): Promise<DeviceBuffer[] | undefined> {
  const kept = device.panelLayout && store.find(device.panelLayout, parts, allSums(parts));
  if (!kept) return undefined;
  const buffers: DeviceBuffer[] = [];
  let sound = false;
  try {
    sound = await adoptAll(device, kept, parts, buffers, options);
    if (!sound) kept.refuse("its checksums do not fit its content; it is damaged");
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    kept.refuse(error.message);
  } finally {
    kept.close();
    if (!sound) for (const buffer of buffers) device.free(buffer);
  }
  return sound ? buffers : undefined;
}

/** False when a sum is not what it should be. */
async function adoptAll(
  device: Device,
  kept: KeptParts,
  parts: readonly PackedPart[],
  buffers: DeviceBuffer[],
  { onProgress, signal }: RestoreOptions,
): Promise<boolean> {
  const s = new Stream(device);
  let at = 0;
  while (buffers.length < parts.length) {
    signal?.throwIfAborted();
    const sums: Tensor[] = [];
    for (let bytes = 0; buffers.length < parts.length && bytes < CHECK_BYTES; ) {
      const buffer = device.adopt(kept.bytes(buffers.length));
      buffers.push(buffer);
      bytes += buffer.bytes;
      sums.push(checksum(s, words(buffer, 0, buffer.bytes)));
    }
    for (const found of await s.flush(sums)) {
      const wanted = kept.sums.subarray(at, at + found.length);
      if (!found.every((byte, i) => byte === wanted[i])) return false;
      at += found.length;
    }
    onProgress?.(buffers.length);
  }
  return true;
}

/** Weights on their way into the store, in the background. */
export class Saving {
  private readonly done: Promise<void>;
  private hurried = false;
  private cancelled = false;
  private wake: () => void = () => {};

  constructor(
    device: Device,
    store: PackedStore,
    parts: readonly PackedPart[],
    buffers: readonly DeviceBuffer[],
  ) {
    this.done = this.run(device, store, parts, buffers);
  }

  /** Goes on without pauses, and gives up what is not kept after so many milliseconds. */
  async finish(limit: number): Promise<void> {
    this.hurried = true;
    this.wake();
    const timer = setTimeout(() => {
      this.cancelled = true;
    }, limit);
    await this.done;
    clearTimeout(timer);
  }

  private async run(
    device: Device,
    store: PackedStore,
    parts: readonly PackedPart[],
    buffers: readonly DeviceBuffer[],
  ): Promise<void> {
    let writer: PackedWriter | undefined;
    try {
      writer = await store.create(device.panelLayout!, parts, allSums(parts));
      if (!writer) return;
      const sums = new Uint8Array(allSums(parts));
      const s = new Stream(device);
      let at = 0;
      for (const [part, { bytes }] of parts.entries())
        for (let offset = 0; offset < bytes; offset += PIECE_BYTES) {
          if (this.cancelled) return await writer.discard();
          const started = performance.now();
          const piece = words(buffers[part]!, offset, Math.min(PIECE_BYTES, bytes - offset));
          // What is written and what is summed is the same copy of the memory, or nearly.
          const [content, sum] = await s.flush([piece, checksum(s, piece)]);
          await writer.write(part, offset, content!);
          sums.set(sum!, at);
          at += sum!.length;
          await this.pause(PAUSE * (performance.now() - started));
        }
      await writer.finish(sums);
    } catch (error) {
      // Losing the store is no reason to lose the model.
      await writer?.discard(error);
    }
  }

  private pause(ms: number): Promise<void> {
    if (this.hurried) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
