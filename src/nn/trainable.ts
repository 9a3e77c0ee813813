/**
 * Weights that can learn: f32 in rows, each in memory of its own and known by its name, from a checkpoint or random.
 * Knows where each number belongs in the checkpoint's layout, so that what was learned can be read back in it.
 */
import { ParameterError } from "../base/errors.ts";
import { type Checkpoint, elementCount, readF32 } from "../checkpoint/checkpoint.ts";
import { normalNumbers } from "../checkpoint/random.ts";
import { type Device, Stream, Tensor, tensorBytes } from "../ops/index.ts";
import { type MatrixOptions, type NameMap, Weights } from "./weights.ts";

/** Where weights come from that no checkpoint has. */
export interface Initialization {
  readonly seed: number;
  /** Standard deviation of a matrix, by name and shape. Default 0.02 for all. Norms begin as 1, biases as 0. */
  readonly deviation?: (name: string, shape: readonly number[]) => number;
  /**
   * Whether the model has an optional tensor (biases, mostly). Default: none. GPT-2 wants
   * `(name) => name.endsWith(".bias")`.
   */
  readonly has?: (name: string) => boolean;
}

export interface TrainableOptions {
  /** Which tensors learn, by their names in the Hugging Face layout; the others are as in any model. Default all. */
  readonly learns?: (name: string) => boolean;
  readonly nameOf?: NameMap;
}

/** A tensor of the checkpoint's layout. */
export interface NamedValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** A run of a parameter's elements, and what they are in the checkpoint. */
interface Piece {
  readonly name: string;
  /** In the checkpoint. */
  readonly shape: readonly number[];
  readonly start: number;
  readonly count: number;
  /** The place there of element `start + i`. */
  readonly at: (i: number) => number;
}

interface Learned {
  readonly tensor: Tensor;
  readonly pieces: readonly Piece[];
  /** The parameter is what the checkpoint holds, plus this. */
  readonly plus: number;
}

const isCheckpoint = (source: Checkpoint | Initialization): source is Checkpoint => "tensors" in source;

const blank: Checkpoint = {
  ...{ kind: "safetensors", path: "random weights", tensors: new Map(), metadata: new Map() },
  bytes: nothing,
  raw: nothing,
  release() {},
  close() {},
};

function nothing(name: string): never {
  throw new ParameterError(name, "there is no checkpoint to read it from");
}

export class TrainableWeights extends Weights {
  private readonly source: Checkpoint | Initialization;
  private readonly learns: (name: string) => boolean;
  private readonly fileName: NameMap;
  private readonly learned = new Map<string, Learned>();

  constructor(
    source: Checkpoint | Initialization,
    device: Device,
    { learns = () => true, nameOf = (name) => name }: TrainableOptions = {},
  ) {
    super(isCheckpoint(source) ? source : blank, device, nameOf);
    if (this.isGguf)
      throw new ParameterError(
        "checkpoint",
        "a GGUF file has its weights rearranged; train from safetensors",
      );
    this.source = source;
    this.learns = learns;
    this.fileName = nameOf;
  }

  /** What learns, by name: a tensor of the checkpoint, or `name[from:to]` for rows of one. */
  get trainable(): ReadonlyMap<string, Tensor> {
    return new Map([...this.learned].map(([name, { tensor }]) => [name, tensor]));
  }

  override has(name: string): boolean {
    return isCheckpoint(this.source) ? super.has(name) : (this.source.has?.(name) ?? false);
  }

  override matrix(name: string, shape: readonly [number, number], options: MatrixOptions = {}): Tensor {
    if (!this.makes(name)) return super.matrix(name, shape, options);
    const [m, k] = shape;
    const { rows = [0, m], transposed = false, order } = options;
    const row = (r: number): number => order?.[rows[0] + r] ?? rows[0] + r;
    return this.learn(
      partName(name, options.rows),
      [rows[1] - rows[0], k],
      [
        {
          ...{ name, shape: transposed ? [k, m] : [m, k], start: 0, count: (rows[1] - rows[0]) * k },
          at: (i) =>
            transposed ? (i % k) * m + row(Math.floor(i / k)) : row(Math.floor(i / k)) * k + (i % k),
        },
      ],
    );
  }

  override experts(name: string, [e, m, k]: readonly [number, number, number]): Tensor {
    const names = Array.from({ length: e }, (_, i) => name.replace("*", String(i)));
    if (!names.some((expert) => this.makes(expert))) return super.experts(name, [e, m, k]);
    return this.learn(
      name,
      [e, m, k],
      names.map((expert, i) => wholePiece(expert, [m, k], i * m * k)),
    );
  }

