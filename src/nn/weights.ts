/**
 * From the tensors of a checkpoint to tensors on a device. Model files ask for weights by their Hugging Face
 * names and get device tensors at once; the bytes follow in `load`: from a store of packed weights, or one
 * matrix after another, so that no more than one is held twice. Knows no architecture.
 */
import { CheckpointError } from "../base/errors.ts";
import { type Checkpoint, readF32 } from "../checkpoint/checkpoint.ts";
import type { PackedStore } from "../checkpoint/packed-cache.ts";
import { type FormatName, formatBytes, formats, isFormat, shapedBytes } from "../format/index.ts";
import { type Device, type DeviceBuffer, Stream, Tensor } from "../ops/index.ts";
import { Background, restore, save, settle } from "./packed.ts";

/** Bytes that are packed between two flushes: enough to keep the threads busy, little enough to hold twice. */
const FLUSH_BYTES = 16 << 20;
/** A panel is 16 rows, and panels follow one another: a matrix can be packed by ranges of rows. */
const PANEL_ROWS = 16;
/** Vectors share buffers of this size. */
const SLAB_BYTES = 1 << 20;
/** Milliseconds that `close` grants to weights that are still being kept. */
const SAVING_MS = 5000;

/** Where the rows of a matrix come from. */
interface MatrixSource {
  readonly names: readonly string[];
  readonly format: FormatName;
  /** [m, k] or [e, m, k] */
  readonly shape: readonly number[];
  /** What is done to the tensors of those names, where it is not nothing. */
  readonly change?: string;
  read(): Uint8Array;
}

/** A matrix that `load` is to bring. */
interface Pending {
  readonly source: MatrixSource;
  readonly tensor: Tensor;
  /** The tensor's storage, whose number is given when it is known where the bytes come from. */
  readonly storage: { id: number; readonly bytes: number };
}

export interface WeightsLoadOptions {
  /** Bytes of the checkpoint that are on the device, and of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where packed weights are kept from one run to the next. */
  readonly packed?: PackedStore | undefined;
}

export interface MatrixOptions {
  /** Only these rows (from, to), for matrices that hold several. */
  readonly rows?: readonly [number, number];
  /** The file holds [k, m]. */
  readonly transposed?: boolean;
  /** New row i is row `order[i]` of the file; applied before `rows`. */
  readonly order?: Int32Array;
}

/** Translates a Hugging Face tensor name to the name in the file. `*` stands for all experts. */
export type NameMap = (name: string) => string;

export class Weights {
  readonly checkpoint: Checkpoint;
  readonly device: Device;
  private readonly nameOf: NameMap;
  private readonly pending: Pending[] = [];
  private readonly buffers: DeviceBuffer[] = [];
  private readonly shared = new Map<string, Tensor>();
  private background: { readonly work: Background; readonly limit: number } | undefined;
  private slab: { buffer: DeviceBuffer; used: number } | undefined;
  /** Bytes in the file of all that was asked for, by format. */
  readonly formatBytes: Record<string, number> = {};
  parameters = 0;

  constructor(checkpoint: Checkpoint, device: Device, nameOf: NameMap = (name) => name) {
    this.checkpoint = checkpoint;
    this.device = device;
    this.nameOf = nameOf;
  }

  /** Whether the checkpoint is a GGUF file, whose writers change some weights beforehand. */
  get isGguf(): boolean {
    return this.checkpoint.kind === "gguf";
  }

  has(name: string): boolean {
    return this.checkpoint.tensors.has(this.nameOf(name));
  }

  /** A matrix [m, k] for `linear` and `embed`, in its own format. The shape, where given, is demanded. */
  matrix(name: string, shape: readonly [number, number], options: MatrixOptions = {}): Tensor {
    const key = options.rows || options.order ? undefined : name;
    const known = key && this.shared.get(key);
    if (known) return known;
    const tensor = this.place(this.matrixSource(name, shape, options));
    if (key) this.shared.set(key, tensor);
    return tensor;
  }

