/**
 * The plain cache: it keeps every key and value of every sequence, in pages, so that sequences share one
 * buffer for each layer, forks share what they have in common, and nothing is moved when one ends.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import {
  type CacheFormat,
  type Device,
  type DeviceBuffer,
  KEY_TILE,
  type Stream,
  Tensor,
  tensorBytes,
} from "../ops/index.ts";
import type { SequenceId, TokenBatch } from "./batch.ts";
import type { AttentionOptions, CacheStep, KvCache, LayerShape } from "./kv-cache.ts";
import { PageTable } from "./pages.ts";

const TILE_PAGES = 4;
/** Positions in a page: a divisor of KEY_TILE, small enough that half-empty last pages cost little. */
const PAGE = KEY_TILE / TILE_PAGES;

interface Held {
  length: number;
  readonly pages: number[];
}

interface LayerStore {
  readonly shape: LayerShape;
  /** [pages, kvHeads, PAGE, keyDim] */
  keys: Tensor;
  /** [pages, kvHeads, PAGE, valueDim] */
  values: Tensor;
}

/** The numbers of a step, in the arrays that its constants are. */
interface StepIndex {
  /** [n] */
  readonly slots: Int32Array;
  /** [s, 3] */
  readonly spans: Int32Array;
  /** [s, width] */
  readonly pages: Int32Array;
}

export interface DenseCacheOptions {
  /** q8_0 needs heads of a multiple of 32. */
  readonly format: CacheFormat;
  /** Tokens to make room for at first (default: a tile of keys); it grows beyond that by doubling. */
  readonly tokens?: number;
}

export class DenseCache implements KvCache {
  private readonly device: Device;
  private readonly format: CacheFormat;
  private readonly layers: LayerStore[];
  private readonly table = new PageTable();
  private readonly sequences = new Map<SequenceId, Held>();
  private readonly retired: DeviceBuffer[] = [];
  private nextId = 0;
  /** How often pages were copied, or moved to other buffers: ops that were pushed before do not fit afterwards. */
  private copies = 0;

  constructor(
    device: Device,
    layers: readonly LayerShape[],
    { format, tokens = KEY_TILE }: DenseCacheOptions,
  ) {
    const odd = layers.flatMap(({ keyDim, valueDim }) => [keyDim, valueDim]).find((d) => d % 32 !== 0);
    if (format === "q8_0" && odd !== undefined)
      throw new ParameterError(
        "cacheFormat",
        `q8_0 rounds groups of 32, and does not fit heads of ${odd}; take f16`,
      );
    this.device = device;
    this.format = format;
    const pages = Math.max(1, Math.ceil(tokens / PAGE));
    this.table.grow(pages);
    this.layers = layers.map((shape) => ({ shape, ...this.allocate(shape, pages) }));
  }

  add(): SequenceId {
    this.sequences.set(this.nextId, { length: 0, pages: [] });
    return this.nextId++;
  }

  fork(sequence: SequenceId): SequenceId {
    const { length, pages } = this.held(sequence);
    for (const page of pages) this.table.share(page);
    this.sequences.set(this.nextId, { length, pages: [...pages] });
    return this.nextId++;
  }

  remove(sequence: SequenceId): void {
    for (const page of this.held(sequence).pages) this.table.give(page);
    this.sequences.delete(sequence);
  }

  length(sequence: SequenceId): number {
    return this.held(sequence).length;
  }

  keep(sequence: SequenceId, length: number): number {
    return Math.min(length, this.held(sequence).length);
  }

  truncate(sequence: SequenceId, length: number): void {
    const held = this.held(sequence);
    if (!Number.isInteger(length) || length < 0 || length > held.length)
      throw new ParameterError("length", `cannot cut a sequence of ${held.length} tokens to ${length}`);
    for (const page of held.pages.splice(Math.ceil(length / PAGE))) this.table.give(page);
    held.length = length;
  }

  begin(s: Stream, batch: TokenBatch): CacheStep {
    for (const buffer of this.retired.splice(0)) this.device.free(buffer);
    const { copies } = this;
    const { sequences } = batch;
    for (let i = 0; i < sequences.length; i++) this.extend(s, ...this.grown(batch, i));
    const most = Math.max(1, ...sequences.map((sequence) => this.held(sequence).pages.length));
    // Whole tiles of keys, so that the step can be begun again with more tokens before it.
    const width = Math.ceil(most / TILE_PAGES) * TILE_PAGES;
    const index = {
      slots: new Int32Array(batch.ids.length),
      spans: new Int32Array(3 * sequences.length),
      pages: new Int32Array(sequences.length * width),
    };
    this.locate(batch, index);
    const tensors = {
      slots: s.constant(index.slots),
      spans: s.constant(index.spans, [sequences.length, 3]),
      pages: s.constant(index.pages, [sequences.length, width]),
      longest: width * PAGE,
    };
    return new DenseStep(s, this.layers, tensors, (next) => this.again(next, index, copies));
  }

  /** Begins a step again that was begun after so many copies. */
  private again(batch: TokenBatch, index: StepIndex, copies: number): boolean {
    if (copies !== this.copies) return false;
    const width = index.pages.length / batch.sequences.length;
    let free = this.table.size - this.table.used;
    let most = TILE_PAGES;
    for (let i = 0; i < batch.sequences.length; i++) {
      const [held, length] = this.grown(batch, i);
      const pages = Math.ceil(length / PAGE);
      free -= Math.max(0, pages - held.pages.length);
      most = Math.max(most, pages);
      if (free < 0 || this.writesShared(held, length)) return false;
    }
    // A step for much longer sequences would be right, and slow.
    if (most > width || width > 4 * most) return false;
    for (let i = 0; i < batch.sequences.length; i++) this.extend(undefined, ...this.grown(batch, i));
    this.locate(batch, index);
    return true;
  }

