/**
 * The beginnings of texts whose pages are kept, as a tree of blocks: a block is known by those before it and by its
 * tokens. Leaves that nobody uses are given up in the order in which they were used last. Knows tokens and page
 * numbers; nothing of keys and values.
 *
 * Blocks are found by a hash that goes on from their parent's, and compared token by token, so that no two texts are
 * ever taken for each other. Texts of different salts have no block in common: nobody can find out by the time that
 * an answer takes whether somebody of another salt has sent the same text.
 */
import type { PageTable } from "./pages.ts";

export interface PrefixNode {
  readonly parent: PrefixNode | undefined;
  readonly hash: number;
  /** Its tokens; of a root none. */
  readonly ids: Int32Array;
  /** What keys and values depend on besides the tokens up to them; of a root its salt. */
  readonly tag: string;
  /** −1 for a root. */
  readonly page: number;
  children: number;
  /** When it was used last; counts uses, not time. */
  used: number;
}

/** Entries of the heap beyond two for each block before it is tidied. */
const SLACK = 64;

export class PrefixTree {
  private readonly table: PageTable;
  /** Tokens in a block. */
  private readonly block: number;
  private readonly nodes = new Map<number, PrefixNode>();
  /** Leaves that nobody used when they came here, the earliest first: a binary heap, with some that are out of date. */
  private readonly heap: { readonly used: number; readonly node: PrefixNode }[] = [];
  private clock = 0;

  constructor(table: PageTable, block: number) {
    this.table = table;
    this.block = block;
  }

  /** Blocks that are kept. */
  get size(): number {
    return this.nodes.size;
  }

  /** The beginning of all texts of a salt. Nothing is kept of it, so that salts which are used once leave nothing behind. */
  root(salt: string): PrefixNode {
    const codes = Int32Array.from(salt, (letter) => letter.codePointAt(0)!);
    return {
      ...{ parent: undefined, hash: hashOf(0, codes, 0, codes.length, ""), ids: new Int32Array(0) },
      ...{ tag: salt, page: -1, children: 0, used: 0 },
    };
  }

  /** The block behind `parent` that consists of the tokens from `start`. */
  find(parent: PrefixNode, ids: ArrayLike<number>, start: number, tag: string): PrefixNode | undefined {
    const node = this.nodes.get(hashOf(parent.hash, ids, start, this.block, tag));
    if (node === undefined || !isSame(node.parent!, parent) || node.tag !== tag) return undefined;
    for (let i = 0; i < this.block; i++) if (node.ids[i] !== ids[start + i]) return undefined;
    return node;
  }

  /** Keeps a page as such a block; undefined where another block has the same hash. */
  insert(
    parent: PrefixNode,
    ids: ArrayLike<number>,
    start: number,
    tag: string,
    page: number,
  ): PrefixNode | undefined {
    const hash = hashOf(parent.hash, ids, start, this.block, tag);
    if (this.nodes.has(hash)) return undefined;
    const own = new Int32Array(this.block);
    for (let i = 0; i < this.block; i++) own[i] = ids[start + i]!;
    const node = { ...{ parent, hash, ids: own, tag, page }, children: 0, used: ++this.clock };
    this.nodes.set(hash, node);
    parent.children++;
    this.table.keep(page);
    return node;
  }

  /** Says that a sequence has left the blocks of this path, which it used until now. */
  leave(path: readonly PrefixNode[]): void {
    const last = path.at(-1);
    if (last === undefined) return;
    this.clock++;
    for (const node of path) node.used = this.clock;
    this.offer(last);
  }

  /** Gives up the leaf that was used longest ago. False when all are in use. */
  evict(): boolean {
    for (;;) {
      const entry = this.pop();
      if (entry === undefined) return false;
      const { node, used } = entry;
      if (node.used !== used || !this.isLoose(node)) continue;
      this.nodes.delete(node.hash);
      this.table.drop(node.page);
      const parent = node.parent!;
      parent.children--;
      if (parent.parent !== undefined) this.offer(parent);
      return true;
    }
  }

  private isLoose(node: PrefixNode): boolean {
    return node.children === 0 && this.table.usersOf(node.page) === 0 && this.nodes.get(node.hash) === node;
  }

  private offer(node: PrefixNode): void {
    if (!this.isLoose(node)) return;
    // Where nothing is ever given up, what is out of date would pile up.
    if (this.heap.length > 2 * this.nodes.size + SLACK) this.tidy();
    const { heap } = this;
    let at = heap.push({ used: node.used, node }) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (heap[up]!.used <= heap[at]!.used) return;
      [heap[up], heap[at]] = [heap[at]!, heap[up]!];
      at = up;
    }
  }

  /** Leaves what is up to date, sorted, which is a heap too. */
  private tidy(): void {
    const valid = this.heap.filter(({ node, used }) => node.used === used && this.isLoose(node));
    this.heap.splice(0, this.heap.length, ...valid.sort((a, b) => a.used - b.used));
  }

  private pop(): (typeof this.heap)[number] | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0) return first;
    heap[0] = last!;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && heap[child]!.used < heap[least]!.used) least = child;
      if (least === at) return first;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

/** Whether two are the same block; roots are made anew each time, and are the same when their salts are. */
const isSame = (a: PrefixNode, b: PrefixNode): boolean =>
  a === b || (a.parent === undefined && b.parent === undefined && a.tag === b.tag);

/** 53 bits that go on from `seed`: two sums in the manner of FNV-1a. */
function hashOf(seed: number, ids: ArrayLike<number>, start: number, count: number, tag: string): number {
  let low = (seed | 0) ^ 0x811c9dc5;
  let high = Math.floor(seed / 2 ** 32) ^ 0x2545f491;
  for (let i = -tag.length; i < count; i++) {
    const x = i < 0 ? ~tag.charCodeAt(i + tag.length) : ids[start + i]!;
    low = Math.imul(low ^ x, 0x01000193);
    high = Math.imul(high ^ (x + (low >>> 15)), 0x5bd1e995);
    high ^= high >>> 13;
  }
  low ^= low >>> 16;
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
