/**
 * Writes ONNX models: the few messages of its protobuf schema that a graph with weights needs. Knows no model.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import { closeSync, openSync, writeSync } from "node:fs";

const OPSET = 17;
const types = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7 };
const arrays = { f32: Float32Array, u8: Uint8Array, i8: Int8Array, i32: Int32Array, i64: BigInt64Array };

/** A list of buffers: weights are not copied before they are written. */
const size = (chunks) => chunks.reduce((sum, { length }) => sum + length, 0);

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

const int = (field, value) => [varint(8 * field), varint(value)];
const message = (field, chunks) => [varint(8 * field + 2), varint(size(chunks)), ...chunks];
const string = (field, text) => message(field, [Buffer.from(text)]);

function float(field, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return [varint(8 * field + 5), bytes];
}

/** AttributeProto, of a number, a text or a list of whole numbers; floats are given as `{ float }`. */
function attribute(name, value) {
  const content = Array.isArray(value)
    ? [...value.flatMap((x) => int(8, x)), ...int(20, 7)]
    : typeof value === "object"
      ? [...float(2, value.float), ...int(20, 1)]
      : [...int(3, value), ...int(20, 2)];
  return message(5, [...string(1, name), ...content]);
}

/** ValueInfoProto; dimensions are numbers or names. */
function value(field, { name, type, shape }) {
  const dimensions = shape.flatMap((d) => message(1, typeof d === "string" ? string(2, d) : int(1, d)));
  const tensor = message(1, [...int(1, types[type]), ...message(2, dimensions)]);
  return message(field, [...string(1, name), ...message(2, tensor)]);
}

/** Collects the nodes and weights of a graph; every method gives the name of what it made. */
export class OnnxGraph {
  #nodes = [];
  #weights = [];
  #count = 0;

  /** A weight. `values`: numbers in order. */
  constant(type, shape, values) {
    const name = `w${++this.#count}`;
    const typed = values instanceof arrays[type] ? values : arrays[type].from(values);
    const bytes = new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
    const dimensions = shape.flatMap((d) => int(1, d));
    this.#weights.push(
      ...message(5, [...dimensions, ...int(2, types[type]), ...string(8, name), ...message(9, [bytes])]),
    );
    return name;
  }

  /**
   * An op of ONNX, or of com.microsoft where `microsoft.` stands before its name. An empty input is left out.
   * @returns {string} its first output, or all of `outputs` where there are several
   */
  node(op, inputs, attributes = {}, outputs = 1) {
    const names = Array.from({ length: outputs }, () => `v${++this.#count}`);
    const [kind, domain] = op.startsWith("microsoft.") ? [op.slice(10), "com.microsoft"] : [op, ""];
    this.#nodes.push(
      ...message(1, [
        ...inputs.flatMap((name) => string(1, name)),
        ...names.flatMap((name) => string(2, name)),
        ...string(3, `n${this.#count}`),
        ...string(4, kind),
        ...Object.entries(attributes).flatMap(([name, x]) => attribute(name, x)),
        ...(domain ? string(7, domain) : []),
      ]),
    );
    return outputs === 1 ? names[0] : names;
  }

  /** Writes the model; inputs and outputs as `{ name, type, shape }`. */
  write(path, inputs, outputs) {
    const graph = [
      ...this.#nodes,
      ...string(2, "graph"),
      ...this.#weights,
      ...inputs.flatMap((input) => value(11, input)),
      ...outputs.flatMap((output) => value(12, output)),
    ];
    const model = [
      ...int(1, 8),
      ...message(7, graph),
      ...message(8, int(2, OPSET)),
      ...message(8, [...string(1, "com.microsoft"), ...int(2, 1)]),
    ];
    const file = openSync(path, "w");
    try {
      for (const chunk of model) for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
    } finally {
      closeSync(file);
    }
  }
}
