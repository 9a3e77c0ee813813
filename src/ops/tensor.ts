/**
 * Tensors: a dtype, a shape, and where the bytes lie. Nothing here knows what device holds the bytes
 * or how they are computed.
 */
import { OpError } from "../base/errors.ts";
import { type FormatName, shapedBytes } from "../format/index.ts";

/** Weights may have any number format; activations are f32, indices i32. */
export type DType = FormatName | "i32";

/**
 * How a matrix lies in its buffer. `rows`: row-major, each row in the blocks of its format. `panels`: the
 * device's own packed order (made by the `pack` op), readable only by the ops that say so. A panel is 16 rows,
 * and panels follow one another, so that a matrix can be packed by ranges of rows.
 */
export type Layout = "rows" | "panels";

/** A persistent piece of device memory, named by number as a GPU would. */
export interface DeviceBuffer {
  readonly id: number;
  readonly bytes: number;
}

/** Memory of one step: it gets its place when the stream is planned and ends with the flush. */
export interface ArenaSlot {
  readonly slot: number;
  readonly bytes: number;
}

export type Storage = DeviceBuffer | ArenaSlot;

export const isArena = (storage: Storage): storage is ArenaSlot => "slot" in storage;

export const elements = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** Bytes of a row-major tensor; the last dimension must fill whole blocks of the format. */
export const tensorBytes = (dtype: DType, shape: readonly number[]): number =>
  dtype === "i32" ? 4 * elements(shape) : shapedBytes(dtype, shape);

/** Row-major and contiguous; views share storage. */
export class Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly storage: Storage;
  /** Bytes from the start of the storage. */
  readonly offset: number;
  readonly layout: Layout;

  constructor(
    dtype: DType,
    shape: readonly number[],
    storage: Storage,
    { offset = 0, layout = "rows" }: { offset?: number; layout?: Layout } = {},
  ) {
    if (shape.length < 1 || shape.length > 4 || shape.some((d) => !Number.isSafeInteger(d) || d < 0))
      throw new OpError("tensor", `shape [${shape}] must have 1 to 4 whole dimensions`);
    this.dtype = dtype;
    this.shape = shape;
    this.storage = storage;
    this.offset = offset;
    this.layout = layout;
    if (layout === "rows" && offset + this.bytes > storage.bytes)
      throw new OpError(
        "tensor",
        `${this} at byte ${offset} does not fit a storage of ${storage.bytes} bytes`,
      );
  }

  get elements(): number {
    return elements(this.shape);
  }

  /** Bytes of the row-major form. */
  get bytes(): number {
    return tensorBytes(this.dtype, this.shape);
  }

  /** Size of dimension `i`, counted from the end when negative. */
  dim(i: number): number {
    const d = this.shape.at(i);
    if (d === undefined) throw new OpError("tensor", `${this} has no dimension ${i}`);
    return d;
  }

  /** The same elements under another shape. */
  reshape(...shape: number[]): Tensor {
    if (this.layout !== "rows" || elements(shape) !== this.elements)
      throw new OpError("reshape", `${this} cannot become [${shape}]`);
    return new Tensor(this.dtype, shape, this.storage, { offset: this.offset });
  }

  /** Rows `a` (included) to `b` (excluded) of the first dimension, as a view. */
  rows(a: number, b: number): Tensor {
    const [n = 0, ...rest] = this.shape;
    if (this.layout !== "rows" || !(0 <= a && a <= b && b <= n))
      throw new OpError("rows", `${this} has no rows ${a} to ${b}`);
    const offset = this.offset + tensorBytes(this.dtype, [a, ...rest]);
    return new Tensor(this.dtype, [b - a, ...rest], this.storage, { offset });
  }

  toString(): string {
    return `${this.dtype}[${this.shape}]${this.layout === "panels" ? " in panels" : ""}`;
  }
}
