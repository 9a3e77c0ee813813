/** Pieces of a WebAssembly memory do not overlap, are aligned, join again, and end with a clear error. */
import { expect, it } from "vitest";
import { Heap } from "../../../src/device/wasm/heap.ts";
import { Random } from "../../support/random.ts";

it("hands out aligned pieces that do not overlap, and takes all of them back", () => {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 1024 });
  const heap = new Heap(memory, 1000, 1024);
  const random = new Random(3);
  const held: { start: number; end: number }[] = [];
  for (let i = 0; i < 3000; i++) {
    if (held.length > 0 && random.next() < 0.5) {
      const [piece] = held.splice(Math.floor(random.next() * held.length), 1);
      heap.release(piece!.start);
      continue;
    }
    const bytes = Math.floor(random.next() ** 4 * 300_000);
    const start = heap.take(bytes);
    expect(start % 64).toBe(0);
    expect(start).toBeGreaterThanOrEqual(1000);
    expect(start + bytes).toBeLessThanOrEqual(memory.buffer.byteLength);
    for (const other of held) expect(start >= other.end || start + bytes <= other.start).toBe(true);
    held.push({ start, end: start + bytes });
  }
  for (const { start } of held) heap.release(start);
  // Everything has joined again: one piece of nearly all there is.
  const grown = memory.buffer.byteLength;
  heap.take(grown - 1024);
  expect(memory.buffer.byteLength).toBe(grown);
});

it("refuses what cannot fit, and goes on", () => {
  const heap = new Heap(new WebAssembly.Memory({ initial: 1, maximum: 100 }), 64, 100);
  const first = heap.take(50 * 65536);
  expect(() => heap.take(60 * 65536)).toThrow(/GiB more do not fit.*native device/);
  heap.release(first);
  expect(heap.take(90 * 65536)).toBe(64);
});
