/**
 * Fovea's decoder driven directly, as a child process: several sequences in one step. The same messages as llama.mjs.
 */

import { locate } from "../../dist/checkpoint/locate.js";
import { openCheckpoint } from "../../dist/checkpoint/open.js";
import { openDevice } from "../../dist/device/index.js";
import { loadModel } from "../../dist/models/index.js";
import { serve } from "../child.mjs";
import { Program } from "../program.mjs";

/** @type {Program} */
let program;

serve({
  async open({ path, threads, device: name = "auto", precision, lengths }) {
    const device = await openDevice(name, { threads });
    const { decoder } = await loadModel(openCheckpoint(locate(path)), undefined, device);
    program = new Program(decoder, device, { precision });
    await program.begin(lengths);
    return { device: `${device.name}: ${device.description}` };
  },

  /** Milliseconds of each part of a program, by name. */
  async time({ parts, seed }) {
    const times = {};
    for (const part of parts) {
      const start = performance.now();
      await program.run(part, seed);
      times[part.name] = performance.now() - start;
      program.rewind();
    }
    return times;
  },
});
