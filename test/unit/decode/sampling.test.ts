import { describe, expect, test } from "vitest";
import { ParameterError } from "../../../src/base/errors.ts";
import {
  SAMPLING_OPTIONS,
  Sampler,
  type SamplingContext,
  type SamplingOptions,
  SamplingWorkspace,
  samplingFrom,
} from "../../../src/decode/sampling.ts";
import { naiveDistribution, randomRow, stream } from "./cases.ts";

const nothing: SamplingContext = { prompt: [], generated: [], position: 0 };
const samplerFor = (options: SamplingOptions, size: number): Sampler =>
  new Sampler(samplingFrom(options), new SamplingWorkspace(size));

describe("samplingFrom", () => {
  test("documented defaults", () => {
    expect(samplingFrom({ seed: 1 })).toEqual({
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      typicalP: 1,
      repetitionPenalty: 1,
      repetitionWindow: Infinity,
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: new Map(),
      seed: 1,
      logprobs: undefined,
    });
    expect(SAMPLING_OPTIONS).toHaveLength(12);
  });

  test("without a seed each call draws one, and reports it", () => {
    const seeds = new Set(Array.from({ length: 20 }, () => samplingFrom().seed));
    expect(seeds.size).toBe(20);
    for (const seed of seeds) expect(samplingFrom({ seed }).seed).toBe(seed);
  });

  const bad: Record<string, readonly unknown[]> = {
    temperature: [-0.1, Number.NaN, Infinity, "1", null, true],
    topK: [-1, 1.5, Number.NaN, Infinity, "3"],
    topP: [-0.1, 1.01, Number.NaN, null],
    minP: [-0.1, 1.01, Number.NaN],
    typicalP: [0, 1.01, Number.NaN],
    repetitionPenalty: [0, -1, Number.NaN, Infinity],
    repetitionWindow: [0, -1, 2.5, Infinity],
    presencePenalty: [-2.1, 2.1, Number.NaN],
    frequencyPenalty: [-2.1, 2.1, Number.NaN],
    seed: [1.5, 2 ** 53, Number.NaN, "7", 7n],
    logprobs: [-1, 0.5, true],
    logitBias: [
      5,
      null,
      [1],
      { x: 1 },
      { "-1": 1 },
      { 3: 101 },
      { 3: "1" },
      { 3: Number.NaN },
      { 3: Infinity },
    ],
    top_k: [5],
    maxTokens: [undefined],
  };
  test.each(Object.entries(bad))("refuses a bad %s by name", (name, values) => {
    for (const value of values) {
      const attempt = (): unknown => samplingFrom({ [name]: value } as SamplingOptions);
      expect(attempt, String(value)).toThrow(ParameterError);
      expect(attempt).toThrow(`${name}: `);
    }
  });

  test("accepts the edges, undefined, and both forms of logitBias", () => {
    for (const options of [
      {
        temperature: 0,
        topK: 0,
        topP: 0,
        minP: 1,
        typicalP: 1e-9,
        repetitionPenalty: 1e-3,
        repetitionWindow: 1,
      },
      { temperature: 1e9, topP: 1, presencePenalty: -2, frequencyPenalty: 2, logprobs: 0 },
      { seed: -3, logitBias: { 5: -100, 6: 100, 7: -Infinity } },
      { seed: Number.MAX_SAFE_INTEGER, logitBias: new Map([[5, 1]]) },
    ])
      expect(samplingFrom(options)).toMatchObject(
        "logitBias" in options ? { seed: options.seed } : (options as object),
      );
    expect(samplingFrom({ logitBias: { 5: -100 } }).logitBias).toEqual(new Map([[5, -100]]));
    const absent = { temperature: undefined } as unknown as SamplingOptions;
    expect(samplingFrom(absent).temperature).toBe(1);
  });
});

