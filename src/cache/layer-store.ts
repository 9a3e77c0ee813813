/** The memory of a paged cache: keys and values of each layer, page by page. Knows no sequences. */
import {
  type CacheFormat,
  type Device,
  type DeviceBuffer,
  type Stream,
  Tensor,
  tensorBytes,
} from "../ops/index.ts";
import type { LayerShape } from "./kv-cache.ts";

export interface LayerPages {
  readonly shape: LayerShape;
  /** [pages, kvHeads, page, keyDim] */
  readonly keys: Tensor;
  /** [pages, kvHeads, page, valueDim] */
  readonly values: Tensor;
}

export class LayerStore {
  layers: readonly LayerPages[];
  private readonly device: Device;
  private readonly format: CacheFormat;
  private readonly page: number;
  private retired: DeviceBuffer[] = [];

  constructor(
    device: Device,
    format: CacheFormat,
    shapes: readonly LayerShape[],
    page: number,
    pages: number,
  ) {
    this.device = device;
    this.format = format;
    this.page = page;
    this.layers = shapes.map((shape) => this.allocate(shape, pages));
  }

  /** Moves all pages to buffers of `pages` pages; the old ones are freed by `tidy`. */
  grow(s: Stream, pages: number): void {
    const old = this.layers;
    const made: LayerPages[] = [];
    try {
      for (const { shape } of old) made.push(this.allocate(shape, pages));
    } catch (error) {
      // There may be room for some layers, and not for all.
      this.retire(made);
      throw error;
    }
    this.layers = made;
    const before = old[0]?.keys.dim(0) ?? 0;
    for (const [i, { keys, values }] of this.layers.entries()) {
      s.push({ kind: "copy", x: old[i]!.keys, y: keys.rows(0, before) });
      s.push({ kind: "copy", x: old[i]!.values, y: values.rows(0, before) });
    }
    this.retire(old);
  }

  copy(s: Stream, from: number, to: number): void {
    for (const layer of this.layers)
      for (const cached of [layer.keys, layer.values])
        s.push({ kind: "copy", x: cached.rows(from, from + 1), y: cached.rows(to, to + 1) });
  }

  /** Frees what was moved away from in steps that have been submitted. */
  tidy(): void {
    if (this.retired.length === 0) return;
    for (const buffer of this.retired) this.device.free(buffer);
    this.retired = [];
  }

  bytes(): number {
    return this.layers.reduce((sum, { keys, values }) => sum + keys.bytes + values.bytes, 0);
  }

  close(): void {
    this.retire(this.layers);
    this.layers = [];
    this.tidy();
  }

  private retire(layers: readonly LayerPages[]): void {
    for (const { keys, values } of layers)
      this.retired.push(keys.storage as DeviceBuffer, values.storage as DeviceBuffer);
  }

  private allocate(shape: LayerShape, pages: number): LayerPages {
    const sizes = [shape.keyDim, shape.valueDim].map((d) => [pages, shape.kvHeads, this.page, d]);
    const buffers: DeviceBuffer[] = [];
    try {
      for (const size of sizes) buffers.push(this.device.allocate(tensorBytes(this.format, size)));
    } catch (error) {
      this.retired.push(...buffers);
      throw error;
    }
    const [keys, values] = buffers.map((buffer, i) => new Tensor(this.format, sizes[i]!, buffer));
    return { shape, keys: keys!, values: values! };
  }
}
