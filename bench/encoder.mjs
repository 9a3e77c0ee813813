/** The encoder of bert.mjs as Fovea's ops, for any device: what a model file would push on the stream. */
import { formats } from "../dist/format/index.js";
import {
  activation,
  add,
  attendWithin,
  embed,
  layerNorm,
  linear,
  Stream,
  Tensor,
  tensorBytes,
} from "../dist/ops/index.js";
import { bert, numbers } from "./bert.mjs";

const HEAD = bert.width / bert.heads;
/** All tokens of a sequence see each other. */
const ATTENTION = { scale: HEAD ** -0.5, window: 0, softcap: 0, causal: 0 };

/** Rows as heads. */
const split = (x) => x.reshape(x.dim(0), bert.heads, HEAD);

export class Encoder {
  /**
   * @param {import("../src/ops/index.ts").Device} device
   * @param {"f32" | "q8_0" | "i8_row"} format of the matrices
   * @param {(name: string, count: number) => Float32Array} [source] of the weights
   * @param {import("../src/ops/index.ts").StreamOptions} [options]
   */
  constructor(device, format, source = numbers, options = {}) {
    this.device = device;
    this.format = format;
    this.source = source;
    this.options = options;
    this.weights = new Map();
  }

  /** Brings the weights to the device, packed as it likes. */
  async load() {
    const { layers, width, inner, vocabulary, positions } = bert;
    await this.#matrix("words", "f32", vocabulary, width);
    await this.#matrix("positions", "f32", positions, width);
    for (const [name, value] of [
      ["ones", 1],
      ["zeros", 0],
    ])
      this.#upload(name, new Float32Array(width).fill(value), [1, width]);
    for (let layer = 0; layer < layers; layer++)
      for (const [part, m, k] of [
        ["q", width, width],
        ["k", width, width],
        ["v", width, width],
        ["o", width, width],
        ["up", inner, width],
        ["down", width, inner],
      ]) {
        await this.#matrix(`${layer}.${part}`, this.format, m, k);
        this.#upload(`${layer}.${part}.bias`, this.source(`${layer}.${part}.bias`, m), [m]);
      }
  }

  /** Sequences of one length, one after another. */
  prepare(batch, length) {
    this.batch = batch;
    this.length = length;
    this.offsets = Int32Array.from({ length: batch + 1 }, (_, i) => i * length);
  }

  /** Hidden states [batch · length, width] of ids [batch · length]. */
  async run(ids) {
    const { length } = this;
    const s = new Stream(this.device, this.options);
    const weight = (name) => this.weights.get(name);
    const norm = (x) => layerNorm(s, x, weight("ones"), weight("zeros"), bert.epsilon);
    const places = s.constant(Int32Array.from(ids, (_, i) => i % length));
    const offsets = s.constant(this.offsets);
    const words = embed(s, weight("words"), s.constant(Int32Array.from(ids)));
    let x = norm(add(s, words, embed(s, weight("positions"), places)));
    for (let layer = 0; layer < bert.layers; layer++) {
      const apply = (part, input) =>
        linear(s, input, weight(`${layer}.${part}`), weight(`${layer}.${part}.bias`));
      const [q, k, v] = ["q", "k", "v"].map((part) => split(apply(part, x)));
      const attended = attendWithin(s, { q, k, v }, offsets, { ...ATTENTION, longest: length });
      x = norm(add(s, apply("o", attended.y.reshape(x.dim(0), bert.width)), x));
      x = norm(add(s, apply("down", activation(s, apply("up", x), "gelu")), x));
    }
    return await s.read(x);
  }

  #upload(name, values, shape) {
    const buffer = this.device.allocate(values.byteLength);
    this.device.write(buffer, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.weights.set(name, new Tensor("f32", shape, buffer));
  }

  async #matrix(name, format, m, k) {
    this.weights.set(name, await matrix(this.device, format, m, k, this.source(name, m * k)));
  }
}

/** A weight [m, k] on a device, packed as it likes. */
export async function matrix(device, format, m, k, values) {
  const packed = new Uint8Array(tensorBytes(format, [m, k]));
  formats[format].pack(values, packed);
  const rows = new Tensor(format, [m, k], device.adopt(packed));
  const bytes = device.panelBytes(format, [m, k]);
  if (bytes === undefined) return rows;
  const tensor = new Tensor(format, [m, k], device.allocate(bytes), { layout: "panels" });
  const s = new Stream(device);
  s.push({ kind: "pack", x: rows, y: tensor });
  await s.flush();
  device.free(rows.storage);
  return tensor;
}
