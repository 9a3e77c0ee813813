/**
 * The texts of sequences whose blocks are kept for others: what the tree has of them, and what it is given. Knows
 * tokens and page numbers; nothing of keys and values.
 */
import type { Prefix } from "./kv-cache.ts";
import type { PageTable } from "./pages.ts";
import { type PrefixNode, PrefixTree } from "./prefix-tree.ts";

/** A sequence's text, and the blocks of it that the tree has. */
export interface HeldText {
  readonly ids: number[];
  readonly root: PrefixNode;
  readonly path: PrefixNode[];
  readonly promptLength: number;
  /** False when a block of it could not be kept, so that those behind cannot either. */
  open: boolean;
}

export class KeptTexts {
  private readonly table: PageTable;
  private readonly tree: PrefixTree;
  /** Tokens in a block. */
  private readonly block: number;
  private readonly lengthKey: (length: number) => string;

  /** @param lengthKey see DenseCacheOptions */
  constructor(table: PageTable, block: number, lengthKey: (length: number) => string) {
    this.table = table;
    this.tree = new PrefixTree(table, block);
    this.block = block;
    this.lengthKey = lengthKey;
  }

  /** Blocks that are kept. */
  get kept(): number {
    return this.tree.size;
  }

  find(prefix: Prefix): { readonly tokens: number; readonly idle: number } {
    const path = this.walk(this.tree.root(prefix.salt), prefix);
    const idle = path.filter(({ page }) => this.table.usersOf(page) === 0).length;
    return { tokens: path.length * this.block, idle };
  }

  /** A text that begins with what is kept of it, whose pages it uses from now on. */
  open(prefix: Prefix): HeldText {
    const root = this.tree.root(prefix.salt);
    const path = this.walk(root, prefix);
    for (const { page } of path) this.table.share(page);
    const ids = Array.from({ length: path.length * this.block }, (_, i) => prefix.ids[i]!);
    return { ids, root, path, promptLength: prefix.promptLength, open: true };
  }

  /** Says that the pages of a text's blocks from number `from` on have been given back. */
  leave(text: HeldText, from: number): void {
    this.tree.leave(text.path.splice(from));
  }

  evict(): boolean {
    return this.tree.evict();
  }

  /**
   * Keeps the blocks of a text of so many tokens whose keys and values are there. Where somebody else has kept the same
   * block, its page takes the place of the own: they hold the same bits. True when that happened.
   */
  keep(text: HeldText, pages: number[], length: number): boolean {
    const { ids, path, root, promptLength } = text;
    let changed = false;
    for (let i = path.length; text.open && (i + 1) * this.block <= length; i++) {
      const parent = path.at(-1) ?? root;
      const start = i * this.block;
      const tag = this.tag(start, promptLength);
      const node =
        this.tree.find(parent, ids, start, tag) ?? this.tree.insert(parent, ids, start, tag, pages[i]!);
      if (node === undefined) {
        text.open = false;
        break;
      }
      path.push(node);
      if (node.page === pages[i]) continue;
      this.table.share(node.page);
      this.table.give(pages[i]!);
      pages[i] = node.page;
      changed = true;
    }
    return changed;
  }

  private walk(root: PrefixNode, { ids, most, promptLength }: Prefix): PrefixNode[] {
    const path: PrefixNode[] = [];
    const end = Math.min(most, ids.length);
    let node: PrefixNode | undefined = root;
    for (let start = 0; start + this.block <= end; start += this.block) {
      node = this.tree.find(node, ids, start, this.tag(start, promptLength));
      if (node === undefined) break;
      path.push(node);
    }
    return path;
  }

  /**
   * What the keys of a block depend on besides the tokens. Tokens behind the prompt count as if the text ended with
   * them, so what holds of the first and of the last decides for those between.
   */
  private tag(start: number, promptLength: number): string {
    const first = this.lengthKey(Math.max(start + 1, promptLength));
    const last = this.lengthKey(Math.max(start + this.block, promptLength));
    return first === last ? first : `${first} to ${last}`;
  }
}
