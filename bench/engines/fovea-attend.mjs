/** One attention of several sequences over keys that they have in common, as a child process: no model, one layer. */
import { DenseCache, makeBatch } from "../../dist/cache/index.js";
import { openDevice } from "../../dist/device/index.js";
import { Stream } from "../../dist/ops/index.js";
import { serve } from "../child.mjs";

let recording;

serve({
  /** `shared`: whether the sequences attend together; `copied`: whether each has keys of its own. */
  async open({
    threads,
    device: name = "auto",
    sequences,
    prefix,
    heads,
    kvHeads,
    d,
    shared = true,
    copied = false,
  }) {
    const device = await openDevice(name, { threads });
    const layer = { kvHeads, keyDim: d, valueDim: d };
    const tokens = prefix * (copied ? sequences : 1) + 64 * sequences;
    const cache = new DenseCache(device, [layer], { format: "f32", tokens, sharedAttention: shared });
    let state = 1;
    const numbers = (s, n, count) => {
      const values = new Float32Array(n * count * d);
      // A generator of the simplest kind: what matters is that scores differ.
      for (let i = 0; i < values.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        values[i] = state / 2 ** 31 - 1;
      }
      return s.constant(values, [n, count, d]);
    };
    const options = { scale: d ** -0.5, window: 0, softcap: 0 };
    const begin = (s, all, count) => {
      const parts = all.map((sequence) => ({
        sequence,
        ids: new Int32Array(count),
        start: cache.length(sequence),
      }));
      const step = cache.begin(s, makeBatch(parts));
      const n = count * all.length;
      step.append(0, numbers(s, n, kvHeads), numbers(s, n, kvHeads));
      return step;
    };
    const fill = async (sequence) => {
      state = 1;
      for (let at = 0; at < prefix; at += 512) {
        const s = new Stream(device);
        begin(s, [sequence], 512);
        await s.flush();
      }
      return sequence;
    };
    const first = await fill(cache.add());
    const all = [first];
    while (all.length < sequences) all.push(copied ? await fill(cache.add()) : cache.fork(first));
    state = 2;
    const s = new Stream(device);
    const step = begin(s, all, 1);
    const y = step.attend(0, numbers(s, sequences, heads), options);
    recording = s.record([y]);
    const [bytes] = await recording.run();
    const sample = [...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)];
    return { device: `${device.name}: ${device.description}`, cacheBytes: cache.bytes(), sample };
  },

  async time({ repeat }) {
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await recording.run();
    return { attend: (performance.now() - start) / repeat };
  },
});
