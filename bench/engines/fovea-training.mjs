/** A training step of Fovea as a child process: forward, backward, clipping and AdamW as one recorded plan. */

import { Fields } from "../../dist/checkpoint/config.js";
import { LanguageObjective, loadTrainable, openDevice, Parameters, Trainer } from "../../dist/learn/index.js";
import { serve } from "../child.mjs";
import { adamw, configOf, firstValues, stepTokens } from "../training.mjs";

let trainer;
let step = 0;

serve({
  async open({ threads, device: name = "auto", windows, context, precision }) {
    const device = await openDevice(name, { threads });
    const model = await loadTrainable({ seed: 1 }, new Fields("bench", configOf(context)), device);
    for (const [name, { storage, shape }] of model.weights.trainable)
      device.write(storage, 0, new Uint8Array(firstValues(name, shape).buffer));
    const read = precision === "bf16" ? { read: "bf16" } : {};
    const parameters = new Parameters(device, model.weights.trainable, read);
    const objective = new LanguageObjective({
      ...{ decoder: model.decoder, context, windows },
      start: (n) => n,
      tokens: {
        read(n, out) {
          const { ids, targets } = stepTokens(windows, context, Math.floor(n / windows));
          const from = (n % windows) * context;
          out.set(ids.subarray(from, from + context));
          out[context] = targets[from + context - 1];
        },
      },
    });
    const { beta1, beta2, eps, decay } = adamw;
    const settings = { beta1, beta2, eps, decay: ({ weight }) => (weight.dim(0) > 1 ? decay : 0) };
    trainer = new Trainer(parameters, objective, { ...settings, precision });
    const sample = [];
    for (let i = 0; i < 2; i++) sample.push((await trainer.step(step++, adamw.rate)).loss);
    return { device: `${device.name}: ${device.description}`, sample };
  },

  /** Milliseconds of one step, the mean of `repeat`. */
  async time({ repeat }) {
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await trainer.step(step++, adamw.rate);
    return { run: (performance.now() - start) / repeat };
  },
});
