/** A small model learns on every device alike, and a step takes the memory that its stream says. */
import { describe, expect, it } from "vitest";
import { openDevice } from "../../src/device/index.ts";
import { tape } from "../../src/grad/index.ts";
import { adamw, clip, type Device, Stream, sumSquares, Tensor, tensorBytes } from "../../src/ops/index.ts";
import { subjects } from "../support/devices.ts";
import { configs, nextTokenLoss, tinyModel, tokens } from "../support/training.ts";

const STEPS = 10;
const [beta1, beta2, rate] = [0.9, 0.99, 0.01];

/** The loss of each of ten steps of AdamW on one batch, by a step that is recorded once. */
async function trace(device: Device, recomputed: boolean): Promise<number[]> {
  const { decoder, weights } = await tinyModel("llama", device, { deviation: 0.1 });
  const s = new Stream(device);
  const { loss, grads } = tape(s, weights.trainable, (recompute) =>
    nextTokenLoss(s, decoder, tokens([12, 7, 1, 30]), recomputed ? { recompute } : {}),
  );
  const rates = new Float32Array(3);
  const shared = { rates: s.constant(rates), factor: clip(s, sumSquares(s, [...grads.values()]), 1) };
  const zeros = ({ shape }: Tensor): Tensor =>
    new Tensor("f32", shape, device.allocate(tensorBytes("f32", shape)));
  for (const [name, weight] of weights.trainable)
    adamw(s, {
      ...{ ...shared, weight, gradient: grads.get(name)!, mean: zeros(weight), square: zeros(weight) },
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
    const { loss, grads } = tape(s, weights.trainable, (recompute) =>
      nextTokenLoss(s, decoder, tokens(lengths), recomputed ? { recompute } : {}),
    );
    await s.record([loss, ...grads.values()]).run();
    const { hidden_size: d, intermediate_size: m, vocab_size: v, ...c } = configs.llama;
    const [n, kv] = [lengths.reduce((sum, length) => sum + length), c.num_key_value_heads * c.head_dim];
    const parameters = [...weights.trainable.values()].reduce((sum, { elements }) => sum + elements, 0);
    // Of a block are kept: its input, and of each token the normed input twice, q, k and v as rotated and as they
    // are, attention's result and its log-sum, the sum before the MLP, gate, up and their product.
    const inner = 2 * d + d + 2 * kv + d + c.num_attention_heads + d + 3 * m;
    const blocks = c.num_hidden_layers;
    const kept = recomputed ? blocks * d + inner : blocks * (d + inner);
    // The way back holds the gradients of an MLP's three, or of the logits.
    const back = Math.max(2 * v, 2 * m + 2 * d);
    const count = 4 * (parameters + n * (kept + back + 2 * d));
    expect(device.memory().arena / count).toBeGreaterThan(0.85);
    expect(device.memory().arena / count).toBeLessThan(1.15);
    await device.close();
  });
});
