/**
 * Brings packed weights back from where they were kept, after a check of their sums, and keeps them after they
 * were packed. Knows devices and sums; must not know what the weights are for, nor what a file is.
 */
import { FoveaError } from "../base/errors.ts";
import type { KeptParts, PackedPart, PackedStore, PackedWriter } from "../checkpoint/packed-cache.ts";
import { CHECKSUM_BYTES, checksum, type Device, type DeviceBuffer, Stream, Tensor } from "../ops/index.ts";

/** Bytes that are checked between two looks at the signal. */
const CHECK_BYTES = 256 << 20;
/** Bytes that are kept at a time, and that are moved: a few milliseconds of the device's time. */
const PIECE_BYTES = 4 << 20;
const MOVE_BYTES = 16 << 20;
/** Pauses of work in the background are so much longer than its pieces take; */
const PAUSE = 3;
/** but no longer than this, as a piece that waited for a plan to end took nothing from others. In ms. */
const LONGEST_PAUSE = 10;

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

/** Parts as the buffers of a device. */
export interface Restored {
  readonly buffers: readonly DeviceBuffer[];
  /** The bytes under this part's buffer are not needed any more. */
  release(part: number): void;
}

/** The parts on the device, in place where it can; undefined when the store has none that are sound. */
export async function restore(
  device: Device,
  store: PackedStore,
  parts: readonly PackedPart[],
  options: RestoreOptions = {},
): Promise<Restored | undefined> {
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
  return sound ? { buffers, release: (part) => kept.release(part) } : undefined;
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
      const part = buffers.length;
      const buffer = device.adopt(kept.bytes(part));
      buffers.push(buffer);
      // Where there is nothing to replace, the device has a copy.
      if (!device.replace) kept.release(part);
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

/** Answers when the next piece may begin; false when the work is to be given up. */
type Pause = (started: number) => Promise<boolean>;

/** Work that leaves most of the time to others. It ends when its device does. */
export class Background {
  private readonly done: Promise<void>;
  private hurried = false;
  private cancelled = false;
  private wake: () => void = () => {};

  constructor(work: (pause: Pause) => Promise<void>) {
    this.done = work((started) =>
      this.pause(Math.min(LONGEST_PAUSE, PAUSE * (performance.now() - started))),
    ).catch((error) => {
      if (!(error instanceof FoveaError)) throw error;
    });
  }

  /** Goes on without pauses, and gives up what is not done after so many milliseconds. */
  async finish(limit: number): Promise<void> {
    this.hurried = true;
    this.cancelled = limit <= 0;
    this.wake();
    const timer = setTimeout(() => {
      this.cancelled = true;
    }, limit);
    await this.done;
    clearTimeout(timer);
  }

  private async pause(ms: number): Promise<boolean> {
    if (!this.hurried)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    return !this.cancelled;
  }
}

/** Writes packed parts into the store. */
export async function save(
  device: Device,
  store: PackedStore,
  parts: readonly PackedPart[],
  buffers: readonly DeviceBuffer[],
  pause: Pause,
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
        const started = performance.now();
        const piece = words(buffers[part]!, offset, Math.min(PIECE_BYTES, bytes - offset));
        const [content, sum] = await s.flush([piece, checksum(s, piece)]);
        await writer.write(part, offset, content!);
        sums.set(sum!, at);
        at += sum!.length;
        if (!(await pause(started))) return await writer.discard();
      }
    await writer.finish(sums);
  } catch (error) {
    // Losing the store is no reason to lose the model.
    await writer?.discard(error);
  }
}

/** Moves parts that were adopted in place into the device's own memory, which it reads faster. */
export async function settle(device: Device, { buffers, release }: Restored, pause: Pause): Promise<void> {
  const s = new Stream(device);
  let copied: { part: number; own: DeviceBuffer }[] = [];
  let replaced: number[] = [];
  let bytes = 0;
  /** Runs the copies, and what was submitted before them: plans that may still read what was replaced last time. */
  const flush = async (): Promise<boolean> => {
    const started = performance.now();
    bytes = 0;
    await s.flush();
    for (const part of replaced) release(part);
    replaced = copied.map(({ part, own }) => {
      device.replace!(buffers[part]!, own);
      return part;
    });
    copied = [];
    return await pause(started);
  };
  for (const [part, buffer] of buffers.entries()) {
    let own: DeviceBuffer;
    try {
      own = device.allocate(buffer.bytes);
    } catch {
      // Without memory for it the rest stays where it is, and works.
      break;
    }
    for (let offset = 0; offset < buffer.bytes; offset += MOVE_BYTES) {
      if (bytes >= MOVE_BYTES && !(await flush())) return device.free(own);
      const count = Math.min(MOVE_BYTES, buffer.bytes - offset);
      s.push({ kind: "copy", x: words(buffer, offset, count), y: words(own, offset, count) });
      bytes += count;
    }
    copied.push({ part, own });
  }
  await flush();
  await flush();
}
