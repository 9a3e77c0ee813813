/** Opens a checkpoint on a device for tests, and runs it over whole prompts. */
import { DenseCache, makeBatch } from "../../src/cache/index.ts";
import { Fields } from "../../src/checkpoint/config.ts";
import { locate } from "../../src/checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../../src/checkpoint/open.ts";
import { type LoadedModel, loadModel } from "../../src/models/index.ts";
import { type Device, Stream, type Tensor } from "../../src/ops/index.ts";

export async function load(path: string, device: Device): Promise<LoadedModel> {
  const files = locate(path);
  const checkpoint = openCheckpoint(files);
  const config =
    files.config === undefined ? undefined : new Fields(files.config, readJsonFile(files.config));
  return await loadModel(checkpoint, config, device);
}

/** Hidden states before and after each block, and logits of all positions, of prompts in one ragged batch. */
export async function forwardAll(
  { decoder, weights: { device } }: LoadedModel,
  prompts: readonly (readonly number[])[],
): Promise<{ hidden: Float32Array[]; logits: Float32Array }> {
  const s = new Stream(device);
  const cache = new DenseCache(device, decoder.parts.cacheLayers, { format: "f32" });
  const batch = makeBatch(prompts.map((ids) => ({ sequence: cache.add(), ids, start: 0 })));
  const taps: Tensor[] = [];
  const hidden = decoder.forward(s, batch, cache, { tap: (_, x) => taps.push(x) });
  const rows = Int32Array.from({ length: batch.ids.length }, (_, i) => i);
  const outputs = await s.flush([...taps, decoder.logits(s, hidden, rows)]);
  cache.close();
  const all = outputs.map((bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4));
  return { hidden: all.slice(0, -1), logits: all.at(-1)! };
}

/** The most likely continuation, one token at a time. */
export async function greedy(
  { decoder, weights: { device } }: LoadedModel,
  prompt: readonly number[],
  count: number,
): Promise<number[]> {
  const cache = new DenseCache(device, decoder.parts.cacheLayers, { format: "f32" });
  const sequence = cache.add();
  const result: number[] = [];
  let ids = prompt;
  for (let start = 0; result.length < count; start += ids.length, ids = result.slice(-1)) {
    const s = new Stream(device);
    const hidden = decoder.forward(s, makeBatch([{ sequence, ids, start }]), cache);
    const logits = await s.read(decoder.logits(s, hidden, Int32Array.of(ids.length - 1)));
    result.push(logits.indexOf(Math.max(...logits)));
  }
  cache.close();
  return result;
}

/** Largest absolute difference, relative to the largest expected value. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  let [difference, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
    if (Number.isNaN(actual[i])) return Number.NaN;
  }
  return actual.length === expected.length ? difference / largest : Number.NaN;
}
