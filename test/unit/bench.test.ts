/** What the benchmark makes of its measurements: medians, ratios, refusals, counts, the table and the chart. */
import { describe, expect, it } from "vitest";
import { chart } from "../../bench/chart.mjs";
import { countPlan } from "../../bench/count.mjs";
import { compare, type Limits, strict } from "../../bench/measure.mjs";
import { markdown, type Results } from "../../bench/report.mjs";
import { median, spread } from "../../bench/statistics.mjs";
import { type Op, type Plan, priceOf, Tensor } from "../../src/ops/index.ts";

const limits: Limits = { read: 20, operations: { f32: 400, "int8 VNNI": 1000, "int8 AMX": 8000 } };

/** Ten tokens in so many milliseconds each round, 1 GB and 4 G operations in all. */
const decode = {
  name: "decode",
  unit: "tok/s",
  amount: 10,
  of: (times: Readonly<Record<string, number>>) => times.ms ?? 0,
  work: { bytes: 1e9, operations: 4e9 },
  limit: "read",
};
const rounds = (...ms: number[]) => ms.map((one) => ({ ms: one }));
const engines = (ours: number[], peer: number[]) => [
  { name: "Fovea", ours: true, times: rounds(...ours) },
  { name: "peer", ours: false, times: rounds(...peer) },
];

