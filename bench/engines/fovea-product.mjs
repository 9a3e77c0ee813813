/** Fovea's products of f32 matrices, as a child process: y [n, m] = x [n, k] · wᵀ, the weight packed beforehand. */
import { openDevice } from "../../dist/device/index.js";
import { linear, Stream, Tensor } from "../../dist/ops/index.js";
import { numbers } from "../bert.mjs";
import { serve } from "../child.mjs";
import { matrix } from "../encoder.mjs";
import { small } from "../tokens.mjs";

let device;
let weight;
/** [n, k], on the device. */
let input;

function write(x) {
  device.write(input.storage, 0, new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
}

/** Computes y [n, m], and reads its first row. */
async function product() {
  const s = new Stream(device);
  return await s.read(linear(s, input, weight).rows(0, 1));
}

serve({
  async open({ threads, device: name = "auto", n, k, m }) {
    device = await openDevice(name, { threads });
    weight = await matrix(device, "f32", m, k, numbers("product", m * k));
    input = new Tensor("f32", [n, k], device.allocate(4 * n * k));
    write(small(n * k, 0));
    const y = await product();
    return { device: `${device.name}: ${device.description}`, sample: [...y.slice(0, 8)] };
  },

  /** Milliseconds of one product, the mean of `repeat`. */
  async time({ repeat, seed }) {
    write(small(input.elements, seed));
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await product();
    return { run: (performance.now() - start) / repeat };
  },
});