describe("distribution", () => {
  const random = stream(31);
  const maybe = <T>(value: () => T, off: T): T => (random() < 0.5 ? value() : off);

  test.each([
    ["small", 4000, 40],
    ["large", 60, 5000],
  ])("equals the plain definitions on %s random rows", (_, rounds, most) => {
    for (let round = 0; round < rounds; round++) {
      const size = 1 + Math.floor(random() * most);
      const row = randomRow(random, size);
      const sampling = samplingFrom({
        temperature: maybe(() => 0.05 + 2 * random(), 1),
        topK: maybe(() => Math.ceil(size ** random()), 0),
        typicalP: maybe(() => 0.05 + 0.94 * random(), 1),
        topP: maybe(() => random(), 1),
        minP: maybe(() => random() ** 4, 0),
      });
      const { tokens, probabilities } = new Sampler(sampling, new SamplingWorkspace(size)).distribution(
        row,
        nothing,
      );
      const expected = naiveDistribution(row, sampling);
      const context = `round ${round}: ${JSON.stringify(sampling)}`;
      expect([...tokens], context).toEqual(expected.map(({ token }) => token));
      const worst = expected.reduce((most, { p }, i) => Math.max(most, Math.abs(p - probabilities[i]!)), 0);
      expect(worst, context).toBeLessThan(1e-12);
    }
  });

  test("equal logits: exactly k tokens, the lowest ids", () => {
    const row = Float32Array.of(1, 2, 2, 2, 2, 1);
    const tokens = (options: SamplingOptions): number[] => [
      ...samplerFor(options, row.length).distribution(row, nothing).tokens,
    ];
    expect(tokens({ topK: 1 })).toEqual([1]);
    expect(tokens({ topK: 3 })).toEqual([1, 2, 3]);
    expect(tokens({ topK: 5 })).toEqual([0, 1, 2, 3, 4]);
    expect(tokens({ topP: 0 })).toEqual([1]);
    expect(tokens({ topP: 0.3 })).toEqual([1, 2]);
    expect(tokens({ minP: 1 })).toEqual([1, 2, 3, 4]);
    expect(tokens({ temperature: 0 })).toEqual([1]);
  });

  test("tiny and huge temperatures stay finite", () => {
    const row = Float32Array.of(-3e38, 3e38, 0, 3e38, -Infinity);
    for (const options of [{}, { topP: 0.9 }, { typicalP: 0.9 }, { minP: 0.1 }]) {
      const cold = samplerFor({ temperature: 1e-300, ...options }, 5).distribution(row, nothing);
      expect([...cold.probabilities].reduce((a, b) => a + b)).toBeCloseTo(1, 12);
      expect([1, 3]).toContain(cold.tokens[0]);
    }
    const hot = samplerFor({ temperature: 1e300 }, 5).distribution(row, nothing);
    expect([...hot.tokens]).toEqual([0, 1, 2, 3]);
    for (const p of hot.probabilities) expect(p).toBeCloseTo(0.25, 12);
  });
});

describe("bias and penalties", () => {
  test("equal the plain definitions, greedy and drawn, and leave the logits alone", () => {
    const random = stream(32);
    const size = 24;
    const workspace = new SamplingWorkspace(size);
    const ids = (most: number): number[] =>
      Array.from({ length: Math.floor(random() * most) }, () => Math.floor(random() * size));
    for (let round = 0; round < 3000; round++) {
      const row = randomRow(random, size);
      const before = row.slice();
      const prompt = ids(12);
      const generated = ids(12);
      const sampling = samplingFrom({
        temperature: random() < 0.5 ? 0 : 1,
        repetitionPenalty: random() < 0.3 ? 1 : 0.5 + 1.5 * random(),
        ...(random() < 0.5 ? { repetitionWindow: 1 + Math.floor(random() * 16) } : {}),
        presencePenalty: random() < 0.3 ? 0 : 4 * random() - 2,
        frequencyPenalty: random() < 0.3 ? 0 : 4 * random() - 2,
        logitBias: random() < 0.5 ? {} : { 3: 5 * random(), 7: -Infinity, 9: -100 },
      });
      const expected = Float32Array.from(row);
      for (const [token, bias] of sampling.logitBias) expected[token]! += bias;
      const all = [...prompt, ...generated];
      const recent = new Set(all.slice(Math.max(0, all.length - sampling.repetitionWindow)));
      for (const token of recent) {
        const logit = expected[token]!;
        expected[token] = logit > 0 ? logit / sampling.repetitionPenalty : logit * sampling.repetitionPenalty;
      }
      for (const token of new Set(generated)) {
        const count = generated.filter((other) => other === token).length;
        expected[token]! -= count * sampling.frequencyPenalty + sampling.presencePenalty;
      }
      const sampler = new Sampler(sampling, workspace);
      const context = { prompt, generated: Int32Array.from(generated), position: all.length };
      if (expected.every((logit) => logit === -Infinity)) continue;
      if (sampling.temperature === 0)
        expect(sampler.next(row, context).token).toBe(expected.indexOf(Math.max(...expected)));
      else {
        const { tokens, probabilities } = sampler.distribution(row, context);
        const naive = naiveDistribution(expected, sampling);
        expect([...tokens]).toEqual(naive.map(({ token }) => token));
        expect(Math.max(...naive.map(({ p }, i) => Math.abs(p - probabilities[i]!)))).toBeLessThan(1e-12);
      }
      expect(row).toEqual(before);
      expect(workspace.counts.every((count) => count === 0)).toBe(true);
    }
  });

  test("tokens of the context that the row does not have are no matter", () => {
    const sampler = samplerFor(
      { temperature: 0, repetitionPenalty: 2, frequencyPenalty: 1, presencePenalty: 1 },
      3,
    );
    const context = { prompt: [9, 1], generated: [50, 50], position: 4 };
    for (let i = 0; i < 2; i++) expect(sampler.next(Float32Array.of(1, 1.5, 0), context).token).toBe(0);
  });
});

