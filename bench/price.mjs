/**
 * What steps of a model cost, counted from its ops: a device that runs nothing and adds up their prices. Bytes count
 * each operand once (weights, keys and values, activations); operations, each multiply-add as two.
 */
import { Fields } from "../dist/checkpoint/config.js";
import { randomCheckpoint } from "../dist/checkpoint/random.js";
import { formatBytes } from "../dist/format/index.js";
import { architectureOf } from "../dist/models/index.js";
import { nameMap } from "../dist/models/names.js";
import { Decoder, Weights } from "../dist/nn/index.js";
import { priceOf } from "../dist/ops/index.js";
import { Program } from "./program.mjs";

const product = (shape) => shape.reduce((n, d) => n * d, 1);

export class PricingDevice {
  name = "pricing";
  description = "adds up prices";
  #buffers = 0;
  total = { bytes: 0, operations: 0 };

  allocate = (bytes) => ({ id: ++this.#buffers, bytes });
  adopt = ({ length }) => this.allocate(length);
  free() {}
  write() {}
  panelBytes = (format, shape) => formatBytes(format, product(shape));
  memory = () => ({ buffers: 0, arena: 0 });
  async close() {}

  async run(plan) {
    for (const op of plan.ops) {
      const { bytes, operations } = priceOf(op);
      this.total.bytes += bytes;
      this.total.operations += op.kind === "attend" ? attendOperations(op, plan) : operations;
    }
    return { outputs: plan.outputs.map(({ bytes }) => new Uint8Array(bytes)) };
  }
}

/** Exactly the pairs of queries and keys that meet: half of them where all rows are new and see what is before them. */
function attendOperations({ q, values, spans, causal }, plan) {
  const { bytes } = plan.uploads.find(({ slot }) => slot === spans.storage.slot);
  const numbers = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let pairs = 0;
  for (let i = 0; i < numbers.length; i += 3) {
    const [, rows, start] = numbers.subarray(i, i + 3);
    pairs += rows * start + (causal === 0 ? rows * rows : (rows * (rows + 1)) / 2);
  }
  return 2 * q.dim(1) * (q.dim(2) + values.dim(3)) * pairs;
}

/**
 * The price of each part of a program (see program.mjs), by name.
 * @param {readonly import("./program.mjs").Part[]} parts
 */
export async function priceParts(shape, format, lengths, parts) {
  const { checkpoint, config } = randomCheckpoint(shape, format);
  const fields = new Fields(checkpoint.path, config);
  const architecture = architectureOf(fields);
  const device = new PricingDevice();
  const weights = new Weights(checkpoint, device, nameMap(architecture, checkpoint));
  const program = new Program(new Decoder(architecture.build(weights, fields)), device);
  await program.begin(lengths);
  const prices = {};
  for (const part of parts) {
    device.total = { bytes: 0, operations: 0 };
    await program.run(part, 0);
    prices[part.name] = device.total;
    program.rewind();
  }
  return prices;
}
