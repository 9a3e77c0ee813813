/**
 * An encoder in the shape of BERT-base with random weights, as several engines see it: numbers for anyone, and an
 * ONNX file with the fused ops that ONNX Runtime's own optimizer makes of an export. No padding, so no mask. Also a
 * file with a single product.
 */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OnnxGraph } from "./onnx.mjs";

export const bert = {
  ...{ layers: 12, width: 768, heads: 12, inner: 3072, vocabulary: 30_522, positions: 512 },
  epsilon: 1e-12,
};
const VERSION = 2; // of the files; raised when what is written changes

/** Normal numbers of deviation 0.02, repeated: speed does not depend on them, results can be compared. */
const pool = Float32Array.from({ length: 65_521 }, (_, i) => {
  const uniform = (n) => ((Math.imul(n ^ (n >>> 15), 0x2c1b3c6d) >>> 0) + 1) / 2 ** 32;
  return 0.02 * Math.sqrt(-2 * Math.log(uniform(2 * i + 1))) * Math.cos(2 * Math.PI * uniform(2 * i + 2));
});
const hash = (text) =>
  [...text].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0, 0x811c9dc5);

/** The numbers of a weight, row-major. */
export function numbers(name, count) {
  const values = new Float32Array(count);
  for (let done = 0, from = hash(name) % pool.length; done < count; from = 0) {
    const piece = pool.subarray(from, from + count - done);
    values.set(piece, done);
    done += piece.length;
  }
  return values;
}

/** [rows, columns] to [columns, rows]. */
export function transposed(values, rows, columns) {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j];
  return result;
}

/** A file with inputs `ids` [batch, tokens] (i64) and output `y` [batch, tokens, width]; made once. */
export function bertFile(format) {
  return file(`bert-${format}-${VERSION}.onnx`, (graph, path) => {
    const y = { name: build(graph, format), type: "f32", shape: ["batch", "tokens", bert.width] };
    graph.write(path, [{ name: "ids", type: "i64", shape: ["batch", "tokens"] }], [y]);
  });
}

/**
 * A file with one product of input `x`: [n, k] with the weight [k, m] inside, or, for the `gradient` of a weight,
 * [k, n], transposed, with input `y` [k, m]. Its output is only the first row [1, m], so that the time is the
 * product's and not that of new memory for its result.
 */
export function productFile({ n, k, m, gradient }) {
  return file(`product-${n}-${k}-${m}${gradient ? "-gradient" : ""}-${VERSION}.onnx`, (graph, path) => {
    const [zero, one] = [0n, 1n].map((x) => graph.constant("i64", [1], [x]));
    const product = gradient
      ? graph.node("microsoft.FusedMatMul", ["x", "y"], { transA: 1 })
      : graph.node("MatMul", ["x", graph.constant("f32", [k, m], joined(["product"], m, k))]);
    const row = graph.node("Slice", [product, zero, one, zero, one]);
    const input = (name, shape) => ({ name, type: "f32", shape });
    graph.write(path, gradient ? [input("x", [k, n]), input("y", [k, m])] : [input("x", [n, k])], [
      { name: row, type: "f32", shape: [1, m] },
    ]);
  });
}

/** The path of a file that is written when it is not there. */
function file(name, write) {
  const folder = join(tmpdir(), "fovea-bench");
  const path = join(folder, name);
  if (existsSync(path)) return path;
  console.error(`writing ${path} ...`);
  mkdirSync(folder, { recursive: true });
  write(new OnnxGraph(), `${path}.part`);
  renameSync(`${path}.part`, path);
  return path;
}