  /**
   * The matrices of all experts, [e, m, k]: `name` has a `*` where the number of the expert goes. A GGUF file
   * holds them in one tensor.
   */
  experts(name: string, [e, m, k]: readonly [number, number, number]): Tensor {
    const stacked = this.nameOf(name);
    if (this.checkpoint.tensors.has(stacked)) return this.place(this.stackedSource(stacked, [e, m, k]));
    const sources = Array.from({ length: e }, (_, i) =>
      this.matrixSource(name.replace("*", String(i)), [m, k], {}),
    );
    const { format } = sources[0]!;
    const other = sources.find((source) => source.format !== format);
    if (other) this.refuse(other.names[0]!, `is ${other.format}, but the other experts are ${format}`);
    return this.place({
      names: sources.flatMap((source) => source.names),
      format,
      shape: [e, m, k],
      read() {
        const each = formatBytes(format, m * k, m);
        const all = new Uint8Array(e * each);
        for (const [i, source] of sources.entries()) all.set(source.read(), i * each);
        return all;
      },
    });
  }

  /** A vector as f32 [1, d] (or [g, d] for a stack of g), whatever its format in the file; `plus` is added. */
  vector(name: string, d: number, { plus = 0, rows = [0, d] as readonly [number, number] } = {}): Tensor {
    const values = this.numbers(name, d);
    return this.upload(plus === 0 ? values.subarray(...rows) : values.map((x) => x + plus), [
      1,
      rows[1] - rows[0],
    ]);
  }

  /** Like `vector`, undefined when the file does not have it. */
  optionalVector(name: string, d: number): Tensor | undefined {
    return this.has(name) ? this.vector(name, d) : undefined;
  }

  /** A vector of m elements for `linear`, as f32 [m], or those that `rows` picks after `order`. */
  bias(name: string, m: number, { rows = [0, m], order }: Omit<MatrixOptions, "transposed"> = {}): Tensor {
    const values = this.numbers(name, m);
    const ordered = order ? Float32Array.from(order, (row) => values[row]!) : values;
    return this.upload(ordered.subarray(...rows), [rows[1] - rows[0]]);
  }

  /** Vectors of equal length, or one that holds them all, as f32 [g, d]. */
  stacked(names: readonly string[], [g, d]: readonly [number, number]): Tensor {
    const length = (g * d) / names.length;
    const values = new Float32Array(g * d);
    for (const [i, name] of names.entries()) values.set(this.numbers(name, length), i * length);
    return this.upload(values, [g, d]);
  }

  /** The values of a vector of d elements. */
  numbers(name: string, d: number): Float32Array {
    const file = this.nameOf(name);
    const info = this.info(file);
    const values = readF32(this.checkpoint, file);
    if (values.length !== d) this.refuse(file, `has shape [${info.shape}], but ${d} elements are needed`);
    this.count([file], info.format, [d]);
    return values;
  }

  /** f32 values of our own making, on the device. */
  upload(values: Float32Array, shape: readonly number[]): Tensor {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const size = Math.ceil(Math.max(1, bytes.length) / 64) * 64;
    if (this.slab === undefined || this.slab.used + size > this.slab.buffer.bytes)
      this.slab = { buffer: this.own(this.device.allocate(Math.max(size, SLAB_BYTES))), used: 0 };
    const { buffer, used } = this.slab;
    this.device.write(buffer, used, bytes);
    this.slab.used += size;
    return new Tensor("f32", shape, buffer, { offset: used });
  }

