/**
 * Divides a WebAssembly memory: pieces are taken and given back, and the memory grows when no free piece is
 * large enough. Knows addresses only.
 */
import { DeviceError } from "../../base/errors.ts";

const PAGE = 65536;
/** The memory grows by at least so many pages. */
const STEP = 64;
const ALIGN = 64;

const aligned = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;

export class Heap {
  private readonly memory: WebAssembly.Memory;
  /** The last page stays unused, so that no end is at 2^32. */
  private readonly mostPages: number;
  /** Free pieces by address, never touching each other. */
  private readonly free: { start: number; end: number }[] = [];
  private readonly sizes = new Map<number, number>();
  private end: number;

  constructor(memory: WebAssembly.Memory, base: number, mostPages: number) {
    this.memory = memory;
    this.mostPages = mostPages - 1;
    this.end = aligned(base);
    this.give(this.end, memory.buffer.byteLength);
    this.end = memory.buffer.byteLength;
  }

  /** The address of a piece with undefined content. Throws a `DeviceError` when the memory cannot grow. */
  take(bytes: number): number {
    const size = aligned(bytes);
    let best = this.smallest(size);
    if (best < 0) {
      this.grow(size);
      best = this.smallest(size);
    }
    const piece = this.free[best]!;
    const { start } = piece;
    piece.start += size;
    if (piece.start === piece.end) this.free.splice(best, 1);
    this.sizes.set(start, size);
    return start;
  }

  release(address: number): void {
    const size = this.sizes.get(address)!;
    this.sizes.delete(address);
    this.give(address, address + size);
  }

  private smallest(size: number): number {
    let best = -1;
    this.free.forEach(({ start, end }, i) => {
      if (end - start < size) return;
      if (best < 0 || end - start < this.free[best]!.end - this.free[best]!.start) best = i;
    });
    return best;
  }

  private give(start: number, end: number): void {
    let i = this.free.findIndex((piece) => piece.start >= end);
    if (i < 0) i = this.free.length;
    this.free.splice(i, 0, { start, end });
    for (const left of [i, i - 1]) {
      const [a, b] = [this.free[left], this.free[left + 1]];
      if (!a || !b || a.end !== b.start) continue;
      a.end = b.end;
      this.free.splice(left + 1, 1);
    }
  }

  private grow(size: number): void {
    const last = this.free.at(-1);
    const start = last?.end === this.end ? last.start : this.end;
    const needed = Math.ceil((start + size - this.end) / PAGE);
    const held = this.end / PAGE;
    if (held + needed > this.mostPages) throw this.full(size);
    const pages = Math.min(Math.max(needed, STEP), this.mostPages - held);
    try {
      this.memory.grow(pages);
    } catch {
      throw this.full(size);
    }
    this.give(this.end, this.end + pages * PAGE);
    this.end += pages * PAGE;
  }

  private full(size: number): DeviceError {
    const gigabytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);
    return new DeviceError(
      "wasm",
      `${gigabytes(size)} GiB more do not fit: ${gigabytes(this.end)} GiB are in use, and a WebAssembly memory ` +
        `has at most ${gigabytes(this.mostPages * PAGE)} GiB; use a smaller model or the native device`,
    );
  }
}

/** A piece that is made larger when need be; its content is lost then. */
export class Region {
  private readonly heap: Heap;
  address = 0;
  bytes = 0;

  constructor(heap: Heap) {
    this.heap = heap;
  }

  /** Some room is added, so that slowly growing needs move a region seldom. */
  reserve(bytes: number): void {
    if (this.address !== 0 && this.bytes >= bytes) return;
    if (this.address !== 0) this.heap.release(this.address);
    this.address = this.bytes = 0;
    const wanted = bytes + Math.ceil(bytes / 8);
    this.address = this.heap.take(wanted);
    this.bytes = wanted;
  }
}
