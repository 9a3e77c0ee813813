/**
 * The plain cache: it keeps every key and value of every sequence, in pages, so that sequences share one
 * buffer for each layer, those that begin alike share their pages, and nothing is moved when one ends.
 */
import { ParameterError } from "../base/errors.ts";
import { type CacheFormat, type Device, KEY_TILE, type Stream } from "../ops/index.ts";
import type { SequenceId, TokenBatch } from "./batch.ts";
import { DenseStep, StepIndex } from "./dense-step.ts";
import type { CacheStep, KvCache, LayerShape, Prefix } from "./kv-cache.ts";
import { LayerStore } from "./layer-store.ts";
import { PageTable } from "./pages.ts";
import { PagedSequences } from "./sequences.ts";
import { StepSharing, TILE_PAGES } from "./step-sharing.ts";
import { KeptTexts } from "./texts.ts";

/** Positions in a page: a divisor of KEY_TILE, small enough that half-empty last pages cost little. */
const PAGE = KEY_TILE / TILE_PAGES;

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
  private readonly sequences: PagedSequences;
  private readonly sharing: boolean;

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
    this.sequences = new PagedSequences(this.store, this.table, this.texts, PAGE);
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
    return this.sequences.add(prefix);
  }

  find(prefix: Prefix): { readonly tokens: number; readonly idle: number } {
    return this.texts.find(prefix);
  }

  fork(sequence: SequenceId): SequenceId {
    return this.sequences.fork(sequence);
  }

  remove(sequence: SequenceId): void {
    this.sequences.remove(sequence);
  }

  settle(sequence: SequenceId): void {
    this.sequences.keepBlocks(this.sequences.get(sequence));
  }

  length(sequence: SequenceId): number {
    return this.sequences.get(sequence).length;
  }

  blocks(sequence: SequenceId): number {
    return this.sequences.get(sequence).pages.length;
  }

  ownBlocks(sequence: SequenceId): number {
    const { pages } = this.sequences.get(sequence);
    return pages.reduce((sum, page) => sum + Number(this.table.usersOf(page) === 1), 0);
  }

  copies(sequence: SequenceId): boolean {
    const held = this.sequences.get(sequence);
    return this.sequences.writesShared(held, held.length + 1);
  }

  keep(sequence: SequenceId, length: number): number {
    return Math.min(length, this.length(sequence));
  }

  truncate(sequence: SequenceId, length: number): void {
    this.sequences.truncate(sequence, length);
  }

  begin(s: Stream, batch: TokenBatch): CacheStep {
    this.store.tidy();
    const { sequences } = this;
    const { moves } = sequences;
    const ids = [...batch.sequences];
    const sharing = new StepSharing(sequences, batch);
    for (let i = 0; i < ids.length; i++) sequences.extend(s, batch, i);
    const most = Math.max(1, ...ids.map((id) => this.blocks(id)));
    // Whole tiles of keys, so that the step can be begun again with more tokens before it.
    const width = Math.ceil(most / TILE_PAGES) * TILE_PAGES;
    const rows = this.sharing ? sharing.rows() : 0;
    const index = new StepIndex(batch.ids.length, ids.length, width, rows);
    if (index.plan) sharing.plan(rows, index.plan);
    index.locate(batch, sequences, PAGE);
    const planned = { changes: sequences.changes, ids };
    return new DenseStep(s, this.store.layers, index, PAGE, (next) =>
      this.again(next, index, moves, planned),
    );
  }

  forget(): void {
    while (this.texts.evict());
  }

  bytes(): number {
    return this.store.bytes();
  }

  close(): void {
    this.store.close();
    this.sequences.clear();
  }

  /** Begins a step again that was begun after so many moves; `planned`: when its sharing was last looked at. */
  private again(
    batch: TokenBatch,
    index: StepIndex,
    moves: number,
    planned: { changes: number; ids: readonly SequenceId[] },
  ): boolean {
    const { sequences } = this;
    if (moves !== sequences.moves) return false;
    const pages = sequences.pagesAfter(batch);
    if (pages === undefined) return false;
    const most = Math.max(TILE_PAGES, pages);
    // A step for much longer sequences would be right, and slow.
    if (most > index.width || index.width > 4 * most) return false;
    const ids = batch.sequences;
    for (const id of ids) sequences.keepBlocks(sequences.get(id));
    if (planned.changes !== sequences.changes || planned.ids.some((id, i) => id !== ids[i])) {
      const sharing = new StepSharing(sequences, batch);
      const rows = this.sharing ? sharing.rows() : 0;
      if (rows !== index.sharedRows) return false;
      if (index.plan) sharing.plan(rows, index.plan);
      planned.changes = sequences.changes;
      planned.ids = [...ids];
    }
    this.store.tidy();
    for (let i = 0; i < ids.length; i++) sequences.extend(undefined, batch, i);
    index.locate(batch, sequences, PAGE);
    return true;
  }
}
