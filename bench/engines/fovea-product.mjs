/**
 * Fovea's products of f32 matrices, as a child process: x [n, k] · wᵀ with the weight packed beforehand, or, for the
 * `gradient` of a weight, xᵀ · y of two matrices as they are.
 */
import { openDevice } from "../../dist/device/index.js";
import * as ops from "../../dist/ops/index.js";
import { numbers } from "../bert.mjs";
import { serve } from "../child.mjs";
import { matrix } from "../encoder.mjs";
import { small } from "../tokens.mjs";

let device;
let input;
/** Of one product. */
let operations;
/** The product, recorded, as a session of ONNX Runtime is. */
let recording;

function write(tensor, x) {
  device.write(tensor.storage, 0, new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
}

/** A matrix on the device. */
const plain = (rows, columns) => new ops.Tensor("f32", [rows, columns], device.allocate(4 * rows * columns));

/** Computes all, and reads the first row. */
async function product() {
  const [bytes] = await recording.run();
  return new Float32Array(bytes.buffer);
}

serve({
  async open({ threads, device: name = "auto", n, k, m, gradient }) {
    device = await openDevice(name, { threads });
    operations = 2 * n * k * m;
    const s = new ops.Stream(device);
    let y;
    if (gradient) {
      input = plain(k, n);
      const other = plain(k, m);
      write(other, small(k * m, 1));
      y = ops.matmul(s, input, other, { transposeA: true });
    } else {
      input = plain(n, k);
      const weight = await matrix(device, "f32", m, k, numbers("product", m * k));
      y = ops.linear(s, input, weight);
    }
    write(input, small(n * k, 0));
    recording = s.record([y.rows(0, 1)]);
    const row = await product();
    return { device: `${device.name}: ${device.description}`, sample: [...row.slice(0, 8)] };
  },

  /** Milliseconds of one product, the mean of `repeat`, and its operations. */
  async time({ repeat, seed }) {
    write(input, small(input.elements, seed));
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await product();
    return { run: (performance.now() - start) / repeat, operations };
  },
});
