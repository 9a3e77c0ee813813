/** The tree of kept beginnings, by examples and against a plain model of it under random use. */
import { describe, expect, it } from "vitest";
import { PageTable } from "../../../src/cache/pages.ts";
import { type PrefixNode, PrefixTree } from "../../../src/cache/prefix-tree.ts";
import { Random } from "../../support/random.ts";

const BLOCK = 2;

/** A tree over pages, with texts put in and taken out whole. */
class Library {
  readonly table: PageTable;
  readonly tree: PrefixTree;

  constructor(capacity: number) {
    this.table = new PageTable(capacity);
    this.table.grow(capacity);
    this.tree = new PrefixTree(this.table, BLOCK);
  }

  path(ids: readonly number[], salt = "", tag = ""): PrefixNode[] {
    const path: PrefixNode[] = [];
    for (
      let node: PrefixNode | undefined = this.tree.root(salt), i = 0;
      i + BLOCK <= ids.length;
      i += BLOCK
    ) {
      node = this.tree.find(node, ids, i, tag);
      if (!node) break;
      path.push(node);
    }
    return path;
  }

  /** As a sequence does: takes what is kept, adds the rest. Undefined when there is no page. */
  open(ids: readonly number[], salt = "", tag = ""): PrefixNode[] | undefined {
    const path = this.path(ids, salt, tag);
    for (const { page } of path) this.table.share(page);
    for (let i = path.length * BLOCK; i + BLOCK <= ids.length; i += BLOCK) {
      if (this.table.vacant === 0 && !this.tree.evict()) {
        this.close(path);
        return undefined;
      }
      const page = this.table.take()!;
      path.push(this.tree.insert(path.at(-1) ?? this.tree.root(salt), ids, i, tag, page)!);
    }
    return path;
  }

  close(path: readonly PrefixNode[]): void {
    for (const { page } of path) this.table.give(page);
    this.tree.leave(path);
  }

  use(ids: readonly number[], salt = "", tag = ""): void {
    this.close(this.open(ids, salt, tag)!);
  }
}

