/** Fovea running the encoder of encoder.mjs, as a child process. */
import { openDevice } from "../../dist/device/index.js";
import { bert } from "../bert.mjs";
import { serve } from "../child.mjs";
import { Encoder } from "../encoder.mjs";
import { quality } from "../quality.mjs";
import { tokens } from "../tokens.mjs";

/** @type {Encoder} */
let encoder;
const ids = (seed) => tokens(encoder.batch * encoder.length, seed, bert.vocabulary);

serve({
  async open({ threads, device: name = "auto", format, precision = "f32", batch, length }) {
    const exact =
      format === "f32" && precision === "f32" ? undefined : await inF32(name, threads, batch, length);
    const device = await openDevice(name, { threads });
    encoder = new Encoder(device, format, undefined, { precision });
    await encoder.load();
    encoder.prepare(batch, length);
    const outputs = await encoder.run(ids(0));
    return {
      device: `${device.name}: ${device.description}`,
      sample: [...outputs.slice(0, 8)],
      ...(exact ? { quality: quality(outputs, exact) } : {}),
    };
  },

  /** Milliseconds of one run, the mean of `repeat`. */
  async time({ repeat, seed }) {
    const given = ids(seed);
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await encoder.run(given);
    return { run: (performance.now() - start) / repeat };
  },
});

/** The same outputs with weights as they are; the device and its memory are gone afterwards. */
async function inF32(name, threads, batch, length) {
  const device = await openDevice(name, { threads });
  try {
    encoder = new Encoder(device, "f32");
    await encoder.load();
    encoder.prepare(batch, length);
    return (await encoder.run(ids(0))).slice();
  } finally {
    await device.close();
  }
}
