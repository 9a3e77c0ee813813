/** Fovea running the encoder of encoder.mjs, as a child process. */
import { openDevice } from "../../dist/device/index.js";
import { bert } from "../bert.mjs";
import { serve } from "../child.mjs";
import { Encoder } from "../encoder.mjs";
import { tokens } from "../tokens.mjs";

/** @type {Encoder} */
let encoder;
const ids = (seed) => tokens(encoder.batch * encoder.length, seed, bert.vocabulary);

serve({
  async open({ threads, device: name = "auto", format, batch, length }) {
    const device = await openDevice(name, { threads });
    encoder = new Encoder(device, format);
    await encoder.load();
    encoder.prepare(batch, length);
    const sample = [...(await encoder.run(ids(0))).slice(0, 8)];
    return { device: `${device.name}: ${device.description}`, sample };
  },

  /** Milliseconds of one run, the mean of `repeat`. */
  async time({ repeat, seed }) {
    const given = ids(seed);
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await encoder.run(given);
    return { run: (performance.now() - start) / repeat };
  },
});
