/**
 * The plain cache: it keeps every key and value of every sequence, in pages, so that sequences share one
 * buffer for each layer, those that begin alike share their pages, and nothing is moved when one ends.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import { type CacheFormat, type Device, KEY_TILE, type Stream } from "../ops/index.ts";
import type { SequenceId, TokenBatch } from "./batch.ts";
import { DenseStep, StepIndex } from "./dense-step.ts";
import type { CacheStep, KvCache, LayerShape, Prefix } from "./kv-cache.ts";
import { LayerStore } from "./layer-store.ts";
import { PageTable } from "./pages.ts";
import { planShares, type SharingSequence } from "./shares.ts";
import { type HeldText, KeptTexts } from "./texts.ts";

const TILE_PAGES = 4;
/** Positions in a page: a divisor of KEY_TILE, small enough that half-empty last pages cost little. */
const PAGE = KEY_TILE / TILE_PAGES;
/** Tokens of a sequence in a step, at most, for which it is worth while to attend together with others. */
const FEW_ROWS = 8;

interface Held {
  length: number;
  readonly pages: number[];
  /** Of a sequence whose blocks are kept for others. */
  readonly text: HeldText | undefined;
}

export interface DenseCacheOptions {
  /** q8_0 needs heads of a multiple of 32. */
  readonly format: CacheFormat;
  /** Tokens to make room for at first (default: a tile of keys); it grows beyond that by doubling. */
  readonly tokens?: number;
  /** Tokens that it may grow to; default: no limit. */
  readonly capacity?: number;
  /**
   * Names what the keys of a token depend on besides the tokens up to it, given the length of text that its position
   * encoding assumes. Default: on nothing.
   */
  readonly lengthKey?: (length: number) => string;
  /** Whether sequences with the same pages attend to them together: changes the speed alone. Default true. */
  readonly sharedAttention?: boolean;
}

export class DenseCache implements KvCache {
  static readonly block = PAGE;
  readonly block = PAGE;
  private readonly store: LayerStore;
  private readonly table: PageTable;
  private readonly texts: KeptTexts;
  private readonly sharing: boolean;
  private readonly sequences = new Map<SequenceId, Held>();
  private nextId = 0;
  /** How often pages were copied, or moved to other buffers: ops that were pushed before do not fit afterwards. */
  private moves = 0;
  /** How often sequences came, or their pages changed otherwise than by one more at the end. */
  private changes = 0;

  constructor(device: Device, layers: readonly LayerShape[], options: DenseCacheOptions) {
    const { format, tokens = KEY_TILE, capacity = Number.POSITIVE_INFINITY } = options;
    const odd = layers.flatMap(({ keyDim, valueDim }) => [keyDim, valueDim]).find((d) => d % 32 !== 0);
    if (format === "q8_0" && odd !== undefined)
      throw new ParameterError(
        "cacheFormat",
        `q8_0 rounds groups of 32, and does not fit heads of ${odd}; take f16`,
      );
    if (!(capacity >= PAGE))
      throw new ParameterError("capacity", `must be at least a block of ${PAGE} tokens, not ${capacity}`);
    const most = Math.floor(capacity / PAGE);
    const pages = Math.min(most, Math.max(1, Math.ceil(tokens / PAGE)));
    this.table = new PageTable(most);
    this.table.grow(pages);
    this.texts = new KeptTexts(this.table, PAGE, options.lengthKey ?? (() => ""));
    this.store = new LayerStore(device, format, layers, PAGE, pages);
    this.sharing = options.sharedAttention ?? true;
  }

  get capacity(): number {
    return this.table.capacity;
  }

  get available(): number {
    return this.table.available;
  }

  /** Blocks that are kept for texts that begin like earlier ones, in use or not. */
  get kept(): number {
    return this.texts.kept;
  }

  /** Blocks by what they are used for; see {@link PageTable}. */
  counts(): { capacity: number; available: number; kept: number; idle: number; shared: number } {
    const { capacity, available, idle, shared } = this.table;
    return { capacity, available, kept: this.kept, idle, shared };
  }

  /** Sequences that use each block there is; −1 where it is kept for nobody in particular. */
  users(): Int32Array {
    return this.table.usage();
  }

  add(prefix?: Prefix): SequenceId {
    const id = this.nextId++;
    this.changes++;
    if (prefix === undefined) {
      this.sequences.set(id, { length: 0, pages: [], text: undefined });
      return id;
    }
    const text = this.texts.open(prefix);
    this.sequences.set(id, { length: text.ids.length, pages: text.path.map(({ page }) => page), text });
    return id;
  }

  find(prefix: Prefix): { readonly tokens: number; readonly idle: number } {
    return this.texts.find(prefix);
  }

