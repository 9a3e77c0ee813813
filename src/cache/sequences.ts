/**
 * The sequences of a paged cache: the pages that each holds, which of them it may write to, and new ones as it grows.
 * Knows tokens and pages; not what a step computes with them.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import type { Stream } from "../ops/index.ts";
import type { SequenceId, TokenBatch } from "./batch.ts";
import type { Prefix } from "./kv-cache.ts";
import type { LayerStore } from "./layer-store.ts";
import type { PageTable } from "./pages.ts";
import type { HeldText, KeptTexts } from "./texts.ts";

export interface Held {
  length: number;
  readonly pages: number[];
  /** Of a sequence whose blocks are kept for others. */
  readonly text: HeldText | undefined;
}

export class PagedSequences {
  /** How often pages were copied, or moved to other buffers: ops that were pushed before do not fit afterwards. */
  moves = 0;
  /** How often sequences came, or their pages changed otherwise than by one more at the end. */
  changes = 0;
  private readonly store: LayerStore;
  private readonly table: PageTable;
  private readonly texts: KeptTexts;
  /** Positions in a page. */
  private readonly page: number;
  private readonly all = new Map<SequenceId, Held>();
  private nextId = 0;

  constructor(store: LayerStore, table: PageTable, texts: KeptTexts, page: number) {
    this.store = store;
    this.table = table;
    this.texts = texts;
    this.page = page;
  }

  get(sequence: SequenceId): Held {
    const held = this.all.get(sequence);
    if (held === undefined)
      throw new ParameterError("sequence", `there is no sequence ${sequence} in this cache`);
    return held;
  }

  add(prefix: Prefix | undefined): SequenceId {
    const text = prefix && this.texts.open(prefix);
    return this.enter({
      length: text?.ids.length ?? 0,
      pages: text?.path.map(({ page }) => page) ?? [],
      text,
    });
  }

  fork(sequence: SequenceId): SequenceId {
    const held = this.get(sequence);
    this.keepBlocks(held);
    const { length, pages, text } = held;
    for (const page of pages) this.table.share(page);
    const own = text && { ...text, ids: [...text.ids], path: [...text.path] };
    return this.enter({ length, pages: [...pages], text: own });
  }

  remove(sequence: SequenceId): void {
    const held = this.get(sequence);
    this.keepBlocks(held);
    for (const page of held.pages) this.table.give(page);
    if (held.text) this.texts.leave(held.text, 0);
    this.all.delete(sequence);
    this.changes++;
  }

  truncate(sequence: SequenceId, length: number): void {
    const held = this.get(sequence);
    if (!Number.isInteger(length) || length < 0 || length > held.length)
      throw new ParameterError("length", `cannot cut a sequence of ${held.length} tokens to ${length}`);
    this.keepBlocks(held);
    const { pages, text } = held;
    for (const page of pages.splice(Math.ceil(length / this.page))) this.table.give(page);
    if (text) {
      this.texts.leave(text, Math.floor(length / this.page));
      text.ids.length = length;
    }
    held.length = length;
    this.changes++;
  }

  clear(): void {
    this.all.clear();
  }

  /** Keeps the blocks that were completed by steps before this one. */
  keepBlocks({ text, pages, length }: Held): void {
    if (text && this.texts.keep(text, pages, length)) this.changes++;
  }

  /** Whether the sequence has begun a page that it shares, and that its next tokens would be written to. */
  writesShared(held: Held, length: number): boolean {
    return length > held.length && held.length % this.page !== 0 && this.table.isShared(held.pages.at(-1)!);
  }

  /** The length of a sequence with its part of a batch. */
  grown(held: Held, batch: TokenBatch, i: number): number {
    const [from, to] = [batch.offsets[i]!, batch.offsets[i + 1]!];
    if (to > from && batch.positions[from] !== held.length)
      throw new ParameterError(
        "batch",
        `sequence has ${held.length} tokens, but its part starts at ${batch.positions[from]}`,
      );
    return held.length + to - from;
  }

  /** Most pages of any sequence after a batch; undefined where pages would have to be copied or moved for it. */
  pagesAfter(batch: TokenBatch): number | undefined {
    const { table } = this;
    const { sequences } = batch;
    let free = table.vacant + (table.size === table.capacity ? table.idle : 0);
    let most = 0;
    for (let i = 0; i < sequences.length; i++) {
      const held = this.get(sequences[i]!);
      const length = this.grown(held, batch, i);
      const pages = Math.ceil(length / this.page);
      free -= Math.max(0, pages - held.pages.length);
      most = Math.max(most, pages);
      if (free < 0 || this.writesShared(held, length)) return undefined;
    }
    return most;
  }

  /**
   * Gives a sequence the pages for its part of a batch, its last page unshared if it will be written. Without a stream
   * nothing may have to be copied.
   */
  extend(s: Stream | undefined, batch: TokenBatch, i: number): void {
    const held = this.get(batch.sequences[i]!);
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
    while (held.pages.length * this.page < length) held.pages.push(this.takePage(s));
    if (held.text)
      for (let row = batch.offsets[i]!; row < batch.offsets[i + 1]!; row++)
        held.text.ids.push(batch.ids[row]!);
    held.length = length;
  }

  private enter(held: Held): SequenceId {
    this.all.set(this.nextId, held);
    this.changes++;
    return this.nextId++;
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
        `the cache has no room: all of its ${table.capacity} blocks of ${this.page} tokens are in use; end sequences, or give it a larger capacity`,
      );
    return table.take()!;
  }
}