describe("statistics", () => {
  it("gives the middle value, or the mean of the two middle ones", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  it("gives half of the interquartile range, relative to the median", () => {
    expect(spread([1, 2, 3, 4, 5])).toBeCloseTo(1 / 3, 12); // quartiles 2 and 4
    expect(spread([7, 7, 7])).toBe(0);
  });
});

describe("a comparison", () => {
  it("takes the ratio round by round", () => {
    const { ratios, results } = compare(decode, engines([100, 101, 102], [200, 202, 204]), limits, strict);
    expect(results.Fovea?.all[0]).toBe(100);
    expect(ratios).toEqual([{ ours: "Fovea", peer: "peer", median: 2, spread: 0, all: [2, 2, 2] }]);
  });

  it("is above 1 for less time and less memory too", () => {
    const slower = engines([100, 100, 100], [50, 50, 50]);
    expect(compare({ ...decode, unit: "ms" }, slower, limits, strict).ratios[0]?.median).toBe(0.5);
    expect(compare({ ...decode, unit: "MiB" }, slower, limits, strict).ratios[0]?.median).toBe(0.5);
  });

  it("relates the work to the limit that it names, the fastest unit of a kind", () => {
    const read = compare(decode, engines([100], [200]), limits, strict).results;
    expect(read.Fovea).toMatchObject({ gigabytes: 10, gigaOperations: 40, share: 0.5 });
    expect(read.peer).toMatchObject({ gigabytes: 5, share: 0.25 });
    const { results } = compare({ ...decode, limit: "int8" }, engines([100], [200]), limits, strict);
    expect(results.Fovea?.share).toBe(40 / 8000);
    const unknown = compare(decode, engines([100], [200]), undefined, strict).results;
    expect(unknown.Fovea).not.toHaveProperty("share");
  });

  it("refuses an engine whose values spread, and says which", () => {
    const { ratios, refused } = compare(decode, engines([100, 101, 102], [100, 150, 300]), limits, strict);
    expect(ratios).toEqual([]);
    expect(refused).toHaveLength(1);
    expect(refused[0]?.engine).toBe("peer");
    expect(refused[0]?.reason).toContain("more than 8.0 %: 100.0, 66.67, 33.33 tok/s");
  });
});

describe("counting", () => {
  const slot = (bytes: number, number = 0) => ({ slot: number, bytes });
  const f32 = (...shape: number[]) => new Tensor("f32", shape, slot(1 << 24));
  const plan = (ops: Plan["ops"], spans: readonly number[]): Plan => ({
    ops,
    places: new Float64Array(2),
    arenaBytes: 0,
    uploads: [{ slot: 1, bytes: new Uint8Array(Int32Array.from(spans).buffer) }],
    outputs: [],
    profile: false,
  });
  const attend = (causal: 0 | 1, rows: number): Op => ({
    kind: "attend",
    ...{ q: f32(rows, 4, 8), keys: f32(4, 2, 16, 8), values: f32(4, 2, 16, 8), y: f32(rows, 4, 8) },
    ...{ pages: new Tensor("i32", [2, 2], slot(16)), spans: new Tensor("i32", [2, 3], slot(24, 1)) },
    ...{ scale: 1, window: 0, softcap: 0, longest: 20, causal, sharedRows: 0 },
  });

  it("counts the pairs of queries and keys that meet", () => {
    // Three rows after ten keys see 11, 12 and 13; two new rows see 1 and 2.
    const spans = [0, 3, 10, 3, 2, 0];
    const pair = 2 * 4 * (8 + 8);
    expect(countPlan(plan([attend(1, 5)], spans), priceOf).operations).toBe((11 + 12 + 13 + 1 + 2) * pair);
    expect(countPlan(plan([attend(0, 5)], spans), priceOf).operations).toBe((3 * 13 + 2 * 2) * pair);
  });

  it("adds up the prices of the other ops", () => {
    const linear = {
      kind: "linear",
      x: f32(3, 64),
      weight: f32(10, 64),
      y: f32(3, 10),
      precision: "f32",
    } as const;
    const price = priceOf(linear);
    expect(countPlan(plan([linear, linear], []), priceOf)).toEqual({
      bytes: 2 * price.bytes,
      operations: 2 * price.operations,
    });
  });
});

describe("a report", () => {
  const results: Results = {
    date: "2026-01-02T03:04:05Z",
    machine: {
      ...{ cpu: "CPU <1>", cores: 2, memoryBytes: 8 * 2 ** 30, kernel: "6.1", node: "v20.19.0" },
      ...{ commit: "abc", packages: { fovea: "0.1.0", rival: "9.9.9" } },
    },
    limits: { 2: limits },
    cases: [
      {
        ...{ name: "decode", title: "Decode", about: "Token by token." },
        rows: [
          {
            ...{ label: "model q4_0", threads: 2 },
            absent: [{ engine: "other", reason: "is not installed" }],
            measures: [
              compare(decode, engines([100, 100], [200, 200]), limits, strict),
              compare({ ...decode, name: "slow" }, engines([100, 100], [80, 80]), limits, strict),
              compare({ ...decode, name: "noisy" }, engines([100, 200], [80, 80]), limits, strict),
            ],
          },
        ],
        missing: [{ label: "model q4_K", reason: "no multiple of 256" }],
      },
    ],
  };

  it("has a line for each comparison, losses and refusals said", () => {
    const text = markdown(results);
    expect(text).toContain(
      "| model q4_0 | 2 | decode | 100.0 tok/s ± 0.0 % | peer: 50.0 tok/s ± 0.0 % | **2.00** ± 0.0 % | " +
        "10.0 GB/s, 50 % of reading | 5.0 GB/s, 25 % of reading |",
    );
    expect(text).toContain("**0.80** (loss)");
    expect(text).toContain("Refused: model q4_0, threads: 2: noisy of Fovea spreads by");
    expect(text).toContain("Not measured: model q4_0, threads: 2: other: is not installed");
    expect(text).toContain("Not measured: model q4_K: no multiple of 256");
    expect(text).toContain("Fovea 0.1.0 (abc) beside rival 9.9.9 on CPU <1>, 2 cores, 8 GiB");
    expect(text).toContain("reads 20.0 GB/s and multiplies and adds 400 GOP/s (f32)");
  });

  it("is drawn with a bar to the right for a win and to the left for a loss", () => {
    const svg = chart(results);
    const bars = [...svg.matchAll(/<rect class="(win|loss)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g)];
    expect(bars.map(([, kind]) => kind)).toEqual(["win", "loss"]);
    const [win, loss] = bars.map(([, , x, width]) => ({ from: Number(x), to: Number(x) + Number(width) }));
    expect(win?.from).toBeCloseTo(loss?.to ?? 0, 0); // both end at 1
    expect(win?.to).toBeGreaterThan(win?.from ?? 0);
    expect(svg).toContain("CPU &lt;1&gt;");
    expect(svg).not.toContain("noisy");
  });
});