  /** Brings the bytes of all matrices asked for so far to the device. Call it once. */
  async load({ onProgress, signal, packed }: WeightsLoadOptions = {}): Promise<void> {
    const jobs = this.pending.splice(0);
    const parts = jobs.map(({ source, storage }) => ({ what: describe(source), bytes: storage.bytes }));
    const sizes = jobs.map(({ tensor }) => tensor.bytes);
    const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const place = (buffers: readonly DeviceBuffer[]): void => {
      for (const [i, { storage }] of jobs.entries()) storage.id = this.own(buffers[i]!).id;
    };
    const kept =
      packed &&
      (await restore(this.device, packed, parts, {
        onProgress: (count) =>
          onProgress?.(
            sizes.slice(0, count).reduce((sum, bytes) => sum + bytes, 0),
            total,
          ),
        signal,
      }));
    if (kept) {
      place(kept.buffers);
      if (this.device.replace) {
        // The map ends with the last that knows of it.
        const end = (): void => {
          this.background = undefined;
        };
        const work = new Background((pause) => settle(this.device, kept, pause).finally(end));
        this.background = { work, limit: 0 };
      }
      return;
    }
    const buffers: DeviceBuffer[] = [];
    try {
      for (const { bytes } of parts) buffers.push(this.device.allocate(bytes));
    } finally {
      place(buffers);
    }
    await this.pack(jobs, total, onProgress, signal);
    if (packed && this.device.panelLayout && jobs.length > 0)
      this.background = {
        work: new Background((pause) => save(this.device, packed, parts, buffers, pause)),
        limit: SAVING_MS,
      };
  }

  private async pack(
    jobs: readonly Pending[],
    total: number,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const s = new Stream(this.device);
    let done = 0;
    let held: { buffer: DeviceBuffer; bytes: Uint8Array }[] = [];
    let heldBytes = 0;
    const flush = async (): Promise<void> => {
      signal?.throwIfAborted();
      await s.flush();
      for (const { buffer, bytes } of held) {
        this.device.free(buffer);
        this.checkpoint.release(bytes);
      }
      done += heldBytes;
      held = [];
      heldBytes = 0;
      onProgress?.(done, total);
    };
    for (const { source, tensor } of jobs)
      for (const { bytes, y } of this.pieces(source.read(), tensor)) {
        const buffer = this.device.adopt(bytes);
        held.push({ buffer, bytes });
        heldBytes += bytes.length;
        s.push({ kind: "pack", x: new Tensor(source.format, y.shape, buffer), y });
        if (heldBytes >= FLUSH_BYTES) await flush();
      }
    if (held.length > 0) await flush();
  }

  /** Cuts a matrix, or stack of them, into pieces of whole panels that are no larger than a flush. */
  private *pieces(
    all: Uint8Array,
    { dtype, shape, storage }: Tensor,
  ): Generator<{ bytes: Uint8Array; y: Tensor }> {
    const format = dtype as FormatName;
    const [m = 0, k = 0] = shape.slice(-2);
    const rowBytes = formatBytes(format, k);
    const rows = Math.max(1, Math.floor(FLUSH_BYTES / (PANEL_ROWS * Math.max(1, rowBytes)))) * PANEL_ROWS;
    const panels = (count: number): number => this.device.panelBytes(format, [count, k])!;
    for (let first = 0; first * rowBytes < all.length; first += m)
      for (let row = 0; row < m; row += rows) {
        const count = Math.min(rows, m - row);
        const offset = (first / m) * panels(m) + (row > 0 ? panels(row) : 0);
        const bytes = all.subarray((first + row) * rowBytes, (first + row + count) * rowBytes);
        yield { bytes, y: new Tensor(format, [count, k], storage, { layout: "panels", offset }) };
      }
  }

  /** Gives all memory back, once what is being kept is kept. */
  async close(): Promise<void> {
    await this.background?.work.finish(this.background.limit);
    this.free();
  }

  /** Gives all memory back. */
  free(): void {
    for (const buffer of this.buffers.splice(0)) this.device.free(buffer);
  }

  private place(source: MatrixSource): Tensor {
    const { format, shape } = source;
    this.count(source.names, format, shape);
    const bytes = this.device.panelBytes(format, shape);
    if (bytes === undefined) return new Tensor(format, shape, this.own(this.device.adopt(source.read())));
    const storage = { id: 0, bytes };
    const tensor = new Tensor(format, shape, storage, { layout: "panels" });
    this.pending.push({ source, tensor, storage });
    return tensor;
  }

