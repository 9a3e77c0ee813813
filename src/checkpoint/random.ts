/**
 * A checkpoint in memory with random weights of a known shape, for benchmarks and tests. Knows formats and
 * shapes; must not know models.
 *
 * Weights are normal with standard deviation 0.02; norms are 1, biases 0. All matrices of a format are windows
 * of one pool of packed blocks, so that a gigabyte takes a second and the same seed gives the same bytes.
 */
import { ParameterError } from "../base/errors.ts";
import { type FormatName, formatBytes, formats, isFormat, shapedBytes } from "../format/index.ts";
import { type Checkpoint, elementCount, requireWeights, type TensorInfo, tensorOf } from "./checkpoint.ts";
import { configOf, isShape, type ShapeName, shapeNames, tensorsOf } from "./random-shapes.ts";
import type { JsonObject } from "./text.ts";

const deviation = 0.02;
/** Elements of a pool: not a multiple of a row, so that rows differ. */
const poolBlocks = 8191;

export interface RandomCheckpoint {
  readonly checkpoint: Checkpoint;
  /** What config.json would say. */
  readonly config: JsonObject;
}

/** Parses `SHAPE:FORMAT`, as in `llama-1.1b:q4_0`. */
export function parseRandom(text: string): { shape: ShapeName; format: FormatName } {
  const [shape = "", format = "", ...rest] = text.split(":");
  if (!isShape(shape) || !isFormat(format) || rest.length > 0)
    throw new ParameterError(
      "random",
      `"${text}" is not SHAPE:FORMAT with a shape of ${shapeNames.join(", ")} and a format of ${Object.keys(formats).join(", ")}`,
    );
  return { shape, format };
}

/**
 * @param format of all matrices; one whose rows are no whole number of blocks is in q8_0, or else in f16
 * @param seed any integer
 */
export function randomCheckpoint(shape: ShapeName, format: FormatName, seed = 0): RandomCheckpoint {
  const path = `random ${shape}:${format}`;
  const tensors = new Map<string, TensorInfo>();
  for (const [name, dimensions] of tensorsOf(shape))
    tensors.set(name, { name, shape: dimensions, format: formatFor(dimensions, format) });
  const pools = new Map<FormatName, Uint8Array>();
  const bytes = (name: string): Uint8Array => {
    const tensor = tensorOf(path, tensors, name);
    requireWeights(path, tensor);
    const stored = tensor.format as FormatName;
    const { length } = tensor.shape;
    if (length === 1) return vector(name, elementCount(tensor.shape));
    const pool = pools.get(stored) ?? makePool(stored, seed);
    pools.set(stored, pool);
    const { blockBytes, rowBytes } = formats[stored];
    const start = (scramble(hash(name) ^ seed) % poolBlocks) * blockBytes;
    if (rowBytes > 0) return rowsOf(pool, rowBytes, start, tensor.shape);
    return window(pool, start, shapedBytes(stored, tensor.shape));
  };
  return {
    checkpoint: {
      kind: "safetensors",
      path,
      tensors,
      metadata: new Map(),
      bytes,
      raw: bytes,
      release() {},
      close() {},
    },
    config: configOf(shape),
  };
}

function formatFor(shape: readonly number[], format: FormatName): FormatName {
  if (shape.length === 1) return "f32";
  const row = shape.at(-1) as number;
  return ([format, "q8_0", "f16"] as const).find((f) => row % formats[f].block === 0) as FormatName;
}

/** Norms are 1, biases 0. */
const vector = (name: string, elements: number): Uint8Array =>
  new Uint8Array(new Float32Array(elements).fill(name.endsWith(".bias") ? 0 : 1).buffer);

/** `length` bytes of the endless repetition of the pool, from `start`. */
function window(pool: Uint8Array, start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  for (let from = start; done < length; from = 0) {
    const piece = pool.subarray(from, from + length - done);
    bytes.set(piece, done);
    done += piece.length;
  }
  return bytes;
}

/** As `window`, of a pool that is a row: each row with the front of that row, and elements that go on. */
function rowsOf(pool: Uint8Array, front: number, start: number, shape: readonly number[]): Uint8Array {
  const k = shape.at(-1) as number;
  const rows = elementCount(shape) / k;
  const elements = window(pool.subarray(front), start, rows * k);
  const bytes = new Uint8Array(rows * (front + k));
  for (let row = 0; row < rows; row++) {
    bytes.set(pool.subarray(0, front), row * (front + k));
    bytes.set(elements.subarray(row * k, (row + 1) * k), row * (front + k) + front);
  }
  return bytes;
}

function makePool(name: FormatName, seed: number): Uint8Array {
  const format = formats[name];
  // Formats of single elements get blocks of 32 too.
  const elements = poolBlocks * Math.max(format.block, 32);
  const values = new Float32Array(elements);
  for (let i = 0; i < elements; i += 2) {
    // Box and Muller: two uniform numbers become two normal ones.
    const radius = deviation * Math.sqrt(-2 * Math.log((scramble(seed ^ (i + 1)) + 1) / 2 ** 32));
    const angle = (2 * Math.PI * scramble(seed ^ (i + 0x40000000))) / 2 ** 32;
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  const bytes = new Uint8Array(formatBytes(name, elements));
  format.pack(values, bytes);
  return bytes;
}

/**
 * Normal numbers with mean 0. They depend on the seed, the key and their place alone, so that one tensor of a model
 * has the same whatever else there is.
 */
export function normalNumbers(count: number, deviation: number, seed: number, key: string): Float32Array {
  const stream = scramble(hash(key) ^ scramble(seed));
  const draw = (i: number): number => scramble(scramble(i) ^ stream);
  return Float32Array.from({ length: count }, (_, i) => {
    const radius = deviation * Math.sqrt(-2 * Math.log((draw(2 * i) + 1) / 2 ** 32));
    return radius * Math.cos((2 * Math.PI * draw(2 * i + 1)) / 2 ** 32);
  });
}

/** A 32-bit number that looks random (the finalizer of MurmurHash3). */
function scramble(index: number): number {
  let h = index + 0x9e3779b9;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}
