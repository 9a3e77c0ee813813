/** What the cache keeps, shares and gives up, in blocks. What it computes with them is compared elsewhere. */
import { describe, expect, it } from "vitest";
import {
  DenseCache,
  type DenseCacheOptions,
  makeBatch,
  type Prefix,
  type SequenceId,
} from "../../../src/cache/index.ts";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { Stream } from "../../../src/ops/index.ts";

const BLOCK = DenseCache.block;
const device = new ReferenceDevice();

function open(options: Partial<DenseCacheOptions> = {}): DenseCache {
  return new DenseCache(device, [{ kvHeads: 1, keyDim: 2, valueDim: 2 }], { format: "f32", ...options });
}

const text = (length: number, seed = 0): number[] => Array.from({ length }, (_, i) => (i * 7 + seed) % 1000);
const prefix = (ids: readonly number[], salt = "", promptLength = ids.length): Prefix => ({
  ...{ ids, salt, promptLength, most: ids.length - 1 },
});

/** A sequence is given the tokens of a text that it lacks. */
async function feed(cache: DenseCache, sequence: SequenceId, ids: readonly number[]): Promise<void> {
  const s = new Stream(device);
  const start = cache.length(sequence);
  const part = ids.slice(start);
  const step = cache.begin(s, makeBatch([{ sequence, ids: part, start }]));
  const zeros = s.constant(new Float32Array(2 * part.length), [part.length, 1, 2]);
  step.append(0, zeros, zeros);
  await s.flush();
}

async function run(cache: DenseCache, ids: readonly number[], salt = ""): Promise<number> {
  const sequence = cache.add(prefix(ids, salt));
  const found = cache.length(sequence);
  await feed(cache, sequence, ids);
  cache.remove(sequence);
  return found;
}

describe("the cache of texts", () => {
  it("gives whole blocks of what it has seen, and always leaves a token to run", async () => {
    const cache = open();
    const ids = text(3 * BLOCK);
    expect(await run(cache, ids)).toBe(0);
    expect(cache.find(prefix(ids))).toEqual({ tokens: 2 * BLOCK, idle: 2 });
    expect(await run(cache, [...ids, 1])).toBe(3 * BLOCK);
    expect(await run(cache, [...ids.slice(0, BLOCK + 5), ...text(BLOCK, 3)])).toBe(BLOCK);
    expect(await run(cache, text(100, 1))).toBe(0);
    cache.close();
  });

  it("gives nothing to another salt", async () => {
    const cache = open();
    await run(cache, text(200), "alice");
    expect(await run(cache, text(200), "bob")).toBe(0);
    expect(await run(cache, text(200), "alice")).toBe(3 * BLOCK);
    cache.close();
  });

  it("tells texts apart whose encodings differ by their length", async () => {
    const cache = open({ lengthKey: (length) => (length > 300 ? "long" : "short") });
    await run(cache, text(250));
    expect(await run(cache, text(290))).toBe(3 * BLOCK);
    expect(await run(cache, text(310))).toBe(0);
    expect(await run(cache, text(400))).toBe(4 * BLOCK);
    cache.close();
  });

  it("holds a prefix once, however many go on from it", async () => {
    const cache = open({ capacity: 1000 * BLOCK });
    const first = cache.add();
    await feed(cache, first, text(10 * BLOCK + 10));
    const all = [first, ...Array.from({ length: 31 }, () => cache.fork(first))];
    for (const one of all) await feed(cache, one, [...text(10 * BLOCK + 10), one]);
    expect(cache.capacity - cache.available).toBe(10 + 32);
    for (const one of all) expect(cache.blocks(one)).toBe(11);
    expect(cache.ownBlocks(first)).toBe(1);
    for (const one of all) cache.remove(one);
    expect(cache.available).toBe(cache.capacity);
    cache.close();
  });

  it("makes one of blocks that two have computed at the same time", async () => {
    const cache = open({ capacity: 100 * BLOCK });
    const ids = text(4 * BLOCK + 1);
    const twins = [cache.add(prefix(ids)), cache.add(prefix(ids))];
    for (const one of twins) await feed(cache, one, ids);
    expect(cache.capacity - cache.available).toBe(10);
    for (const one of twins) cache.settle(one);
    expect(cache.capacity - cache.available).toBe(6);
    for (const one of twins) cache.remove(one);
    expect([cache.available, cache.kept]).toEqual([100, 4]);
    cache.close();
  });

  it("copies a block that is kept before it writes into it", async () => {
    const cache = open({ capacity: 20 * BLOCK });
    const ids = text(2 * BLOCK);
    const one = cache.add(prefix(ids));
    await feed(cache, one, ids);
    cache.truncate(one, BLOCK + 3);
    expect([cache.copies(one), cache.kept]).toEqual([true, 2]);
    await feed(cache, one, [...ids.slice(0, BLOCK + 3), 999]);
    expect(cache.copies(one)).toBe(false);
    cache.remove(one);
    expect(await run(cache, [...ids, 1])).toBe(2 * BLOCK);
    cache.close();
  });

  it("gives up what was used longest ago, and refuses when all is in use", async () => {
    const cache = open({ capacity: 6 * BLOCK });
    for (const seed of [1, 2, 3]) await run(cache, text(2 * BLOCK, seed));
    await run(cache, text(BLOCK + 1, 1)); // takes a block of text 2, its end
    expect(await run(cache, text(2 * BLOCK + 1, 3))).toBe(2 * BLOCK);
    const one = cache.add(prefix(text(6 * BLOCK, 9)));
    await feed(cache, one, text(6 * BLOCK, 9));
    expect(cache.available).toBe(0);
    const other = cache.add();
    await expect(feed(cache, other, [1])).rejects.toThrow(/no room: all of its 6 blocks of 64 tokens/);
    cache.close();
  });

  it("keeps nothing of what it is told to forget, but what is in use", async () => {
    const cache = open({ capacity: 20 * BLOCK });
    await run(cache, text(3 * BLOCK));
    const one = cache.add(prefix(text(BLOCK + 1)));
    cache.forget();
    expect([cache.kept, cache.length(one)]).toEqual([1, BLOCK]);
    cache.remove(one);
    expect(await run(cache, text(3 * BLOCK))).toBe(BLOCK);
    cache.close();
  });

  it("holds no memory that it asked for in vain", async () => {
    const own = new ReferenceDevice();
    const layers = [1, 2, 3].map(() => ({ kvHeads: 1, keyDim: 2, valueDim: 2 }));
    const cache = new DenseCache(own, layers, { format: "f32", tokens: BLOCK });
    const sequence = cache.add();
    const allocate = own.allocate.bind(own);
    const before = own.memory().buffers;
    for (const enough of [1, 3, 4]) {
      let left = enough;
      own.allocate = (bytes) => {
        if (left-- === 0) throw new Error("no more memory");
        return allocate(bytes);
      };
      const batch = makeBatch([{ sequence, ids: text(2 * BLOCK), start: 0 }]);
      expect(() => cache.begin(new Stream(own), batch)).toThrow("no more memory");
    }
    own.allocate = allocate;
    cache.begin(new Stream(own), makeBatch([{ sequence, ids: [1], start: 0 }]));
    expect(own.memory().buffers).toBe(before);
    cache.close();
    expect(own.memory().buffers).toBe(0);
  });
});
