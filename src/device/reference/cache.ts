/**
 * One side (keys or values) of a layer's cache, number by number, as the docstring of `cache_write` lays it out.
 * Knows no attention.
 */
import { halfFrom, halfValue } from "../../format/half.ts";
import { KEY_RUN, type Tensor, tensorBytes } from "../../ops/index.ts";
import type { Floats } from "./memory.ts";

const GROUP = 32;

export class CacheSide {
  private readonly tensor: Tensor;
  private readonly keys: boolean;
  private readonly view: DataView;
  /** Of a page of a head. */
  private readonly pageBytes: number;

  constructor(tensor: Tensor, bytes: Uint8Array, side: "keys" | "values") {
    this.tensor = tensor;
    this.keys = side === "keys";
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pageBytes = tensorBytes(tensor.dtype, tensor.shape.slice(2));
  }

  /** Position `at` of page `page` of a head, into `to` from `start`. */
  load(page: number, head: number, at: number, to: Float32Array, start: number): void {
    const { dtype } = this.tensor;
    const d = this.tensor.dim(3);
    const base = this.base(page, head);
    for (let c = 0; c < d; c++) {
      const i = this.place(at, c, d);
      if (dtype === "f32") to[start + c] = this.view.getFloat32(base + 4 * i, true);
      else if (dtype === "f16") to[start + c] = halfValue[this.view.getUint16(base + 2 * i, true)]!;
      else {
        const scale = halfValue[this.view.getUint16(this.scalePlace(base, at, c), true)]!;
        to[start + c] = scale * this.view.getInt8(base + i);
      }
    }
  }

  /** `from[start…]` to position `at` of page `page` of a head. */
  store(page: number, head: number, at: number, from: Floats, start: number): void {
    const { dtype } = this.tensor;
    const d = this.tensor.dim(3);
    const base = this.base(page, head);
    for (let c = 0; c < d; c++) {
      const [i, x] = [this.place(at, c, d), from[start + c]!];
      if (dtype === "f32") this.view.setFloat32(base + 4 * i, x, true);
      else if (dtype === "f16") this.view.setUint16(base + 2 * i, halfFrom(x), true);
      else if (c % GROUP === 0) this.storeGroup(base, at, c, from.subarray(start + c, start + c + GROUP));
    }
  }

  private storeGroup(base: number, at: number, first: number, group: Floats): void {
    const finite = group.every(Number.isFinite);
    let most = 0;
    for (const x of group) most = Math.max(most, Math.abs(x));
    const half = finite ? halfFrom(Math.fround(most / 127)) : halfFrom(Number.NaN);
    this.view.setUint16(this.scalePlace(base, at, first), half, true);
    const scale = halfValue[half]!;
    group.forEach((x, k) => {
      const code = scale > 0 && scale < Infinity ? roundToEven(Math.fround(x / scale)) : 0;
      const place = base + this.place(at, first + k, this.tensor.dim(3));
      this.view.setInt8(place, Math.max(-127, Math.min(127, code)));
    });
  }

  private base(page: number, head: number): number {
    return (page * this.tensor.dim(1) + head) * this.pageBytes;
  }

  private place(at: number, c: number, width: number): number {
    return this.keys ? (Math.floor(at / KEY_RUN) * width + c) * KEY_RUN + (at % KEY_RUN) : at * width + c;
  }

  private scalePlace(base: number, at: number, c: number): number {
    const [, , page = 0, d = 0] = this.tensor.shape;
    return base + page * d + 2 * this.place(at, Math.floor(c / GROUP), d / GROUP);
  }
}

function roundToEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}