  fork(sequence: SequenceId): SequenceId {
    const held = this.held(sequence);
    this.keepBlocks(held);
    const { length, pages, text } = held;
    for (const page of pages) this.table.share(page);
    const own = text && { ...text, ids: [...text.ids], path: [...text.path] };
    this.sequences.set(this.nextId, { length, pages: [...pages], text: own });
    this.changes++;
    return this.nextId++;
  }

  remove(sequence: SequenceId): void {
    const held = this.held(sequence);
    this.keepBlocks(held);
    for (const page of held.pages) this.table.give(page);
    if (held.text) this.texts.leave(held.text, 0);
    this.sequences.delete(sequence);
    this.changes++;
  }

  settle(sequence: SequenceId): void {
    this.keepBlocks(this.held(sequence));
  }

  length(sequence: SequenceId): number {
    return this.held(sequence).length;
  }

  blocks(sequence: SequenceId): number {
    return this.held(sequence).pages.length;
  }

  ownBlocks(sequence: SequenceId): number {
    return this.held(sequence).pages.reduce((sum, page) => sum + Number(this.table.usersOf(page) === 1), 0);
  }

  copies(sequence: SequenceId): boolean {
    const held = this.held(sequence);
    return this.writesShared(held, held.length + 1);
  }

  keep(sequence: SequenceId, length: number): number {
    return Math.min(length, this.held(sequence).length);
  }

  truncate(sequence: SequenceId, length: number): void {
    const held = this.held(sequence);
    if (!Number.isInteger(length) || length < 0 || length > held.length)
      throw new ParameterError("length", `cannot cut a sequence of ${held.length} tokens to ${length}`);
    this.keepBlocks(held);
    const { pages, text } = held;
    for (const page of pages.splice(Math.ceil(length / PAGE))) this.table.give(page);
    if (text) {
      this.texts.leave(text, Math.floor(length / PAGE));
      text.ids.length = length;
    }
    held.length = length;
    this.changes++;
  }

  begin(s: Stream, batch: TokenBatch): CacheStep {
    this.store.tidy();
    const { moves } = this;
    const { sequences } = batch;
    const starts = sequences.map((sequence) => this.held(sequence).length);
    for (let i = 0; i < sequences.length; i++) this.extend(s, batch, i);
    const most = Math.max(1, ...sequences.map((sequence) => this.held(sequence).pages.length));
    // Whole tiles of keys, so that the step can be begun again with more tokens before it.
    const width = Math.ceil(most / TILE_PAGES) * TILE_PAGES;
    const rows = this.sharedRows(batch, starts);
    const index = new StepIndex(batch.ids.length, sequences.length, width, rows);
    if (index.plan) planShares(this.sharers(batch, starts, rows), TILE_PAGES, index.plan);
    this.locate(batch, index);
    const planned = { changes: this.changes, sequences: [...sequences] };
    return new DenseStep(s, this.store.layers, index, PAGE, (next) =>
      this.again(next, index, moves, planned),
    );
  }

  /** Begins a step again that was begun after so many moves; `planned`: when its sharing was last looked at. */
  private again(
    batch: TokenBatch,
    index: StepIndex,
    moves: number,
    planned: { changes: number; sequences: SequenceId[] },
  ): boolean {
    if (moves !== this.moves) return false;
    const { sequences } = batch;
    const { table } = this;
    let free = table.vacant + (table.size === table.capacity ? table.idle : 0);
    let most = TILE_PAGES;
    for (let i = 0; i < sequences.length; i++) {
      const held = this.held(sequences[i]!);
      const length = this.grown(held, batch, i);
      const pages = Math.ceil(length / PAGE);
      free -= Math.max(0, pages - held.pages.length);
      most = Math.max(most, pages);
      if (free < 0 || this.writesShared(held, length)) return false;
    }
    // A step for much longer sequences would be right, and slow.
    if (most > index.width || index.width > 4 * most) return false;
    for (let i = 0; i < sequences.length; i++) this.keepBlocks(this.held(sequences[i]!));
    if (planned.changes !== this.changes || planned.sequences.some((one, i) => one !== sequences[i])) {
      const starts = sequences.map((sequence) => this.held(sequence).length);
      const rows = this.sharedRows(batch, starts);
      if (rows !== index.sharedRows) return false;
      if (index.plan) planShares(this.sharers(batch, starts, rows), TILE_PAGES, index.plan);
      planned.changes = this.changes;
      planned.sequences = [...sequences];
    }
    this.store.tidy();
    for (let i = 0; i < sequences.length; i++) this.extend(undefined, batch, i);
    this.locate(batch, index);
    return true;
  }

