import { describe, expect, test } from "vitest";
import { expNonPositive } from "../../../src/decode/exp.ts";
import { argmax, logprobOf, logSumExp, nll, topLogprobs } from "../../../src/decode/logprobs.ts";
import { randomRow, stream } from "./cases.ts";

test("expNonPositive equals Math.exp to 4e-15, from 0 to where f64 ends", () => {
  const random = stream(1);
  let worst = 0;
  for (let i = 0; i < 50_000; i++) {
    const x = -(random() ** 3) * 708;
    worst = Math.max(worst, Math.abs(expNonPositive(x) / Math.exp(x) - 1));
  }
  expect(worst).toBeLessThan(4e-15);
  expect(expNonPositive(0)).toBe(1);
  expect(expNonPositive(-740)).toBeCloseTo(Math.exp(-740), 320);
  for (const x of [-746, -1e9, -1e300, -Infinity]) expect(expNonPositive(x)).toBe(0);
});

describe("argmax", () => {
  test("is the first of the largest", () => {
    const random = stream(2);
    for (let i = 0; i < 2000; i++) {
      const row = randomRow(random, 1 + Math.floor(random() * 50));
      expect(argmax(row)).toBe(row.indexOf(Math.max(...row)));
    }
    expect(argmax(Float32Array.of(-0, 0, -0))).toBe(0);
  });

  test("refuses what is no distribution, and says so", () => {
    for (let at = 0; at < 3; at++) {
      const row = Float32Array.of(1, 5, 2);
      row[at] = Number.NaN;
      expect(() => argmax(row)).toThrow(`the model produced NaN as the logit of token ${at}`);
    }
    expect(() => argmax(Float32Array.of(1, Infinity, 2))).toThrow("the model produced +Infinity");
    expect(() => argmax(new Float32Array(4).fill(-Infinity))).toThrow("all 4 logits are -Infinity");
    expect(() => argmax(new Float32Array(0))).toThrow("no token can be chosen");
  });
});

test("log-probabilities follow their definition", () => {
  const random = stream(3);
  for (let i = 0; i < 500; i++) {
    const size = 1 + Math.floor(random() * 60);
    const row = randomRow(random, size);
    const largest = Math.max(...row);
    const normalizer =
      largest + Math.log([...row].reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
    expect(logSumExp(row)).toBeCloseTo(normalizer, 12);
    const naive = [...row].map((logit) => logit - normalizer);
    const token = argmax(row);
    expect(logprobOf(row, token)).toBeCloseTo(naive[token]!, 11);
    const n = Math.floor(random() * (size + 3));
    const sorted = naive
      .map((logprob, token) => ({ token, logprob }))
      .filter(({ logprob }) => logprob > -Infinity)
      .sort((a, b) => b.logprob - a.logprob || a.token - b.token)
      .slice(0, n);
    const top = topLogprobs(row, n);
    expect(top.map(({ token }) => token)).toEqual(sorted.map(({ token }) => token));
    top.forEach(({ logprob }, k) => void expect(logprob).toBeCloseTo(sorted[k]!.logprob, 11));
  }
});

test("probabilities of a row sum to 1, however large its logits", () => {
  for (const scale of [1e-6, 1, 1e4, 1e30]) {
    const random = stream(4);
    const row = Float32Array.from({ length: 1000 }, () => (random() - 0.5) * scale);
    const normalizer = logSumExp(row);
    expect(row.reduce((sum, logit) => sum + Math.exp(logit - normalizer), 0)).toBeCloseTo(1, 10);
  }
});

describe("nll", () => {
  test("is minus the log-probability of each target", () => {
    const rows = Float32Array.of(1, 2, 3, 0, 0, 0);
    const result = nll(rows, [2, 1]);
    expect(result[0]).toBeCloseTo(Math.log(1 + Math.exp(-1) + Math.exp(-2)), 12);
    expect(result[1]).toBeCloseTo(Math.log(3), 12);
    expect(nll(new Float32Array(0), [])).toEqual(new Float64Array(0));
  });

  test("refuses rows and targets that do not fit", () => {
    expect(() => nll(new Float32Array(7), [0, 1])).toThrow("targets: 7 logits");
    expect(() => nll(new Float32Array(7), [])).toThrow("targets: 7 logits");
    expect(() => nll(new Float32Array(6), [0, 3])).toThrow("token: 3 is not an id in a vocabulary of 3");
    expect(() => nll(new Float32Array(6), [0, -1])).toThrow("token: -1");
  });
});
