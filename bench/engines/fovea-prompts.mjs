/** Many prompts through Fovea's decoder, padded in several ways or not at all, as a child process. */
import { DenseCache, makeBatch } from "../../dist/cache/index.js";
import { locate } from "../../dist/checkpoint/locate.js";
import { openCheckpoint } from "../../dist/checkpoint/open.js";
import { openDevice } from "../../dist/device/index.js";
import { loadModel } from "../../dist/models/index.js";
import { Stream } from "../../dist/ops/index.js";
import { serve } from "../child.mjs";
import { tokens } from "../tokens.mjs";

/** Tokens in one step. */
const BUDGET = 2048;

let run;

serve({
  /** `batch`: prompts that are padded to their longest, in order of their lengths where `sorted`; 0: no padding. */
  async open({ path, threads, device: name = "auto", lengths, batch = 0, sorted = false }) {
    const device = await openDevice(name, { threads });
    const { decoder } = await loadModel(openCheckpoint(locate(path)), undefined, device);
    const prompts = lengths.map((length, i) => tokens(length, i, decoder.vocabularySize));
    const order = prompts.map((_, i) => i);
    if (sorted) order.sort((a, b) => lengths[a] - lengths[b]);
    const padded = [...lengths];
    if (batch > 0)
      for (let at = 0; at < order.length; at += batch) {
        const group = order.slice(at, at + batch);
        for (const i of group) padded[i] = Math.max(...group.map((one) => lengths[one]));
      }
    run = async () => {
      const cache = new DenseCache(device, decoder.parts.cacheLayers, { format: "f16" });
      const logits = [];
      // Prompts fill up steps one after another; what does not fit goes on in the next.
      const left = order.map((i) => ({ i, sequence: cache.add(), at: 0 }));
      while (left.length > 0) {
        const parts = [];
        const rows = [];
        const whose = [];
        let room = BUDGET;
        let row = 0;
        while (room > 0 && left.length > 0) {
          const one = left[0];
          const count = Math.min(room, padded[one.i] - one.at);
          const ids = Int32Array.from({ length: count }, (_, j) => prompts[one.i][one.at + j] ?? 0);
          parts.push({ sequence: one.sequence, ids, start: one.at });
          const last = lengths[one.i] - 1 - one.at;
          if (last >= 0 && last < count) {
            rows.push(row + last);
            whose.push(one.i);
          }
          row += count;
          room -= count;
          one.at += count;
          if (one.at === padded[one.i]) left.shift();
        }
        const s = new Stream(device);
        const hidden = decoder.forward(s, makeBatch(parts), cache);
        if (rows.length === 0) await s.flush();
        else {
          const all = await s.read(decoder.logits(s, hidden, Int32Array.from(rows)));
          for (const [j, i] of whose.entries())
            logits[i] = all.slice(j * decoder.vocabularySize, (j + 1) * decoder.vocabularySize);
        }
      }
      const bytes = cache.bytes() + device.memory().arena;
      cache.close();
      return { logits, bytes };
    };
    const { logits } = await run();
    const sample = logits.flatMap((row) => [...row.subarray(0, 64)]);
    return {
      device: `${device.name}: ${device.description}`,
      tokens: padded.reduce((a, b) => a + b),
      sample,
    };
  },

  async time() {
    const start = performance.now();
    const { bytes } = await run();
    return { prefill: performance.now() - start, bytes };
  },
});
