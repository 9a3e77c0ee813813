/** Gradients of whole models, by every parameter, against central differences in f64. */
import { describe, expect, it } from "vitest";
import { BatchAttention, DenseCache, makeBatch } from "../../../src/cache/index.ts";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { tape } from "../../../src/grad/index.ts";
import {
  attention,
  type Layer,
  layerNormLayer,
  linearLayer,
  plainMlp,
  postNorm,
  Step,
  TrainableWeights,
} from "../../../src/nn/index.ts";
import { Stream, type Tensor } from "../../../src/ops/index.ts";
import { checkDifferences, largest, weighted } from "../../support/gradients.ts";
import { Random } from "../../support/random.ts";
import { configs, nextTokenLoss, tinyModel, tokens } from "../../support/training.ts";
import { WideDevice } from "../../support/wide.ts";

const sequences = tokens([6, 1, 4]);

describe("gradients of whole models", () => {
  it.each(Object.keys(configs) as (keyof typeof configs)[])("%s", async (name) => {
    const device = new WideDevice();
    const { decoder, weights } = await tinyModel(name, device);
    // Without rotations, the bias of keys moves all scores of a query alike: its gradient is 0.
    const learn = new Map(
      [...weights.trainable].filter(([parameter]) => !parameter.endsWith("c_attn.bias[16:32]")),
    );
    await checkDifferences(
      device,
      learn,
      (s, recompute) => nextTokenLoss(s, decoder, sequences, { recompute }),
      { samples: 6 },
    );
  });

  it("an encoder's block: layer norm after the sums, attention to both sides", async () => {
    const device = new WideDevice();
    const has = (name: string): boolean => name.endsWith(".bias");
    const w = new TrainableWeights({ seed: 2, deviation: () => 0.3, has }, device);
    const [hidden, heads, headDim] = [12, 3, 4];
    const square = (name: string): Layer => linearLayer(w, name, hidden, hidden);
    const block = postNorm(
      attention({
        ...{ layer: 0, heads, kvHeads: heads, headDim },
        ...{ q: square("q"), k: square("k"), v: square("v"), o: square("o") },
      }),
      layerNormLayer(w, "norm1", hidden, 1e-5),
      plainMlp(linearLayer(w, "up", 20, hidden), linearLayer(w, "down", hidden, 20), "gelu"),
      layerNormLayer(w, "norm2", hidden, 1e-5),
    );
    // As above.
    const learn = new Map([...w.trainable].filter(([name]) => name !== "k.bias"));
    const input = new Random(3).normals(11 * hidden);
    await checkDifferences(device, learn, (s) => {
      const batch = makeBatch([
        { sequence: 0, ids: new Int32Array(7), start: 0 },
        { sequence: 1, ids: new Int32Array(4), start: 0 },
      ]);
      const step = new Step(s, batch, new BatchAttention({ causal: false }).begin(s, batch), new Set());
      return weighted(s, block(step, s.constant(input, [11, hidden])));
    });
  });
});

describe("attention without memory", () => {
  it("gives what a model gives with a cache", async () => {
    const device = new ReferenceDevice();
    const { decoder } = await tinyModel("gemma2", device);
    const batch = (sequence: (i: number) => number) =>
      makeBatch(sequences.map(({ ids }, i) => ({ sequence: sequence(i), ids, start: 0 })));
    const cache = new DenseCache(device, decoder.parts.cacheLayers, { format: "f32" });
    const s = new Stream(device);
    const cached = await s.read(
      decoder.forward(
        s,
        batch(() => cache.add()),
        cache,
      ),
    );
    const within = await s.read(
      decoder.forward(
        s,
        batch((i) => i),
        new BatchAttention(),
      ),
    );
    const difference = largest(within.map((x, i) => x - cached[i]!));
    expect(difference).toBeLessThan(1e-6 * largest(cached));
  });

  it("has a step recorded and begun again with other tokens", async () => {
    const device = new ReferenceDevice();
    const { decoder } = await tinyModel("llama", device);
    const part = (...ids: number[]) => [{ sequence: 0, ids, start: 0 }];
    const rows = Int32Array.of(0, 1, 2);
    const step = decoder.record(new Stream(device), part(1, 2, 3), new BatchAttention(), rows);
    await step.run();
    expect(step.again(part(1, 2))).toBe(false);
    expect(step.again(part(7, 5, 9))).toBe(true);
    const s = new Stream(device);
    const hidden = decoder.forward(s, makeBatch(part(7, 5, 9)), new BatchAttention());
    expect((await step.run()).rows).toEqual(await s.read(decoder.logits(s, hidden, rows)));
  });

  it("refuses sequences whose beginning it has not seen", async () => {
    const { decoder } = await tinyModel("llama", new ReferenceDevice());
    const batch = makeBatch([{ sequence: 0, ids: [1, 2], start: 3 }]);
    const s = new Stream(new ReferenceDevice());
    expect(() => decoder.forward(s, batch, new BatchAttention())).toThrow(/position 3.*whole sequences/);
  });
});

describe("a model that learns", () => {
  const f32 = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);

  it("computed anew has the same gradients, to the bit", async () => {
    const device = new ReferenceDevice();
    const { decoder, weights } = await tinyModel("llama", device);
    const results = [];
    for (const anew of [false, true]) {
      const s = new Stream(device);
      const { loss, grads } = tape(s, weights.trainable, (recompute) =>
        nextTokenLoss(s, decoder, sequences, anew ? { recompute } : {}),
      );
      results.push((await s.flush([loss, ...grads.values()])).map(f32));
    }
    expect(results[1]).toEqual(results[0]);
  });

  it("in part: the rest is frozen, and has no name among what learns", async () => {
    const device = new ReferenceDevice();
    const last = (name: string): boolean => name.startsWith("model.layers.1.");
    const [all, part] = [
      await tinyModel("llama", device),
      await tinyModel("llama", device, { learns: last }),
    ];
    expect([...part.weights.trainable.keys()]).toEqual([...all.weights.trainable.keys()].filter(last));
    const gradients = async ({ decoder, weights }: typeof all): Promise<Map<string, Float32Array>> => {
      const s = new Stream(device);
      const { grads } = tape(s, weights.trainable, () => nextTokenLoss(s, decoder, sequences));
      const outputs = await s.flush([...grads.values()]);
      return new Map([...grads.keys()].map((name, i) => [name, f32(outputs[i]!)]));
    };
    const [whole, some] = [await gradients(all), await gradients(part)];
    for (const [name, gradient] of some) expect(gradient).toEqual(whole.get(name));
  });

  it("has one gradient for an embedding that is the head too", async () => {
    const device = new ReferenceDevice();
    const { decoder, weights } = await tinyModel("llama", device);
    expect(decoder.parts.head).toBe(decoder.parts.embedding);
    const s = new Stream(device);
    const name = "model.embed_tokens.weight";
    const parameter: Tensor = weights.trainable.get(name)!;
    const { grads } = tape(s, new Map([[name, parameter]]), () => nextTokenLoss(s, decoder, sequences));
    const kinds = s.pushed.filter((op) => "y" in op && op.y.storage === grads.get(name)!.storage);
    expect(kinds.map(({ kind }) => kind)).toEqual(["matmul", "scatter_add"]);
  });
});
