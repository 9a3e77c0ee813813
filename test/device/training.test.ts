/** A small model learns on every device alike, and a step takes the memory that its stream says. */
import { describe, expect, it } from "vitest";
import { openDevice } from "../../src/device/index.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import { tape } from "../../src/grad/index.ts";
import { adamw, clip, type Device, Stream, sumSquares, Tensor, tensorBytes } from "../../src/ops/index.ts";
import { subjects } from "../support/devices.ts";
import { largest } from "../support/gradients.ts";
import { configs, nextTokenLoss, tinyModel, tokens } from "../support/training.ts";

const STEPS = 10;
const [beta1, beta2, rate] = [0.9, 0.99, 0.01];

const zerosLike = (device: Device, { shape }: Tensor): Tensor =>
  new Tensor("f32", shape, device.allocate(tensorBytes("f32", shape)));

/** The loss of each of ten steps of AdamW on one batch, by a step that is recorded once. */
async function trace(device: Device, recomputed: boolean): Promise<number[]> {
  const { decoder, weights } = await tinyModel("llama", device, { deviation: 0.1 });
  const s = new Stream(device);
  const { loss, grads } = tape(s, weights.trainable, (recompute) =>
    nextTokenLoss(s, decoder, tokens([12, 7, 1, 30]), recomputed ? { recompute } : {}),
  );
  const rates = new Float32Array(3);
  const shared = { rates: s.constant(rates), factor: clip(s, sumSquares(s, [...grads.values()]), 1) };
  for (const [name, weight] of weights.trainable)
    adamw(s, {
      ...{
        ...shared,
        weight,
        gradient: grads.get(name)!,
        mean: zerosLike(device, weight),
        square: zerosLike(device, weight),
      },
      ...{ beta1, beta2, eps: 1e-8, decay: 0.01 },
    });
  const step = s.record([loss]);
  const losses: number[] = [];
  for (let t = 1; t <= STEPS; t++) {
    rates.set([rate, 1 / (1 - beta1 ** t), 1 / (1 - beta2 ** t)]);
    losses.push(new Float32Array((await step.run())[0]!.slice().buffer)[0]!);
  }
  weights.free();
  return losses;
}

describe("ten steps of a small Llama", async () => {
  const reference = await openDevice("reference");
  const wanted = await trace(reference, false);

  it("make the loss smaller", () => {
    expect(wanted[0]).toBeGreaterThan(3);
    expect(wanted.at(-1)).toBeLessThan(0.8 * wanted[0]!);
  });

  it.each(subjects)("are the same on $name, with blocks kept or computed anew", async ({ open }) => {
    const device = await open(2);
    try {
      const losses = await trace(device, false);
      for (const [i, loss] of losses.entries())
        expect(Math.abs(loss - wanted[i]!), `step ${i}`).toBeLessThan(1e-4);
      expect(await trace(device, true)).toEqual(losses);
      const alone = await open(1);
      expect(await trace(alone, false), "with one thread").toEqual(losses);
      await alone.close();
    } finally {
      await device.close();
    }
  });
});

describe("the gradients of whole models", () => {
  const names = Object.keys(configs) as (keyof typeof configs)[];

  async function gradients(device: Device, name: keyof typeof configs): Promise<Float32Array[]> {
    const { decoder, weights } = await tinyModel(name, device);
    const s = new Stream(device);
    const { grads } = tape(s, weights.trainable, () => nextTokenLoss(s, decoder, tokens([6, 1, 15])));
    const outputs = await s.flush([...grads.values()]);
    weights.free();
    return outputs.map((bytes) => new Float32Array(bytes.slice().buffer));
  }
  const wanted = new Map(names.map((name) => [name, gradients(new ReferenceDevice(), name)]));

  it.each(subjects)("are those of the reference on $name", async ({ open }) => {
    const device = await open(2);
    try {
      for (const name of names) {
        const expected = await wanted.get(name)!;
        const scale = Math.max(...expected.map(largest));
        for (const [i, gradient] of (await gradients(device, name)).entries()) {
          const error = largest(gradient.map((x, j) => x - expected[i]![j]!));
          expect(error, `${name}, parameter ${i}`).toBeLessThan(1e-4 * largest(expected[i]!) + 1e-6 * scale);
        }
      }
    } finally {
      await device.close();
    }
  });
});

describe("the memory of a step", () => {
  it.each([
    { what: "activations kept", recomputed: false },
    { what: "blocks computed anew", recomputed: true },
  ])("$what: what the count says, within 15 %", async ({ recomputed }) => {
    const device = await openDevice("reference");
    const { decoder, weights } = await tinyModel("llama", device);
    const s = new Stream(device);
    const lengths = [32, 32, 32, 32];
    const into = new Map([...weights.trainable].map(([name, weight]) => [name, zerosLike(device, weight)]));
    const moments = () => [...into.values()].map((gradient) => zerosLike(device, gradient));
    const [means, squares] = [moments(), moments()];
    const { loss } = tape(
      s,
      weights.trainable,
      (recompute) => nextTokenLoss(s, decoder, tokens(lengths), recomputed ? { recompute } : {}),
      { into },
    );
    [...weights.trainable].forEach(([name, weight], i) => {
      const fields = { weight, gradient: into.get(name)!, mean: means[i]!, square: squares[i]! };
      const shared = { rates: s.constant(new Float32Array(3)), factor: s.constant(Float32Array.of(1)) };
      adamw(s, { ...fields, ...shared, beta1, beta2, eps: 1e-8, decay: 0 });
    });
    await s.record([loss]).run();
    const { hidden_size: d, intermediate_size: m, ...c } = configs.llama;
    const [n, kv] = [lengths.reduce((sum, length) => sum + length), c.num_key_value_heads * c.head_dim];
    const parameters = [...weights.trainable.values()].reduce((sum, { elements }) => sum + elements, 0);
    // Of each token a block keeps, beside its input: both normed inputs, q, k and v as attention saw them, its result
    // and its log-sums, the sum before the MLP, gate, up and their product.
    const inner = 5 * d + 2 * kv + c.num_attention_heads + 3 * m;
    const blocks = c.num_hidden_layers;
    const kept = recomputed ? blocks * d + inner : blocks * (d + inner);
    // The most comes back where an MLP is widest: gradients of its product, gate and up, while the product goes.
    const count = 4 * (4 * parameters + n * (kept + 2 * m + 2 * d));
    const { buffers, arena } = device.memory();
    expect((buffers + arena) / count).toBeGreaterThan(0.85);
    expect((buffers + arena) / count).toBeLessThan(1.15);
    await device.close();
  });
});