function build(graph, format) {
  const { layers, width, heads, inner, vocabulary, positions, epsilon } = bert;
  const vector = (name, d) => graph.constant("f32", [d], numbers(name, d));
  const ones = graph.constant("f32", [width], new Float32Array(width).fill(1));
  const zeros = graph.constant("f32", [width], new Float32Array(width));
  const skipNorm = (x, skip, bias) =>
    graph.node("microsoft.SkipLayerNormalization", [x, skip, ones, zeros, ...(bias ? [bias] : [])], {
      epsilon: { float: epsilon },
    });
  const { attention, linear } = format === "f32" ? floats(graph, heads) : integers(graph, heads);

  const words = graph.constant("f32", [vocabulary, width], numbers("words", vocabulary * width));
  const places = graph.constant("f32", [positions, width], numbers("positions", positions * width));
  const shape = graph.node("Shape", ["ids"], { start: 1, end: 2 });
  const [zero, one] = [0n, 1n].map((x) => graph.constant("i64", [1], [x]));
  const used = graph.node("Slice", [places, zero, shape, zero, one]);
  const embedded = graph.node("Add", [graph.node("Gather", [words, "ids"]), used]);
  let x = graph.node("LayerNormalization", [embedded, ones, zeros], {
    axis: 2,
    epsilon: { float: epsilon },
  });
  for (let layer = 0; layer < layers; layer++) {
    const name = (part) => `${layer}.${part}`;
    const attended = attention(x, ["q", "k", "v"].map(name), width);
    const projected = linear(attended, name("o"), width, width);
    x = skipNorm(projected, x, vector(`${name("o")}.bias`, width));
    const wide = linear(x, name("up"), inner, width);
    const active = graph.node("microsoft.BiasGelu", [wide, vector(`${name("up")}.bias`, inner)]);
    x = skipNorm(linear(active, name("down"), width, inner), x, vector(`${name("down")}.bias`, width));
  }
  return x;
}

/** [k, parts · m] of the matrices [m, k] of these names, as ONNX has them. */
function joined(names, m, k) {
  const columns = names.map((name) => transposed(numbers(name, m * k), m, k));
  if (columns.length === 1) return columns[0];
  const all = new Float32Array(k * m * columns.length);
  for (let row = 0; row < k; row++)
    for (const [i, part] of columns.entries())
      all.set(part.subarray(row * m, (row + 1) * m), (row * columns.length + i) * m);
  return all;
}

const biases = (graph, names, d) =>
  graph.constant(
    "f32",
    [names.length * d],
    names.flatMap((name) => [...numbers(`${name}.bias`, d)]),
  );

function floats(graph, heads) {
  return {
    attention(x, names, width) {
      const weight = graph.constant("f32", [width, 3 * width], joined(names, width, width));
      return graph.node("microsoft.Attention", [x, weight, biases(graph, names, width)], {
        num_heads: heads,
      });
    },
    linear: (x, name, m, k) => graph.node("MatMul", [x, graph.constant("f32", [k, m], joined([name], m, k))]),
  };
}

/** Weights in 8 bits with one scale for each matrix, activations rounded as they come, as `quantize_dynamic` makes it. */
function integers(graph, heads) {
  const quantized = (names, m, k) => {
    const values = joined(names, m, k);
    const largest = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    const scale = largest / 127;
    return {
      weight: graph.constant(
        "i8",
        [k, names.length * m],
        Int8Array.from(values, (x) => Math.round(x / scale)),
      ),
      scale: graph.constant("f32", [], [scale]),
      zero: graph.constant("i8", [], [0]),
    };
  };
  return {
    attention(x, names, width) {
      const { weight, scale, zero } = quantized(names, width, width);
      const [rounded, xScale, xZero] = graph.node("DynamicQuantizeLinear", [x], {}, 3);
      return graph.node(
        "microsoft.QAttention",
        [rounded, weight, biases(graph, names, width), xScale, scale, "", xZero, zero],
        { num_heads: heads },
      );
    },
    linear(x, name, m, k) {
      const { weight, scale, zero } = quantized([name], m, k);
      return graph.node("microsoft.DynamicQuantizeMatMul", [x, weight, scale, zero]);
    },
  };
}
