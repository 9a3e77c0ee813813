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
import { countPlan } from "./count.mjs";
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
    const { bytes, operations } = countPlan(plan, priceOf);
    this.total.bytes += bytes;
    this.total.operations += operations;
    return { outputs: plan.outputs.map(({ bytes }) => new Uint8Array(bytes)) };
  }
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
