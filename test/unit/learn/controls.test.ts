/** The recipes' controls: an n-gram model beside sums written from the papers, and a search beside the plain one. */
import { describe, expect, it } from "vitest";
import { NGramModel } from "../../../recipes/lib/ngram.ts";
import { numbered, SharedRuns } from "../../../recipes/lib/recitation.ts";
import { uniform } from "../../../src/decode/random.ts";

const draw = (count: number, limit: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.floor(limit * uniform(seed, i) ** 2));

describe("5-grams", () => {
  const vocabulary = 7;
  const text = Int32Array.from(draw(400, vocabulary - 1, 1));
  const model = new NGramModel(5, vocabulary);
  model.add(text);
  model.finish();
  const probability = (context: readonly number[], token: number): number =>
    Math.exp(-model.nll(Int32Array.of(...context, token), context.length));

  it("give probabilities that sum to one, after contexts seen and unseen", () => {
    for (let start = 0; start < 60; start++) {
      const context = [...text.slice(start, start + (start % 6))];
      if (start % 7 === 0) context.push(6, 6);
      let sum = 0;
      for (let token = 0; token < vocabulary; token++) {
        const p = probability(context, token);
        expect(p).toBeGreaterThan(0);
        sum += p;
      }
      expect(sum).toBeCloseTo(1, 9);
    }
  });

  it("are interpolated Kneser-Ney: pairs, computed anew", () => {
    const pairs = new NGramModel(2, vocabulary);
    pairs.add(text);
    pairs.finish();
    const list = Array.from({ length: text.length - 1 }, (_, i) => `${text[i]} ${text[i + 1]}`);
    const count = (pair: string): number => list.filter((other) => other === pair).length;
    const distinct = [...new Set(list)];
    const discountOf = (counts: readonly number[]): number => {
      const [once, twice] = [1, 2].map((n) => counts.filter((c) => c === n).length) as [number, number];
      return once > 0 ? once / (once + 2 * twice) : 0.5;
    };
    // How many different tokens stand before each; the text's first token has one more, its beginning.
    const before = (token: number): number =>
      distinct.filter((pair) => pair.endsWith(` ${token}`)).length + Number(token === text[0]);
    const tokens = Array.from({ length: vocabulary }, (_, token) => token);
    const ends = tokens.map(before);
    const total = ends.reduce((sum, n) => sum + n, 0);
    const [d1, d2] = [discountOf(ends), discountOf(distinct.map(count))];
    const base = d1 * ends.filter((n) => n > 0).length;
    for (const context of [0, 1, 3])
      for (const token of tokens) {
        const single = (Math.max(0, ends[token]! - d1) + base / vocabulary) / total;
        const after = distinct.filter((pair) => pair.startsWith(`${context} `));
        const sum = after.reduce((n, pair) => n + count(pair), 0);
        const wanted = (Math.max(0, count(`${context} ${token}`) - d2) + d2 * after.length * single) / sum;
        expect(Math.exp(-pairs.nll(Int32Array.of(context, token), 1))).toBeCloseTo(wanted, 9);
      }
  });

  it("foretell what they have seen better than what they have not", () => {
    const other = Int32Array.from(draw(400, vocabulary - 1, 2));
    expect(model.nll(text)).toBeLessThan(0.7 * model.nll(other));
  });
});

describe("the search for recitation", () => {
  /** The longest run of one in another, by trying all. */
  function plain(samples: readonly (readonly number[])[], text: readonly number[]): number {
    let best = 0;
    for (const sample of samples)
      for (let i = 0; i < sample.length; i++)
        for (let j = 0; j < text.length; j++) {
          let n = 0;
          while (i + n < sample.length && j + n < text.length && sample[i + n] === text[j + n]) n++;
          best = Math.max(best, n);
        }
    return best;
  }

  it.each([1, 2, 3, 4, 5])("finds the longest shared run, case %i", (seed) => {
    const samples = [draw(60, 4, 10 * seed), draw(40, 4, 10 * seed + 1), draw(1, 4, 10 * seed + 2)];
    const text = draw(300, 5, 10 * seed + 3);
    const { numbers, samples: mapped } = numbered(samples);
    const runs = new SharedRuns(mapped, numbers.size);
    const led = text.map((symbol) => numbers.get(symbol) ?? -1);
    runs.lead(led.slice(0, 100));
    runs.lead(led.slice(100));
    expect(runs.longest).toBe(plain(samples, text));
    const found = text.slice(runs.longestEnd - runs.longest, runs.longestEnd);
    expect(plain(samples, found)).toBe(found.length);
  });

  it("does not run across two samples, nor across a symbol that none has", () => {
    const { numbers, samples } = numbered([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const runs = new SharedRuns(samples, numbers.size);
    const map = (text: readonly number[]) => text.map((symbol) => numbers.get(symbol) ?? -1);
    runs.lead(map([1, 2, 3, 4, 5, 6]));
    expect(runs.longest).toBe(3);
    runs.lead(map([9, 1, 2, 9, 3]));
    expect(runs.longest).toBe(3);
    expect(runs.led).toBe(11);
  });
});