  /** The length of a sequence with its part of a batch. */
  private grown(held: Held, batch: TokenBatch, i: number): number {
    const [from, to] = [batch.offsets[i]!, batch.offsets[i + 1]!];
    if (to > from && batch.positions[from] !== held.length)
      throw new ParameterError(
        "batch",
        `sequence has ${held.length} tokens, but its part starts at ${batch.positions[from]}`,
      );
    return held.length + to - from;
  }

  /** Writes where the batch's tokens belong, for sequences that have been extended by them. */
  private locate(batch: TokenBatch, { slots, spans, pages, width }: StepIndex): void {
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

  /** The rows of the first sequences of a batch, those with few rows each, if any of these share tiles; otherwise 0. */
  private sharedRows(batch: TokenBatch, starts: readonly number[]): number {
    if (!this.sharing) return 0;
    const { offsets, sequences } = batch;
    let count = 0;
    const first = new Set<number>();
    let shared = false;
    for (; count < sequences.length && offsets[count + 1]! - offsets[count]! <= FEW_ROWS; count++) {
      if (starts[count]! < KEY_TILE) continue;
      // Those that have their first page in common may have more.
      const page = this.held(sequences[count]!).pages[0]!;
      shared ||= first.has(page) && this.sharesTile(batch, page, count);
      first.add(page);
    }
    return shared && count > 1 ? offsets[count]! : 0;
  }

  /** Whether the first tile of sequence i is also that of one before it that begins with this page. */
  private sharesTile(batch: TokenBatch, page: number, i: number): boolean {
    const own = this.held(batch.sequences[i]!).pages;
    return batch.sequences.slice(0, i).some((sequence) => {
      const { pages } = this.held(sequence);
      return pages[0] === page && own.slice(0, TILE_PAGES).every((each, at) => each === pages[at]);
    });
  }

  private sharers(batch: TokenBatch, starts: readonly number[], rows: number): SharingSequence[] {
    return batch.sequences.map((sequence, i) => ({
      pages: this.held(sequence).pages,
      tiles: batch.offsets[i + 1]! <= rows ? Math.floor(starts[i]! / KEY_TILE) : 0,
    }));
  }

  bytes(): number {
    return this.store.bytes();
  }

  close(): void {
    this.store.close();
    this.sequences.clear();
  }

  private held(sequence: SequenceId): Held {
    const held = this.sequences.get(sequence);
    if (held === undefined)
      throw new ParameterError("sequence", `there is no sequence ${sequence} in this cache`);
    return held;
  }

  /** Keeps the blocks that were completed by steps before this one. */
  private keepBlocks({ text, pages, length }: Held): void {
    if (text && this.texts.keep(text, pages, length)) this.changes++;
  }

  /** Whether the sequence has begun a page that it shares, and that its next tokens would be written to. */
  private writesShared(held: Held, length: number): boolean {
    return length > held.length && held.length % PAGE !== 0 && this.table.isShared(held.pages.at(-1)!);
  }

  /**
   * Gives a sequence the pages for its part of a batch, its last page unshared if it will be written. Without a stream
   * nothing may have to be copied.
   */
  private extend(s: Stream | undefined, batch: TokenBatch, i: number): void {
    const held = this.held(batch.sequences[i]!);
    const length = this.grown(held, batch, i);
    this.keepBlocks(held);
    if (this.writesShared(held, length)) {
      if (!s) throw new FoveaError("a recorded step cannot copy pages");
      const last = held.pages.length - 1;
      const [shared, own] = [held.pages[last]!, this.takePage(s)];
      this.moves++;
      this.changes++;
      this.store.copy(s, shared, own);
      this.table.give(shared);
      held.pages[last] = own;
    }
    while (held.pages.length * PAGE < length) held.pages.push(this.takePage(s));
    if (held.text)
      for (let row = batch.offsets[i]!; row < batch.offsets[i + 1]!; row++)
        held.text.ids.push(batch.ids[row]!);
    held.length = length;
  }

  /** A page: a free one, one of new memory, or that of a block which is kept for nobody in particular. */
  private takePage(s: Stream | undefined): number {
    const { table } = this;
    if (table.vacant === 0 && table.size < table.capacity) {
      if (!s) throw new FoveaError("a recorded step cannot move the cache");
      const size = Math.min(2 * table.size, table.capacity);
      this.moves++;
      this.store.grow(s, size);
      table.grow(size);
    } else if (table.vacant === 0 && !this.texts.evict())
      throw new FoveaError(
        `the cache has no room: all of its ${table.capacity} blocks of ${PAGE} tokens are in use; end sequences, or give it a larger capacity`,
      );
    return table.take()!;
  }
}
