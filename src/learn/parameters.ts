/**
 * What learns: named weights in f32 on a device, and what a model reads in their place, which is either the same
 * memory, a copy in bf16, or a copy rounded to a number format (then a gradient that was taken at the copy goes to the
 * weight: the straight-through estimator, Bengio et al. 2013). Knows no model and no optimizer.
 */
import { ParameterError } from "../base/errors.ts";
import { type FormatName, formatBytes, formats } from "../format/index.ts";
import { type Device, type DeviceBuffer, Stream, Tensor, tensorBytes } from "../ops/index.ts";

export interface Parameter {
  readonly name: string;
  /** f32, read and written by the optimizer. */
  readonly weight: Tensor;
  /** What the model reads. */
  readonly used: Tensor;
}

export interface ParameterOptions {
  /** What the model reads of matrices; vectors stay f32. Default `f32`: the weights themselves. */
  readonly read?: FormatName;
}

export class Parameters implements Iterable<Parameter> {
  readonly device: Device;
  private readonly read: FormatName;
  private readonly list: readonly Parameter[];
  private readonly buffers: DeviceBuffer[] = [];

  /** @param weights f32 in rows, by name, each in memory of its own, which the caller frees */
  constructor(device: Device, weights: ReadonlyMap<string, Tensor>, { read = "f32" }: ParameterOptions = {}) {
    this.device = device;
    this.read = read;
    this.list = Array.from(weights, ([name, weight]) => {
      if (weight.dtype !== "f32" || weight.layout !== "rows")
        throw new ParameterError(name, `is ${weight}, but what learns is f32 in rows`);
      const copied = read !== "f32" && isMatrix(weight) && weight.dim(-1) % formats[read].block === 0;
      const used = copied ? this.allocate(read === "bf16" ? "bf16" : "f32", weight.shape) : weight;
      return { name, weight, used };
    });
  }

  [Symbol.iterator](): Iterator<Parameter> {
    return this.list[Symbol.iterator]();
  }

  /** Elements of all weights. */
  get count(): number {
    return this.list.reduce((sum, { weight }) => sum + weight.elements, 0);
  }

  /** What the model reads, by name: the parameters of a tape. */
  used(): Map<string, Tensor> {
    return new Map(this.list.map(({ name, used }) => [name, used]));
  }

  /** Whether copies must be made anew by the host after each step; those in bf16 the optimizer's op makes. */
  get roundsOnHost(): boolean {
    return this.list.some(({ weight, used }) => used !== weight && used.dtype === "f32");
  }

  /** Makes all copies anew from the weights. */
  async refresh(): Promise<void> {
    const copied = this.list.filter(({ weight, used }) => used !== weight);
    if (copied.length === 0) return;
    const s = new Stream(this.device);
    if (!this.roundsOnHost) {
      for (const { weight, used } of copied) s.push({ kind: "cast", x: weight, y: used });
      await s.flush();
      return;
    }
    const { pack, unpack } = formats[this.read];
    const weights = await s.flush(copied.map(({ weight }) => weight));
    for (const [i, { used }] of copied.entries()) {
      const values = new Float32Array(weights[i]!.slice().buffer);
      const packed = new Uint8Array(formatBytes(this.read, values.length));
      pack(values, packed);
      unpack(packed, values);
      this.device.write(used.storage as DeviceBuffer, used.offset, new Uint8Array(values.buffer));
    }
  }

  /** New memory, zeroed, that ends with the parameters. */
  allocate(dtype: "f32" | "bf16", shape: readonly number[]): Tensor {
    const buffer = this.device.allocate(tensorBytes(dtype, shape));
    this.buffers.push(buffer);
    return new Tensor(dtype, shape, buffer);
  }

  free(): void {
    for (const buffer of this.buffers.splice(0)) this.device.free(buffer);
  }
}

/** More than a row, so that norms and biases, which are [1, d] or [d], are none. */
export const isMatrix = ({ shape }: Tensor): boolean => shape.length > 1 && shape.at(-2) !== 1;
