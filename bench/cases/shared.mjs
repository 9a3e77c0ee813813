/** Sequences that begin alike: what attending to their common keys together is worth. */
import { benchModel } from "../models.mjs";
import { fovea } from "./engines.mjs";

const PREFIX = 8192;
const [KV_HEADS, D] = [4, 64];
const STEPS = 8;
const nodes = (count, tokens, next) => Array.from({ length: count }, () => ({ tokens, next }));

/** A variant of Fovea that the first engine of a row is compared with. */
const variant = (name, open, time, script) => ({ ...fovea(open, time, { script }), name, ours: false });

export const shared = {
  name: "shared",
  title: "Attention over prefixes in common",
  about:
    `One attention over ${PREFIX} keys in f32 (${KV_HEADS} key heads of ${D}; one token of each sequence), and decode of ` +
    "llama-6m (4 heads of 64; in gqa on 2 of keys) in q8_0. Together: tiles that sequences have in common are " +
    "attended to by all of them at once. By itself: " +
    "the same blocks, each sequence alone, as a paged cache does it. Copied: each sequence has blocks of its own. " +
    "Results are compared bit by bit.",

  async *plans({ threadCounts, rounds = 5, device, quick }) {
    const kernel = [
      { sequences: 32, group: 1 },
      { sequences: 32, group: 2 },
      { sequences: 32, group: 4 },
      { sequences: 4, group: 1 },
      { sequences: 2, group: 1 },
      { sequences: 2, group: 4 },
    ];
    for (const { sequences, group } of quick ? kernel.slice(0, 1) : kernel) {
      const heads = KV_HEADS * group;
      const open = { threads: 1, device, sequences, prefix: PREFIX, heads, kvHeads: KV_HEADS, d: D };
      const time = { repeat: sequences > 8 ? 2 : 8 };
      const script = "fovea-attend.mjs";
      yield {
        label: `attention, ${sequences} sequences, ${heads} heads on ${KV_HEADS}`,
        ...{ threads: 1, rounds, tolerance: 0 },
        engines: [
          fovea(open, time, { script }),
          variant("by itself", { ...open, shared: false }, time, script),
          variant("copied", { ...open, copied: true }, time, script),
        ],
        measures: [
          {
            ...{ name: "attention", unit: "ms", of: (times) => times.attend, limit: "f32" },
            work: { operations: 4 * sequences * PREFIX * heads * D },
          },
        ],
      };
    }
    const script = "fovea-tree.mjs";
    const time = { steps: STEPS };
    const decode = (count) => [
      { name: `decode ${STEPS}`, unit: "tok/s", amount: STEPS * count, of: (times) => times.decode },
    ];
    for (const shape of ["llama-6m", "llama-6m-gqa"]) {
      const { path } = await benchModel(shape, "q8_0");
      for (const threads of threadCounts) {
        const samples = { path, threads, device, tree: [{ tokens: 4096, next: nodes(32, 1) }] };
        yield {
          ...{ label: `${shape}, 32 samples from a prompt of 4096`, threads, rounds },
          engines: [
            fovea(samples, time, { script }),
            variant("by itself", { ...samples, shared: false }, time, script),
            variant("no attention (a bound)", { ...samples, skip: true }, time, script),
          ],
          measures: decode(32),
        };
        const problems = [{ tokens: 2048, next: nodes(8, 1024, nodes(4, 1)) }];
        const tree = { path, threads, device, tree: problems };
        yield {
          ...{
            label: `${shape}, 8 problems of 1024 with 4 samples each, below examples of 2048`,
            ...{ threads, rounds },
          },
          engines: [
            fovea(tree, time, { script }),
            variant("one level", { ...tree, levels: 1 }, time, script),
            variant("by itself", { ...tree, shared: false }, time, script),
          ],
          measures: decode(32),
        };
      }
    }
  },
};
