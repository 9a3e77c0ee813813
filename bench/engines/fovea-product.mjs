/** Fovea's products of f32 matrices, as a child process: y [n, m] = x [n, k] · wᵀ, the weight packed beforehand. */
import { openDevice } from "../../dist/device/index.js";
import { linear, Stream } from "../../dist/ops/index.js";
import { numbers } from "../bert.mjs";
import { serve } from "../child.mjs";
import { matrix } from "../encoder.mjs";
import { small } from "../tokens.mjs";

let device;
let weight;
let rows;

/** y [n, m] */
async function product(x) {
  const s = new Stream(device);
  return await s.read(linear(s, s.constant(x, [rows, weight.dim(1)]), weight));
}

serve({
  async open({ threads, device: name = "auto", n, k, m }) {
    device = await openDevice(name, { threads });
    rows = n;
    weight = await matrix(device, "f32", m, k, numbers("product", m * k));
    const y = await product(small(n * k, 0));
    return { device: `${device.name}: ${device.description}`, sample: [...y.slice(0, 8)] };
  },

  /** Milliseconds of one product, the mean of `repeat`. */
  async time({ repeat, seed }) {
    const x = small(rows * weight.dim(1), seed);
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await product(x);
    return { run: (performance.now() - start) / repeat };
  },
});
