/**
 * Fovea's decoder over sequences that begin alike, as a child process: the tree that they make is built once, then all
 * its leaves are decoded together.
 */
import { DenseCache, makeBatch } from "../../dist/cache/index.js";
import { locate } from "../../dist/checkpoint/locate.js";
import { openCheckpoint } from "../../dist/checkpoint/open.js";
import { openDevice } from "../../dist/device/index.js";
import { loadModel } from "../../dist/models/index.js";
import { Stream } from "../../dist/ops/index.js";
import { serve } from "../child.mjs";
import { CHUNK } from "../program.mjs";
import { tokens } from "../tokens.mjs";

let decoder;
let device;
let cache;
let leaves;
let lengths;

serve({
  /**
   * `tree`: nodes of `{ tokens, next }`, the leaves without `next`. `shared`: whether tiles in common are attended to
   * together. `levels`: how many levels of the tree are in common; leaves have the rest each by itself. `skip`: no
   * attention at all, the bound of what a faster one could give.
   */
  async open({ path, threads, device: name = "auto", tree, shared = true, levels = 9, skip = false }) {
    device = await openDevice(name, { threads });
    ({ decoder } = await loadModel(openCheckpoint(locate(path)), undefined, device));
    cache = new DenseCache(device, decoder.parts.cacheLayers, { format: "f16", sharedAttention: shared });
    if (skip) skipAttention(cache);
    leaves = [];
    for (const node of tree) await grow(cache.add(), node, levels, 1);
    lengths = leaves.map((leaf) => cache.length(leaf));
    return { device: `${device.name}: ${device.description}`, cacheBytes: cache.bytes() };
  },

  /** Milliseconds of so many steps of all leaves. */
  async time({ steps, seed }) {
    let step;
    const rows = Int32Array.from(leaves, (_, i) => i);
    const start = performance.now();
    for (let i = 0; i < steps; i++) {
      const parts = leaves.map((sequence, j) => ({
        ...{ sequence, start: cache.length(sequence) },
        ids: tokens(1, seed + i + j, decoder.vocabularySize),
      }));
      if (!step?.again(parts)) step = decoder.record(new Stream(device), parts, cache, rows);
      await step.run();
    }
    const decode = performance.now() - start;
    for (const [i, leaf] of leaves.entries()) cache.truncate(leaf, lengths[i]);
    return { decode };
  },
});

/** A sequence goes on with a node's tokens, and forks for what follows; deeper than `levels` each goes its own way. */
async function grow(sequence, { tokens: count, next = [] }, levels, seed) {
  if (next.length === 0) leaves.push(sequence);
  await feed(sequence, count, seed);
  const twins = next.map((_, i) => (i === 0 ? sequence : cache.fork(sequence)));
  for (const [i, node] of next.entries()) {
    if (levels > 1 || !node.next) await grow(twins[i], node, levels - 1, seed * 10 + i);
    else
      for (const [j, leaf] of node.next.entries()) {
        const own = j === node.next.length - 1 ? twins[i] : cache.fork(twins[i]);
        await feed(own, node.tokens + leaf.tokens, seed * 10 + i);
        leaves.push(own);
      }
  }
}

async function feed(sequence, count, seed) {
  const ids = tokens(count, seed, decoder.vocabularySize);
  for (let at = 0; at < count; at += CHUNK) {
    const s = new Stream(device);
    const part = ids.slice(at, at + CHUNK);
    decoder.forward(s, makeBatch([{ sequence, ids: part, start: cache.length(sequence) }]), cache);
    await s.flush();
  }
}

/** Queries pass for the results. */
function skipAttention(cache) {
  const begin = cache.begin.bind(cache);
  cache.begin = (s, batch) => {
    const step = begin(s, batch);
    step.attend = (_layer, q) => q;
    return step;
  };
}
