/**
 * The promise of design: a request's bits do not depend on how its prompt is cut, on who else is in the batch,
 * or on the number of threads.
 */
import { describe, expect, it } from "vitest";
import { type BatchPart, DenseCache, makeBatch } from "../../src/cache/index.ts";
import type { LoadedModel } from "../../src/models/index.ts";
import type { RecordedStep } from "../../src/nn/index.ts";
import { type Device, type Precision, Stream } from "../../src/ops/index.ts";
import { subjects } from "../support/devices.ts";
import { load } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";

const checkpoints: readonly (readonly [checkpoint: string, precision: Precision])[] = [
  ["golden/llama", "f32"],
  ["golden/gemma", "f32"],
  ["golden/mixtral", "f32"],
  ["golden/gpt2", "f32"],
  ["models/stories260K/hf", "f32"],
  ["golden/gpt2", "bf16"],
  ["models/stories260K/hf", "bf16"],
];

/** 100 tokens: more than a page of the cache, no multiple of anything. */
const ids = Array.from({ length: 100 }, (_, i) => (i * 37 + 11) % 250);

/** Runs parts in steps; gives the logits after the last token of sequence 0 in each step that has it. */
async function run(
  model: LoadedModel,
  device: Device,
  steps: readonly (readonly BatchPart[])[],
  precision: Precision,
): Promise<Float32Array> {
  const cache = new DenseCache(device, model.decoder.parts.cacheLayers, { format: "f16" });
  for (let i = 0; i < 3; i++) cache.add();
  let last = new Float32Array(0);
  for (const parts of steps) {
    const s = new Stream(device, { precision });
    const hidden = model.decoder.forward(s, makeBatch(parts), cache);
    let row = -1;
    for (const part of parts) {
      row += part.ids.length;
      if (part.sequence === 0) break;
    }
    last = Float32Array.from(await s.read(model.decoder.logits(s, hidden, Int32Array.of(row))));
  }
  cache.close();
  return last;
}

/**
 * Token by token with steps that are recorded and begun again, as far as they fit. The cache begins with one page,
 * the sequence is forked on the way, and in the end another one takes over the step.
 */
async function replay(
  model: LoadedModel,
  device: Device,
  precision: Precision,
): Promise<{ logits: Float32Array; recorded: number; other: Float32Array }> {
  const cache = new DenseCache(device, model.decoder.parts.cacheLayers, { format: "f16", tokens: 64 });
  let step: RecordedStep | undefined;
  let recorded = 0;
  const decode = async (sequence: number, position: number, promptLength: number): Promise<Float32Array> => {
    const parts = [{ sequence, ids: ids.slice(position, position + 1), start: position, promptLength }];
    if (!step?.again(parts)) {
      step = model.decoder.record(new Stream(device, { precision }), parts, cache, Int32Array.of(0));
      recorded++;
    }
    return Float32Array.from((await step.run()).rows);
  };
  const sequence = cache.add();
  let logits: Float32Array = new Float32Array(0);
  for (let position = 0; position < ids.length; position++) {
    if (position === 30) cache.fork(sequence);
    logits = await decode(sequence, position, ids.length);
  }
  const second = cache.add();
  let other: Float32Array = new Float32Array(0);
  for (let position = 0; position < 10; position++) other = await decode(second, position, 10);
  cache.close();
  return { logits, recorded, other };
}

const chunks = (size: number): BatchPart[][] =>
  Array.from({ length: Math.ceil(ids.length / size) }, (_, i) => [
    { sequence: 0, ids: ids.slice(i * size, (i + 1) * size), start: i * size, promptLength: ids.length },
  ]);
const others = (start: number, count: number): BatchPart[] =>
  [1, 2].map((sequence) => ({ sequence, ids: ids.slice(start, start + count).reverse(), start }));

describe.skipIf(!haveShared)("the same bits however a prompt is run", () => {
  for (const { name, open } of subjects)
    for (const [checkpoint, precision] of checkpoints)
      it(`${name}, ${checkpoint}, ${precision}`, async () => {
        const opened: Device[] = [];
        const on = async (threads: number): Promise<[LoadedModel, Device]> => {
          const device = await open(threads);
          opened.push(device);
          return [await load(shared(checkpoint), device), device];
        };
        const [model, device] = await on(2);
        const whole = await run(model, device, chunks(ids.length), precision);
        expect(whole.some((x) => x !== 0)).toBe(true);
        for (const size of [1, 7, 64])
          expect(await run(model, device, chunks(size), precision), `chunks of ${size}`).toEqual(whole);
        const crowd = chunks(50).map((parts, i) => [
          ...others(50 * i, 50).slice(0, 1),
          ...parts,
          ...others(50 * i, 50).slice(1),
        ]);
        expect(await run(model, device, crowd, precision), "in a crowd").toEqual(whole);
        const { logits, recorded, other } = await replay(model, device, precision);
        expect(logits, "steps that are replayed").toEqual(whole);
        // The first; where the fork's page is copied and the cache grows for it, where it grows again, and after each.
        expect(recorded).toBe(5);
        const alone = [[{ sequence: 0, ids: ids.slice(0, 10), start: 0 }]];
        expect(other, "a step of another sequence").toEqual(await run(model, device, alone, precision));
        if (name !== "reference") {
          const [single, one] = await on(1);
          expect(await run(single, one, chunks(64), precision), "one thread").toEqual(whole);
        }
        for (const each of opened) await each.close();
      });
});
