/**
 * The reference device with f64 in the place of f32: what it computes is exact to some 1e-15, so that differences of
 * its results are derivatives.
 */
import { Memory } from "../../src/device/reference/memory.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import type { DeviceBuffer, Plan, Tensor } from "../../src/ops/index.ts";

/** Keeps an f64 for each four bytes of memory. */
class WideMemory extends Memory {
  private readonly mirrors = new WeakMap<ArrayBufferLike, Float64Array>();

  private mirror({ buffer }: Uint8Array): Float64Array {
    let mirror = this.mirrors.get(buffer);
    if (!mirror) {
      mirror = Float64Array.from(new Float32Array(buffer, 0, Math.floor(buffer.byteLength / 4)));
      this.mirrors.set(buffer, mirror);
    }
    return mirror;
  }

  private refresh(bytes: Uint8Array): void {
    const from = bytes.byteOffset / 4;
    this.mirror(bytes).set(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), from);
  }

  override begin(plan: Plan): void {
    super.begin(plan);
    if (plan.arenaBytes > 0) this.refresh(this.arenaBytes());
  }

  override write(buffer: DeviceBuffer, offset: number, source: Uint8Array): void {
    super.write(buffer, offset, source);
    this.refresh(this.held(buffer.id).bytes.subarray(offset, offset + source.length));
  }

  override f32(tensor: Tensor): Float64Array {
    const bytes = this.bytes(tensor);
    if (bytes.byteOffset % 4 !== 0) throw this.error(`${tensor} is not aligned`);
    const from = bytes.byteOffset / 4;
    return this.mirror(bytes).subarray(from, from + tensor.elements);
  }

  override f32Out(tensor: Tensor): Float64Array {
    return this.f32(tensor);
  }

  override decode(tensor: Tensor, from = 0, count = tensor.elements) {
    return tensor.dtype === "f32"
      ? this.f32(tensor).subarray(from, from + count)
      : super.decode(tensor, from, count);
  }

  override copy(x: Tensor, y: Tensor): void {
    super.copy(x, y);
    if (x.dtype === "f32") this.f32(y).set(this.f32(x));
  }

  override output(tensor: Tensor): Uint8Array {
    if (tensor.dtype !== "f32") return super.output(tensor);
    return new Uint8Array(Float32Array.from(this.f32(tensor)).buffer);
  }
}

export class WideDevice extends ReferenceDevice {
  private readonly wide: WideMemory;

  constructor() {
    const wide = new WideMemory("wide reference");
    super(wide);
    this.wide = wide;
  }

  /** The numbers of a tensor, after the plan that computed it: the device's own array. */
  numbers(tensor: Tensor): Float64Array {
    return this.wide.f32(tensor);
  }
}