  private matrixSource(
    name: string,
    [m, k]: readonly [number, number],
    options: MatrixOptions,
  ): MatrixSource {
    const { rows = [0, m], transposed = false, order } = options;
    const file = this.nameOf(name);
    const format = this.weightFormat(file, transposed ? [k, m] : [m, k]);
    const rowBytes = k % formats[format].block === 0 ? formatBytes(format, k) : 0;
    if (rowBytes === 0)
      this.refuse(
        file,
        `has rows of ${k} elements, no multiple of the ${formats[format].block} of ${format}`,
      );
    if (transposed && !formats[format].float)
      this.refuse(file, `is ${format}, whose rows are no outputs where the architecture transposes`);
    const { checkpoint } = this;
    const change = [
      ...(transposed ? ["transposed"] : []),
      ...(order ? [`order ${order.join(" ")}`] : []),
      ...(options.rows ? [`rows ${rows.join(" to ")}`] : []),
    ].join(", ");
    return {
      names: [file],
      format,
      shape: [rows[1] - rows[0], k],
      change,
      read() {
        let bytes = checkpoint.bytes(file);
        if (transposed) bytes = transpose(bytes, k, m);
        if (order) bytes = reorder(bytes, order, rowBytes);
        return bytes.subarray(rows[0] * rowBytes, rows[1] * rowBytes);
      },
    };
  }

  private stackedSource(file: string, shape: readonly [number, number, number]): MatrixSource {
    const format = this.weightFormat(file, shape);
    return { names: [file], format, shape, read: () => this.checkpoint.bytes(file) };
  }

  private weightFormat(file: string, shape: readonly number[]): FormatName {
    const info = this.info(file);
    // Some writers drop a leading dimension of 1.
    const same = info.shape.join() === shape.join() || `1,${info.shape.join()}` === shape.join();
    if (!same) this.refuse(file, `has shape [${info.shape}], but the config asks for [${shape}]`);
    if (!isFormat(info.format)) this.refuse(file, `has the type ${info.format}, which is no weight format`);
    return info.format;
  }

  private info(file: string) {
    const info = this.checkpoint.tensors.get(file);
    if (info === undefined)
      this.refuse(file, "the checkpoint has no such tensor, but its config asks for it");
    return info;
  }

  protected count(names: readonly string[], format: string, shape: readonly number[]): void {
    const elements = shape.reduce((n, d) => n * d, 1);
    this.parameters += elements;
    const bytes = isFormat(format) ? shapedBytes(format, shape) : 4 * elements;
    if (names.length > 0) this.formatBytes[format] = (this.formatBytes[format] ?? 0) + bytes;
  }

  protected own(buffer: DeviceBuffer): DeviceBuffer {
    this.buffers.push(buffer);
    return buffer;
  }

  protected refuse(field: string, problem: string): never {
    throw new CheckpointError(this.checkpoint.path, problem, { field });
  }
}

/** All that the bytes of a matrix depend on, but for the checkpoint. */
const describe = ({ names, format, shape, change }: MatrixSource): string =>
  `${names.join(" ")}: ${format} [${shape}]${change ? `, ${change}` : ""}`;

/** [rows, columns] to [columns, rows], for formats without blocks (2 or 4 bytes an element). */
function transpose(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const size = bytes.length / (rows * columns);
  const source = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const make = (b: Uint8Array) =>
    size === 4
      ? new Uint32Array(b.buffer, b.byteOffset, rows * columns)
      : new Uint16Array(b.buffer, b.byteOffset, rows * columns);
  const [from, result] = [make(source), new Uint8Array(bytes.length)];
  const to = make(result);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j]!;
  return result;
}

function reorder(bytes: Uint8Array, order: Int32Array, rowBytes: number): Uint8Array {
  const result = new Uint8Array(order.length * rowBytes);
  for (const [i, row] of order.entries())
    result.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), i * rowBytes);
  return result;
}
