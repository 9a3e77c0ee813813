/** Draws with what a device knows of blocks of the logits, against draws that read the whole row. */
import { describe, expect, it } from "vitest";
import {
  Sampler,
  type SamplingContext,
  type SamplingOptions,
  SamplingWorkspace,
  samplingFrom,
  sumsOf,
} from "../../../src/decode/sampling.ts";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { blockSoftmax, Stream } from "../../../src/ops/index.ts";
import { randomRow, stream } from "./cases.ts";

const device = new ReferenceDevice();
const summaryOf = async (row: Float32Array, options: SamplingOptions): Promise<Float32Array> => {
  const s = new Stream(device);
  const x = s.constant(row, [1, row.length]);
  return await s.read(
    blockSoftmax(s, x, s.constant(Float32Array.from(sumsOf(samplingFrom(options))), [1, 2])),
  );
};

const options: Readonly<Record<string, SamplingOptions>> = {
  greedy: { temperature: 0 },
  "greedy, penalized": {
    temperature: 0,
    repetitionPenalty: 1.3,
    presencePenalty: 1,
    logitBias: { 3: 9, 5: -Infinity },
  },
  temperature: { temperature: 0.8 },
  cold: { temperature: 1e-3 },
  hot: { temperature: 50 },
  "top-k": { temperature: 0.8, topP: 0.95, topK: 40 },
  "large top-k": { topK: 300 },
  "top-p": { temperature: 0.7, topP: 0.9 },
  "min-p": { temperature: 1.2, minP: 0.02 },
  "top-p and min-p": { topP: 0.95, minP: 0.01 },
  typical: { typicalP: 0.8 },
  "temperature, penalized": {
    temperature: 0.9,
    repetitionPenalty: 1.3,
    frequencyPenalty: -1,
    logitBias: { 70: 8 },
  },
  "top-p, penalized": { topP: 0.9, repetitionPenalty: 0.7, logitBias: { 0: -100, 1: 3 } },
};

/** Masks: all, most, few scattered tokens, a stretch, and one token. */
function masks(random: () => number, size: number): (Uint32Array | undefined)[] {
  const from = (allows: (id: number) => boolean): Uint32Array => {
    const words = new Uint32Array(Math.ceil(size / 32));
    for (let id = 0; id < size; id++) if (allows(id)) words[id >>> 5]! |= 1 << (id & 31);
    return words;
  };
  const one = Math.floor(random() * size);
  const most = from(() => random() < 0.995);
  return [
    ...[undefined, new Uint32Array(Math.ceil(size / 32)).fill(0xffffffff), most],
    ...[from((id) => id % 97 === 5 || id === one), from((id) => id >= size / 3 && id <= size / 2 + 1)],
    from((id) => id === one),
  ];
}

describe.each(Object.entries(options))("%s", (_, asked) => {
  it.each([1, 64, 65, 700])("of %d logits draws as from the whole row", async (size) => {
    const random = stream(size);
    const whole = new SamplingWorkspace(size);
    const blocks = new SamplingWorkspace(size);
    const bias = Object.entries(asked.logitBias ?? {}).filter(([id]) => Number(id) < size);
    for (let round = 0; round < 8; round++) {
      const all = {
        ...asked,
        logitBias: Object.fromEntries(bias),
        seed: round,
        ...(round % 2 ? { logprobs: round } : {}),
      };
      const row = randomRow(random, size);
      const before = row.slice();
      const summary = await summaryOf(row, all);
      const known = summary.slice();
      const ids = Array.from({ length: 20 }, () => Math.floor(random() * size * 1.2));
      for (const allowed of masks(random, size)) {
        const context: SamplingContext = {
          ...{ prompt: ids.slice(0, 9), generated: ids.slice(9), position: round },
          ...(allowed ? { allowed } : {}),
        };
        let wanted: ReturnType<Sampler["next"]> | string;
        try {
          wanted = new Sampler(samplingFrom(all), whole).next(row, context);
        } catch (error) {
          wanted = String(error);
        }
        const next = () => new Sampler(samplingFrom(all), blocks).next(row, context, summary);
        if (typeof wanted === "string") {
          expect(next).toThrow(wanted.replace(/^\w+: /, ""));
          continue;
        }
        const actual = next();
        expect(actual.token).toBe(wanted.token);
        expect(actual.top?.map(({ token }) => token)).toEqual(wanted.top?.map(({ token }) => token));
        if (wanted.logprob !== undefined) {
          if (wanted.logprob === -Infinity) expect(actual.logprob).toBe(-Infinity);
          else expect(actual.logprob! - wanted.logprob).toBeCloseTo(0, 6);
          for (const [i, { logprob }] of wanted.top!.entries())
            expect(actual.top![i]!.logprob - logprob).toBeCloseTo(0, 6);
        }
        expect(row).toEqual(before);
        expect(summary).toEqual(known);
      }
    }
  });
});

it("a draw from blocks has the probabilities of the row: chi-square", async () => {
  const [size, draws] = [200, 20_000];
  const random = stream(34);
  const row = Float32Array.from({ length: size }, () => 4 * random());
  const asked = { temperature: 1.5, seed: 5 };
  const summary = await summaryOf(row, asked);
  const sampler = new Sampler(samplingFrom(asked), new SamplingWorkspace(size));
  const context = { prompt: [], generated: [] };
  const counts = new Float64Array(size);
  for (let position = 0; position < draws; position++)
    counts[sampler.next(row, { ...context, position }, summary).token]!++;
  const { probabilities } = sampler.distribution(row, { ...context, position: 0 });
  const chiSquare = probabilities.reduce((sum, p, i) => sum + (counts[i]! - draws * p) ** 2 / (draws * p), 0);
  // Mean d, variance 2 d for d degrees of freedom.
  expect(chiSquare).toBeLessThan(size - 1 + 4 * Math.sqrt(2 * (size - 1)));
});

it("what is no distribution is refused as from the whole row", async () => {
  for (const asked of [{ temperature: 0 }, { temperature: 1 }, { topP: 0.5 }, { topK: 3 }])
    for (const bad of [Number.NaN, Infinity])
      for (const at of [0, 70, 149]) {
        const row = new Float32Array(150).fill(-0);
        row[at] = bad;
        const summary = await summaryOf(row, asked);
        const sampler = new Sampler(samplingFrom(asked), new SamplingWorkspace(150));
        const context = { prompt: [], generated: [], position: 0 };
        const what = `${bad === Infinity ? "\\+" : ""}${bad} as the logit of token ${at} \\(of 150\\)`;
        expect(() => sampler.next(row, context, summary)).toThrow(new RegExp(what));
        // One that may not come is no matter, as ever.
        const allowed = new Uint32Array(5).fill(0xffffffff);
        allowed[at >>> 5] = 0;
        expect(Number.isNaN(row[sampler.next(row, { ...context, allowed }, summary).token])).toBe(false);
      }
});
