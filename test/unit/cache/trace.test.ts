/**
 * How much the tree of kept beginnings finds on a trace of conversations, beside the best that anybody could who knew
 * the future: of 16 system prompts each conversation has one, and every turn sends all before it again.
 */
import { describe, expect, it } from "vitest";
import { PageTable } from "../../../src/cache/pages.ts";
import { type PrefixNode, PrefixTree } from "../../../src/cache/prefix-tree.ts";
import { Random } from "../../support/random.ts";

const BLOCK = 64;

interface Turn {
  readonly time: number;
  readonly prompt: readonly number[];
  /** Prompt and reply, of which the cache holds all but the last token. */
  readonly after: readonly number[];
}

/** 200 conversations of 1 to 10 turns, which begin one after another and wait for their readers between turns. */
function conversations(seed: number): Turn[] {
  const random = new Random(seed);
  const tokens = (count: number): number[] => Array.from({ length: count }, () => random.int(0, 31_999));
  const between = (mean: number): number => -mean * Math.log(1 - random.next());
  const systems = Array.from({ length: 16 }, () => tokens(random.int(200, 1200)));
  const turns: Turn[] = [];
  for (let c = 0, begin = 0; c < 200; c++, begin += between(20)) {
    // Some prompts are asked for much more often than others.
    let text = systems[Math.floor(16 * random.next() ** 2)]!;
    let time = begin;
    for (let left = random.int(1, 10); left > 0; left--) {
      const prompt = [...text, ...tokens(random.int(10, 150))];
      text = [...prompt, ...tokens(random.int(30, 300))];
      turns.push({ time, prompt, after: text });
      time += 10 + between(40);
    }
  }
  return turns.sort((a, b) => a.time - b.time);
}

/** Whole blocks of a text, each named by all tokens up to its end; at most those before the last token. */
function blocksOf(text: readonly number[], names: Map<string, number>): number[] {
  const blocks: number[] = [];
  for (let end = BLOCK, parent = -1; end < text.length; end += BLOCK) {
    const key = `${parent}:${text.slice(end - BLOCK, end)}`;
    if (!names.has(key)) names.set(key, names.size);
    parent = names.get(key)!;
    blocks.push(parent);
  }
  return blocks;
}

/**
 * Blocks found by the best policy, which gives up what is wanted again last (Belady 1966). It gives up a block before
 * those that lead to it, since these are never wanted later; so the tree's rule costs it nothing.
 */
function best(turns: readonly Turn[], capacity: number): number {
  const names = new Map<string, number>();
  const uses = turns.map(({ prompt, after }) => ({
    wanted: blocksOf(prompt, names),
    made: blocksOf(after, names),
  }));
  const times = new Map<number, number[]>();
  uses.forEach(({ wanted }, t) => {
    for (const block of wanted) times.set(block, [...(times.get(block) ?? []), t]);
  });
  const next = (block: number, t: number): number =>
    times.get(block)?.find((time) => time > t) ?? Number.POSITIVE_INFINITY;
  /** With the time when each is wanted next. */
  const kept = new Map<number, number>();
  let found = 0;
  uses.forEach(({ wanted, made }, t) => {
    for (const block of wanted) if (kept.has(block)) found++;
    for (const block of made) kept.set(block, next(block, t));
    if (kept.size <= capacity) return;
    const order = [...kept].sort((a, b) => b[1] - a[1] || b[0] - a[0]);
    for (const [block] of order.slice(0, kept.size - capacity)) kept.delete(block);
  });
  return found;
}

/** Blocks found by the tree. */
function tree(turns: readonly Turn[], capacity: number): number {
  const table = new PageTable(capacity);
  table.grow(capacity);
  const prefixes = new PrefixTree(table, BLOCK);
  let found = 0;
  for (const { prompt, after } of turns) {
    const path: PrefixNode[] = [];
    let from = 0;
    for (let node = prefixes.root(""); from + BLOCK < prompt.length; from += BLOCK) {
      const child = prefixes.find(node, prompt, from, "");
      if (!child) break;
      path.push(child);
      node = child;
    }
    found += path.length;
    for (const { page } of path) table.share(page);
    for (; from + BLOCK < after.length; from += BLOCK) {
      if (table.vacant === 0) expect(prefixes.evict()).toBe(true);
      const parent = path.at(-1) ?? prefixes.root("");
      path.push(prefixes.insert(parent, after, from, "", table.take()!)!);
    }
    for (const { page } of path) table.give(page);
    prefixes.leave(path);
  }
  return found;
}

describe("a trace of 200 conversations over 16 system prompts", () => {
  it.each([0.5, 0.25, 0.12])("finds nearly as much as is possible in %f of the room for all", (share) => {
    const turns = conversations(1);
    const names = new Map<string, number>();
    let wanted = 0;
    for (const { prompt, after } of turns) {
      wanted += blocksOf(prompt, names).length;
      blocksOf(after, names);
    }
    const capacity = Math.ceil(share * names.size);
    const possible = best(turns, capacity) / wanted;
    expect(possible).toBeGreaterThan(0.9);
    expect(possible - tree(turns, capacity) / wanted).toBeLessThan(0.02);
  });
});
