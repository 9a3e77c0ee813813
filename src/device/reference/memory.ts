/**
 * The reference device's memory: buffers by number, and the arena of the step that runs. Gives kernels the
 * numbers of a tensor as typed arrays; knows nothing of what they do with them.
 */
import { DeviceError } from "../../base/errors.ts";
import { type FormatName, formatBytes, formats } from "../../format/index.ts";
import { type DeviceBuffer, isArena, type Plan, placeOf, type Tensor } from "../../ops/index.ts";

/** The numbers of an f32 tensor; a device that keeps more of each than its 32 bits gives wider ones. */
export type Floats = Float32Array | Float64Array;

interface Held {
  readonly bytes: Uint8Array;
  /** Adopted from the host: neither counted nor written. */
  readonly adopted: boolean;
}

export class Memory {
  private readonly name: string;
  private readonly buffers = new Map<number, Held>();
  private nextId = 1;
  private arena = new Uint8Array(0);
  private plan: Plan | undefined;

  constructor(name: string) {
    this.name = name;
  }

  allocate(bytes: number): DeviceBuffer {
    return this.hold({ bytes: this.memoryOf(bytes), adopted: false });
  }

  adopt(bytes: Uint8Array): DeviceBuffer {
    return this.hold({ bytes, adopted: true });
  }

  free({ id }: DeviceBuffer): void {
    this.held(id);
    this.buffers.delete(id);
  }

  write({ id }: DeviceBuffer, offset: number, source: Uint8Array): void {
    const { bytes, adopted } = this.held(id);
    if (adopted) throw this.error(`buffer ${id} is the host's own and read-only`);
    if (!(offset >= 0 && offset + source.length <= bytes.length))
      throw this.error(
        `${source.length} bytes at ${offset} do not fit buffer ${id} of ${bytes.length}; nothing was written`,
      );
    bytes.set(source, offset);
  }

  /** Makes room for a plan's arena. What nobody has written reads as NaN, or −1. */
  begin(plan: Plan): void {
    if (this.arena.length < plan.arenaBytes) this.arena = this.memoryOf(plan.arenaBytes);
    this.arena.fill(0xff);
    this.plan = plan;
    for (const { slot, bytes } of plan.uploads) this.arena.set(bytes, plan.places[slot]!);
  }

  protected arenaBytes(): Uint8Array {
    return this.arena;
  }

  /** The bytes of a tensor, in place. */
  bytes(tensor: Tensor): Uint8Array {
    if (tensor.layout !== "rows") throw this.error(`${tensor}: this device has no panels`);
    const memory = isArena(tensor.storage) ? this.arena : this.held(tensor.storage.id).bytes;
    const offset = placeOf(this.plan!, tensor);
    return memory.subarray(offset, offset + tensor.bytes);
  }

  /** The numbers of an f32 tensor that is read; a copy where the host's bytes are not aligned. */
  f32(tensor: Tensor): Floats {
    const bytes = aligned(this.bytes(tensor), 4);
    return new Float32Array(bytes.buffer, bytes.byteOffset, tensor.elements);
  }

  /** `count` numbers from number `from` of a tensor in any format; both are whole blocks of it, or rows where a row is one. */
  decode(tensor: Tensor, from = 0, count = tensor.elements): Floats {
    const format = tensor.dtype as FormatName;
    const row = Math.max(1, tensor.shape.at(-1) ?? 1);
    const start = formatBytes(format, from, from / row);
    const bytes = this.bytes(tensor).subarray(start, start + formatBytes(format, count, count / row));
    const numbers = new Float32Array(count);
    formats[format].unpack(bytes, numbers);
    return numbers;
  }

  /** The bytes of a result, for whoever asked. */
  output(tensor: Tensor): Uint8Array {
    return this.bytes(tensor).slice();
  }

  copy(x: Tensor, y: Tensor): void {
    this.out(y).set(this.bytes(x));
  }

  /** The numbers of an i32 tensor that is read. */
  i32(tensor: Tensor): Int32Array {
    const bytes = aligned(this.bytes(tensor), 4);
    return new Int32Array(bytes.buffer, bytes.byteOffset, tensor.elements);
  }

  /** As `i32`, but an index outside [0, limit) is refused; `what` names the op and the field. */
  indices(tensor: Tensor, limit: number, what: string): Int32Array {
    const indices = this.i32(tensor);
    const wrong = indices.find((i) => i < 0 || i >= limit);
    if (wrong !== undefined) throw this.error(`${what} holds ${wrong}, outside [0, ${limit})`);
    return indices;
  }

  /** The bit patterns of an f16 or bf16 tensor that is read. */
  f16(tensor: Tensor): Uint16Array {
    const bytes = aligned(this.bytes(tensor), 2);
    return new Uint16Array(bytes.buffer, bytes.byteOffset, tensor.elements);
  }

  /** The bytes of a tensor that is written. */
  out(tensor: Tensor): Uint8Array {
    const { storage } = tensor;
    if (!isArena(storage) && this.held(storage.id).adopted)
      throw this.error(`buffer ${storage.id} is the host's own and read-only`);
    return this.bytes(tensor);
  }

  /** The numbers of an f32 tensor that is written. */
  f32Out(tensor: Tensor): Floats {
    const { buffer, byteOffset } = this.out(tensor);
    return new Float32Array(buffer, byteOffset, tensor.elements);
  }

  /** The numbers of an i32 tensor that is written. */
  i32Out(tensor: Tensor): Int32Array {
    const { buffer, byteOffset } = this.out(tensor);
    return new Int32Array(buffer, byteOffset, tensor.elements);
  }

  /** The bit patterns of an f16 or bf16 tensor that is written. */
  f16Out(tensor: Tensor): Uint16Array {
    const { buffer, byteOffset } = this.out(tensor);
    return new Uint16Array(buffer, byteOffset, tensor.elements);
  }

  sizes(): { readonly buffers: number; readonly arena: number } {
    let buffers = 0;
    for (const { bytes, adopted } of this.buffers.values()) if (!adopted) buffers += bytes.length;
    return { buffers, arena: this.arena.length };
  }

  error(problem: string): DeviceError {
    return new DeviceError(this.name, problem);
  }

  private hold(held: Held): DeviceBuffer {
    const id = this.nextId++;
    this.buffers.set(id, held);
    return { id, bytes: held.bytes.length };
  }

  protected held(id: number): Held {
    const held = this.buffers.get(id);
    if (!held) throw this.error(`there is no buffer ${id}; it may have been freed`);
    return held;
  }

  private memoryOf(bytes: number): Uint8Array<ArrayBuffer> {
    try {
      return new Uint8Array(bytes);
    } catch (cause) {
      throw new DeviceError(this.name, `cannot allocate ${bytes} bytes; use a smaller model or cache`, cause);
    }
  }
}

const aligned = (bytes: Uint8Array, size: number): Uint8Array =>
  bytes.byteOffset % size === 0 ? bytes : bytes.slice();