  /** A sequence of a batch, and its length with the batch's tokens. */
  private grown(batch: TokenBatch, i: number): [held: Held, length: number] {
    const held = this.held(batch.sequences[i]!);
    const [from, to] = [batch.offsets[i]!, batch.offsets[i + 1]!];
    if (to > from && batch.positions[from] !== held.length)
      throw new ParameterError(
        "batch",
        `sequence has ${held.length} tokens, but its part starts at ${batch.positions[from]}`,
      );
    return [held, held.length + to - from];
  }

  /** Writes where the batch's tokens belong, for sequences that have been extended by them. */
  private locate(batch: TokenBatch, { slots, spans, pages }: StepIndex): void {
    const width = pages.length / batch.sequences.length;
    for (let i = 0; i < batch.sequences.length; i++) {
      const held = this.held(batch.sequences[i]!);
      const [from, to] = [batch.offsets[i]!, batch.offsets[i + 1]!];
      const start = held.length - (to - from);
      for (let row = from; row < to; row++) {
        const position = start + row - from;
        slots[row] = held.pages[Math.floor(position / PAGE)]! * PAGE + (position % PAGE);
      }
      spans[3 * i] = from;
      spans[3 * i + 1] = to - from;
      spans[3 * i + 2] = start;
      pages.set(held.pages, i * width);
    }
  }

  bytes(): number {
    return this.layers.reduce((sum, { keys, values }) => sum + keys.bytes + values.bytes, 0);
  }

  close(): void {
    for (const { keys, values } of this.layers)
      this.retired.push(keys.storage as DeviceBuffer, values.storage as DeviceBuffer);
    for (const buffer of this.retired.splice(0)) this.device.free(buffer);
    this.sequences.clear();
  }

  private held(sequence: SequenceId): Held {
    const held = this.sequences.get(sequence);
    if (held === undefined)
      throw new ParameterError("sequence", `there is no sequence ${sequence} in this cache`);
    return held;
  }

  /** Whether the sequence has begun a page that it shares, and that its next tokens would be written to. */
  private writesShared(held: Held, length: number): boolean {
    return length > held.length && held.length % PAGE !== 0 && this.table.isShared(held.pages.at(-1)!);
  }

  /**
   * Gives a sequence the pages for `length` tokens, its last page unshared if it will be written. Without a stream
   * nothing may have to be copied.
   */
  private extend(s: Stream | undefined, held: Held, length: number): void {
    if (this.writesShared(held, length)) {
      const last = held.pages.length - 1;
      const [shared, own] = [held.pages[last]!, this.takePage(s)];
      this.copyPages(s, this.layers, shared, own, 1);
      this.table.give(shared);
      held.pages[last] = own;
    }
    while (held.pages.length * PAGE < length) held.pages.push(this.takePage(s));
    held.length = length;
  }

  private takePage(s: Stream | undefined): number {
    const page = this.table.take();
    if (page !== undefined) return page;
    const before = this.table.size;
    this.table.grow(2 * before);
    const old = this.layers.map((layer) => ({ ...layer }));
    for (const layer of this.layers) Object.assign(layer, this.allocate(layer.shape, 2 * before));
    this.copyPages(s, old, 0, 0, before);
    for (const { keys, values } of old)
      this.retired.push(keys.storage as DeviceBuffer, values.storage as DeviceBuffer);
    return this.table.take()!;
  }

  private copyPages(
    s: Stream | undefined,
    from: readonly LayerStore[],
    source: number,
    target: number,
    count: number,
  ): void {
    if (!s) throw new FoveaError("a recorded step cannot copy pages");
    this.copies++;
    for (const [i, layer] of this.layers.entries())
      for (const field of ["keys", "values"] as const)
        s.push({
          kind: "copy",
          x: from[i]![field].rows(source, source + count),
          y: layer[field].rows(target, target + count),
        });
  }

  private allocate(
    { kvHeads, keyDim, valueDim }: LayerShape,
    pages: number,
  ): { keys: Tensor; values: Tensor } {
    const make = (d: number): Tensor => {
      const shape = [pages, kvHeads, PAGE, d];
      return new Tensor(this.format, shape, this.device.allocate(tensorBytes(this.format, shape)));
    };
    return { keys: make(keyDim), values: make(valueDim) };
  }
}

class DenseStep implements CacheStep {
  private readonly s: Stream;
  private readonly layers: readonly LayerStore[];
  private readonly index: { slots: Tensor; spans: Tensor; pages: Tensor; longest: number };
  readonly again: CacheStep["again"];

  constructor(
    s: Stream,
    layers: readonly LayerStore[],
    index: DenseStep["index"],
    again: CacheStep["again"],
  ) {
    this.s = s;
    this.layers = layers;
    this.index = index;
    this.again = again;
  }

  append(layer: number, k: Tensor, v: Tensor): void {
    const { keys, values } = this.layers[layer]!;
    this.s.push({ kind: "cache_write", k, v, slots: this.index.slots, keys, values });
  }

  attend(layer: number, q: Tensor, options: AttentionOptions): Tensor {
    const { keys, values, shape } = this.layers[layer]!;
    const { spans, pages, longest } = this.index;
    const y = this.s.empty("f32", [q.dim(0), q.dim(1), shape.valueDim]);
    this.s.push({ kind: "attend", q, keys, values, pages, spans, y, ...options, longest, causal: 1 });
    return y;
  }
}