describe("the tree of kept beginnings", () => {
  it("finds whole blocks of what texts have in common", () => {
    const library = new Library(10);
    library.use([1, 2, 3, 4, 5]);
    expect(library.path([1, 2, 3, 4, 9, 9])).toHaveLength(2);
    expect(library.path([1, 2, 3, 9])).toHaveLength(1);
    expect(library.path([2, 1])).toHaveLength(0);
    expect(library.tree.size).toBe(2);
    expect(library.table.idle).toBe(2);
  });

  it("keeps texts of different salts, and keys that depend on more than tokens, apart", () => {
    const library = new Library(10);
    library.use([1, 2], "alice");
    library.use([1, 2], "bob", "long");
    expect(library.path([1, 2], "alice")).toHaveLength(1);
    expect(library.path([1, 2], "bob")).toHaveLength(0);
    expect(library.path([1, 2], "bob", "long")).toHaveLength(1);
    expect(library.path([1, 2])).toHaveLength(0);
    expect(library.tree.size).toBe(2);
  });

  it("gives up what was used longest ago, from the ends", () => {
    const library = new Library(5);
    library.use([1, 2, 3, 4]);
    library.use([1, 2, 5, 6]);
    library.use([7, 8, 7, 8]);
    library.use([1, 2, 3, 4]);
    library.use([9, 9]); // takes the place of [5, 6]
    expect(library.path([1, 2, 5, 6])).toHaveLength(1);
    library.use([9, 9, 9, 9]); // of the end of [7, 8, 7, 8]
    expect(library.path([7, 8, 7, 8])).toHaveLength(1);
    expect(library.path([1, 2, 3, 4])).toHaveLength(2);
  });

  it("never gives up what is in use, nor what leads to it", () => {
    const library = new Library(3);
    const open = library.open([1, 2, 3, 4])!;
    library.use([5, 6]);
    library.use([7, 8]);
    expect(library.path([5, 6])).toHaveLength(0);
    expect(library.open([5, 6, 7, 8])).toBeUndefined();
    expect(library.path([1, 2, 3, 4])).toEqual(open);
    library.close(open);
    expect(library.open([5, 6, 5, 6, 5, 6])).toHaveLength(3);
  });

  it("finds what was kept by one who was there before all else had been given up", () => {
    const library = new Library(2);
    library.use([1, 2, 3, 4]);
    const root = library.tree.root("");
    // Its text takes the place of everything, and is found by all who come later.
    while (library.tree.evict());
    const page = library.table.take()!;
    const node = library.tree.insert(root, [5, 6], 0, "", page)!;
    expect(library.path([5, 6])).toEqual([node]);
    library.close([node]);
    library.use([5, 6, 7, 8]);
    expect(library.path([5, 6, 7, 8])).toHaveLength(2);
  });

  it("remembers no more of what was used than there are blocks, however often they are used", () => {
    const library = new Library(6);
    const texts = [
      [1, 2],
      [3, 4, 5, 6],
      [1, 2, 7, 8],
    ];
    for (let i = 0; i < 1000; i++) library.use(texts[i % 3]!);
    expect((Reflect.get(library.tree, "heap") as unknown[]).length).toBeLessThan(100);
    // What was used last was the first of them: the ends of the second and the third go, in this order.
    library.use([9, 9, 9, 9, 9, 9]);
    expect(texts.map((ids) => library.path(ids).length)).toEqual([1, 1, 2]);
    library.use([8, 8, 8, 8]);
    expect(texts.map((ids) => library.path(ids).length)).toEqual([1, 0, 1]);
  });

  it("equals a plain model of itself under random use", () => {
    const random = new Random(5);
    for (let world = 0; world < 40; world++) {
      const capacity = random.int(2, 12);
      const library = new Library(capacity);
      /** Texts of kept blocks, with the time of their last use. */
      const model = new Map<string, number>();
      const open: { ids: number[]; path: PrefixNode[] }[] = [];
      const inUse = (key: string): boolean => open.some(({ ids }) => `${ids}`.startsWith(key));
      for (let time = 1; time < 200; time++) {
        if (open.length > 0 && random.next() < 0.5) {
          const [{ ids, path }] = open.splice(random.int(0, open.length - 1), 1) as [(typeof open)[0]];
          library.close(path);
          for (let end = BLOCK; end <= ids.length; end += BLOCK) model.set(`${ids.slice(0, end)}`, time);
        } else {
          const ids = Array.from({ length: BLOCK * random.int(1, 4) }, (_, i) =>
            i % 2 ? 0 : random.int(0, 2),
          );
          const path = library.open(ids);
          if (path) open.push({ ids, path });
          for (let end = BLOCK; end <= ids.length && path; end += BLOCK) {
            const key = `${ids.slice(0, end)}`;
            if (!model.has(key)) model.set(key, time);
          }
          if (!path) model.clear();
        }
        // What the tree gave up must be what the model says: a leaf, unused, none of these older.
        const kept = (key: string): boolean => {
          const ids = key.split(",").map(Number);
          return library.path(ids).length === ids.length / BLOCK;
        };
        if (model.size === 0) break; // a refusal: begin again
        const gone = [...model.keys()].filter((key) => !kept(key));
        for (const key of gone.sort((a, b) => model.get(a)! - model.get(b)! || b.length - a.length)) {
          expect(inUse(key), `${key} was in use`).toBe(false);
          const used = model.get(key)!;
          model.delete(key);
          const older = [...model].filter(
            ([other, when]) =>
              when < used &&
              !inUse(other) &&
              ![...model.keys()].some((child) => child.startsWith(`${other},`)),
          );
          expect(older, `older than ${key}`).toEqual([]);
        }
        expect(library.tree.size).toBe(model.size);
        expect(library.table.vacant + model.size).toBe(capacity);
      }
    }
  });
});
