/**
 * The plain cache: it keeps every key and value of every sequence, in pages, so that sequences share one
 * buffer for each layer, forks share what they have in common, and nothing is moved when one ends.
 */
import { ParameterError } from "../base/errors.ts";
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

/** Positions in a page: a divisor of KEY_TILE, small enough that half-empty last pages cost little. */
const PAGE = KEY_TILE / 4;

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

export interface DenseCacheOptions {
  /** q8_0 needs heads of a multiple of 32. */
  readonly format: CacheFormat;
  /** Tokens to make room for at first; it grows beyond that by doubling. */
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

  constructor(device: Device, layers: readonly LayerShape[], { format, tokens = PAGE }: DenseCacheOptions) {
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
    const count = batch.sequences.length;
    const slots = new Int32Array(batch.ids.length);
    const spans = new Int32Array(3 * count);
    const rows: number[][] = [];
    let longest = 0;
    for (let i = 0; i < count; i++) {
      const held = this.held(batch.sequences[i]!);
      const [from, to] = [batch.offsets[i]!, batch.offsets[i + 1]!];
      const start = held.length;
      if (to > from && batch.positions[from] !== start)
        throw new ParameterError(
          "batch",
          `sequence has ${start} tokens, but its part starts at ${batch.positions[from]}`,
        );
      this.extend(s, held, start + to - from);
      for (let row = from; row < to; row++) {
        const position = start + row - from;
        slots[row] = held.pages[Math.floor(position / PAGE)]! * PAGE + (position % PAGE);
      }
      spans.set([from, to - from, start], 3 * i);
      rows.push(held.pages);
      longest = Math.max(longest, held.length);
    }
    const width = Math.max(1, ...rows.map((pages) => pages.length));
    const pages = new Int32Array(count * width);
    for (const [i, row] of rows.entries()) pages.set(row, i * width);
    return new DenseStep(s, this.layers, {
      slots: s.constant(slots),
      spans: s.constant(spans, [count, 3]),
      pages: s.constant(pages, [count, width]),
      longest,
    });
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

  /** Gives a sequence the pages for `length` tokens, its last page unshared if it will be written. */
  private extend(s: Stream, held: Held, length: number): void {
    const last = held.pages.length - 1;
    if (length > held.length && held.length % PAGE !== 0 && this.table.isShared(held.pages[last]!)) {
      const [shared, own] = [held.pages[last]!, this.takePage(s)];
      this.copyPages(s, this.layers, shared, own, 1);
      this.table.give(shared);
      held.pages[last] = own;
    }
    while (held.pages.length * PAGE < length) held.pages.push(this.takePage(s));
    held.length = length;
  }

  private takePage(s: Stream): number {
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
    s: Stream,
    from: readonly LayerStore[],
    source: number,
    target: number,
    count: number,
  ): void {
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

  constructor(s: Stream, layers: readonly LayerStore[], index: DenseStep["index"]) {
    this.s = s;
    this.layers = layers;
    this.index = index;
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
