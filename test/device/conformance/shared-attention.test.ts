/**
 * Attention over tiles that sequences have in common: the same bits as each sequence by itself, for trees of any depth
 * and ragged fan-out, on every device. The reference device refuses a plan that claims what is not so.
 */
import { describe, expect, it } from "vitest";
import { type AttentionOptions, DenseCache, makeBatch, type SequenceId } from "../../../src/cache/index.ts";
import { type CacheFormat, type Op, Stream, type Tensor } from "../../../src/ops/index.ts";
import { subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";

/** Tokens of a node, and what goes on from there. */
interface Branch {
  readonly tokens: number;
  readonly next: readonly Branch[];
}
const leaves = (...lengths: number[]): Branch[] => lengths.map((tokens) => ({ tokens, next: [] }));
const trees: Readonly<Record<string, readonly Branch[]>> = {
  "one prefix, ten samples": [{ tokens: 600, next: leaves(1, 1, 2, 3, 1, 70, 1, 1, 300, 0) }],
  "two levels, ragged": [
    {
      tokens: 260,
      next: [
        { tokens: 280, next: leaves(1, 2) },
        { tokens: 10, next: leaves(5, 1, 1) },
      ],
    },
    { tokens: 513, next: [{ tokens: 255, next: leaves(0, 0, 9) }, ...leaves(3)] },
    ...leaves(40, 700),
  ],
  "three levels": [
    { tokens: 256, next: [{ tokens: 256, next: [{ tokens: 256, next: leaves(1, 1) }, ...leaves(1)] }] },
  ],
};

interface Shape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly d: number;
  readonly dv: number;
  readonly format: CacheFormat;
}
const shapes: readonly Shape[] = [
  { heads: 2, kvHeads: 2, d: 20, dv: 12, format: "f32" },
  { heads: 4, kvHeads: 2, d: 64, dv: 64, format: "f16" },
  { heads: 8, kvHeads: 1, d: 32, dv: 64, format: "q8_0" },
];
const plain: AttentionOptions = { scale: 0.2, window: 0, softcap: 0 };

/** Rows of a sequence at most, and how they attend. */
const ways = [
  [1, plain],
  [5, { ...plain, softcap: 5 }],
  [2, { ...plain, window: 300 }],
] as const;

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  /** Grows the tree, then runs `rows` tokens of every leaf and a new prompt in one step: its result, and its op. */
  async function run(
    tree: readonly Branch[],
    { heads, kvHeads, d, dv, format }: Shape,
    options: AttentionOptions,
    rows: number,
    sharedAttention: boolean,
  ): Promise<{ y: Float32Array; op: Op | undefined }> {
    const random = new Random(7);
    const cache = new DenseCache(on.device, [{ kvHeads, keyDim: d, valueDim: dv }], {
      format,
      sharedAttention,
    });
    const step = async (sequences: readonly SequenceId[], counts: readonly number[]) => {
      const s = new Stream(on.device);
      let op: Op | undefined;
      const push = s.push.bind(s);
      s.push = (one) => {
        if (one.kind === "attend") op = one;
        push(one);
      };
      const parts = sequences.map((sequence, i) => ({
        ...{ sequence, start: cache.length(sequence) },
        ids: new Int32Array(counts[i]!),
      }));
      const n = counts.reduce((sum, count) => sum + count, 0);
      const numbers = (count: number, width: number): Tensor =>
        s.constant(random.normals(n * count * width), [n, count, width]);
      const began = cache.begin(s, makeBatch(parts));
      began.append(0, numbers(kvHeads, d), numbers(kvHeads, dv));
      const y = await s.read(began.attend(0, numbers(heads, d), options));
      return { y: Float32Array.from(y), op };
    };
    const ends: SequenceId[] = [];
    const grow = async (sequence: SequenceId, { tokens, next }: Branch): Promise<void> => {
      if (tokens > 0) await step([sequence], [tokens]);
      if (next.length === 0) ends.push(sequence);
      const twins = next.map((_, i) => (i === 0 ? sequence : cache.fork(sequence)));
      for (const [i, branch] of next.entries()) await grow(twins[i]!, branch);
    };
    for (const branch of tree) await grow(cache.add(), branch);
    const result = await step([...ends, cache.add()], [...ends.map((_, i) => 1 + (i % rows)), 30]);
    cache.close();
    return result;
  }

  // The plain loops of the reference are slow: it checks what plans claim on the first shape.
  const few = subject.name === "reference";
  for (const shape of few ? shapes.slice(0, 1) : shapes)
    it(`has the same bits shared and not: ${shape.heads} heads on ${shape.kvHeads}, ${shape.format}`, async () => {
      for (const [i, [name, tree]] of Object.entries(trees).entries()) {
        const [rows, options] = ways[(i + shapes.indexOf(shape)) % ways.length]!;
        const shared = await run(tree, shape, options, rows, true);
        const alone = await run(tree, shape, options, rows, false);
        const what = `${name}, up to ${rows} rows, window ${options.window}`;
        expect(shared.op).toMatchObject({ sharedRows: expect.any(Number) });
        if (shared.op?.kind !== "attend" || alone.op?.kind !== "attend") throw new Error("no attention");
        expect(shared.op.sharedRows, what).toBeGreaterThan(1);
        expect(alone.op.sharedRows, what).toBe(0);
        expect(shared.y.every(Number.isFinite)).toBe(true);
        expectSameBits(shared.y, alone.y, what);
      }
    });
});