describe("next", () => {
  test("temperature 0 is argmax, whatever the truncations and the seed", () => {
    const random = stream(33);
    for (let round = 0; round < 500; round++) {
      const row = randomRow(random, 30);
      const sampler = samplerFor({ temperature: 0, topK: 5, topP: 0.5, typicalP: 0.2, seed: round }, 30);
      expect(sampler.next(row, nothing)).toEqual({ token: row.indexOf(Math.max(...row)) });
    }
  });

  test("draws with the probabilities of its distribution: chi-square", () => {
    const random = stream(34);
    const size = 40;
    const draws = 20_000;
    for (const options of [
      {},
      { temperature: 0.7, topK: 12 },
      { topP: 0.8 },
      { temperature: 1.5, minP: 0.1 },
      { typicalP: 0.7 },
    ]) {
      const row = Float32Array.from({ length: size }, () => 4 * random());
      const sampler = samplerFor({ ...options, seed: 5 }, size);
      const { tokens, probabilities } = sampler.distribution(row, nothing);
      const counts = new Map<number, number>();
      for (let position = 0; position < draws; position++) {
        const { token } = sampler.next(row, { ...nothing, position });
        counts.set(token, (counts.get(token) ?? 0) + 1);
      }
      expect([...counts.keys()].every((token) => tokens.includes(token))).toBe(true);
      let chiSquare = 0;
      tokens.forEach((token, i) => {
        const mean = draws * probabilities[i]!;
        chiSquare += ((counts.get(token) ?? 0) - mean) ** 2 / mean;
      });
      // Mean d, variance 2d for d degrees of freedom; four deviations are never reached by chance here.
      const d = tokens.length - 1;
      expect(chiSquare, JSON.stringify(options)).toBeLessThan(d + 4 * Math.sqrt(2 * d));
    }
  });

  test("depends on seed and position alone, not on what a workspace was used for before", () => {
    const random = stream(35);
    const rows = Array.from({ length: 30 }, () => randomRow(random, 50));
    const workspace = new SamplingWorkspace(50);
    const options = { topP: 0.9, frequencyPenalty: 0.3, typicalP: 0.9, logprobs: 3 };
    const shared = [1, 2, 3].map((seed) => new Sampler(samplingFrom({ ...options, seed }), workspace));
    const context = (position: number): SamplingContext => ({ prompt: [1], generated: [2, 2, 3], position });
    const interleaved = rows.map((row, i) => shared.map((sampler) => sampler.next(row, context(i))));
    for (const [s, seed] of [1, 2, 3].entries())
      for (let i = rows.length - 1; i >= 0; i--)
        expect(samplerFor({ ...options, seed }, 50).next(rows[i]!, context(i))).toEqual(interleaved[i]![s]);
    expect(
      new Set(interleaved.map((choices) => choices.map(({ token }) => token).join())).size,
    ).toBeGreaterThan(20);
  });

  test("reports log-probabilities of the model, not of what was drawn from", () => {
    const row = Float32Array.of(0, 3, 1, 2);
    const sampler = samplerFor({ temperature: 0, logitBias: { 0: 50 }, logprobs: 2 }, 4);
    const { token, logprob, top } = sampler.next(row, nothing);
    const normalizer = Math.log(1 + Math.exp(3) + Math.exp(1) + Math.exp(2));
    expect(token).toBe(0);
    expect(logprob).toBeCloseTo(-normalizer, 12);
    expect(top!.map((alternative) => alternative.token)).toEqual([1, 3]);
    expect(top![1]!.logprob).toBeCloseTo(2 - normalizer, 12);
    expect(samplerFor({ logprobs: 0 }, 4).next(row, nothing).top).toEqual([]);
  });

  test("refuses rows that cannot be used", () => {
    for (const options of [{ temperature: 0 }, { topK: 2 }, { topP: 0.5, presencePenalty: 1 }]) {
      const sampler = samplerFor(options, 3);
      expect(() => sampler.next(Float32Array.of(1, Number.NaN, 2), nothing)).toThrow(
        "the model produced NaN",
      );
      expect(() => sampler.next(new Float32Array(3).fill(-Infinity), nothing)).toThrow("-Infinity");
      expect(() => sampler.next(new Float32Array(4), nothing)).toThrow("logits: has 4 entries");
    }
    const banned = samplerFor({ logitBias: { 0: -Infinity, 1: -Infinity } }, 2);
    expect(() => banned.next(Float32Array.of(1, 2), nothing)).toThrow("logitBias bans every token");
    expect(() => samplerFor({ logitBias: { 3: 1 } }, 3)).toThrow("logitBias: token 3 is outside");
  });
});