  override vector(
    name: string,
    d: number,
    options: { plus?: number; rows?: readonly [number, number] } = {},
  ): Tensor {
    if (!this.makes(name)) return super.vector(name, d, options);
    const { plus = 0, rows = [0, d] } = options;
    const count = rows[1] - rows[0];
    const piece = { name, shape: [d], start: 0, count, at: (i: number) => rows[0] + i };
    return this.learn(partName(name, options.rows), [1, count], [piece], plus);
  }

  override bias(name: string, m: number, options: Omit<MatrixOptions, "transposed"> = {}): Tensor {
    if (!this.makes(name)) return super.bias(name, m, options);
    const { rows = [0, m], order } = options;
    const count = rows[1] - rows[0];
    const at = (i: number): number => order?.[rows[0] + i] ?? rows[0] + i;
    return this.learn(partName(name, options.rows), [count], [{ name, shape: [m], start: 0, count, at }]);
  }

  override stacked(names: readonly string[], [g, d]: readonly [number, number]): Tensor {
    if (!names.some((name) => this.makes(name))) return super.stacked(names, [g, d]);
    const length = (g * d) / names.length;
    return this.learn(
      names[0]!,
      [g, d],
      names.map((name, i) => wholePiece(name, [length], i * length)),
    );
  }

  /** Whether a tensor is made here: it learns, or no checkpoint has it. */
  private makes(name: string): boolean {
    return this.learns(name) || !isCheckpoint(this.source);
  }

  private learn(name: string, shape: readonly number[], pieces: readonly Piece[], plus = 0): Tensor {
    const known = this.learned.get(name);
    if (known) return known.tensor;
    const values = new Float32Array(elementCount(shape));
    for (const piece of pieces) {
      const { start, count, at } = piece;
      const source = this.initial(piece, plus);
      for (let i = 0; i < count; i++) values[start + i] = source[at(i)]! + plus;
    }
    const tensor = new Tensor("f32", shape, this.own(this.device.allocate(tensorBytes("f32", shape))));
    this.device.write(tensor.storage as { id: number; bytes: number }, 0, new Uint8Array(values.buffer));
    this.count([name], "f32", shape);
    if (this.learns(pieces[0]!.name)) this.learned.set(name, { tensor, pieces, plus });
    return tensor;
  }

  /** What the checkpoint holds at first. */
  private initial({ name, shape }: Piece, plus: number): Float32Array {
    const { source } = this;
    const count = elementCount(shape);
    if (isCheckpoint(source)) {
      const file = this.fileName(name);
      const info = source.tensors.get(file);
      if (!info) this.refuse(file, "the checkpoint has no such tensor, but its config asks for it");
      if (elementCount(info.shape) !== count)
        this.refuse(file, `has shape [${info.shape}], but the config asks for [${shape}]`);
      return readF32(source, file);
    }
    if (shape.length === 1) return new Float32Array(count).fill(name.endsWith(".bias") ? 0 : 1 - plus);
    return normalNumbers(count, source.deviation?.(name, shape) ?? 0.02, source.seed, name);
  }

  /** What the parameters are now, in the names and shapes of the checkpoint's layout. */
  async read(parameters: ReadonlyMap<string, Tensor> = this.trainable): Promise<NamedValues[]> {
    const tensors = [...this.learned.keys()].map((name) => {
      const tensor = parameters.get(name);
      if (!tensor) throw new ParameterError(name, "there are no values for this parameter");
      return tensor;
    });
    const bytes = await new Stream(this.device).flush(tensors);
    const read = new Map<string, NamedValues>();
    [...this.learned.values()].forEach(({ pieces, plus }, p) => {
      const values = new Float32Array(bytes[p]!.slice().buffer);
      for (const { name, shape, start, count, at } of pieces) {
        const whole = read.get(name) ?? { name, shape, values: new Float32Array(elementCount(shape)) };
        read.set(name, whole);
        for (let i = 0; i < count; i++) whole.values[at(i)] = values[start + i]! - plus;
      }
    });
    return [...read.values()];
  }
}

const partName = (name: string, rows: readonly [number, number] | undefined): string =>
  rows ? `${name}[${rows[0]}:${rows[1]}]` : name;

const wholePiece = (name: string, shape: readonly number[], start: number): Piece => ({
  ...{ name, shape, start, count: elementCount(shape) },
  at: (i) => i,
});
