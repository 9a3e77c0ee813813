/** Prices recover what times were made of, and refuse what they cannot know. */
import { describe, expect, it } from "vitest";
import { uniform } from "../../../src/decode/random.ts";
import { fitRuntime, priceRequest, type Timed } from "../../../src/pricing/runtime.ts";

const prompts = [1, 16, 64, 128, 256, 512, 1024, 2048];
const outputs = [1, 2, 4, 8, 16, 32, 64];
/** A prompt's time bends a little, as attention's share grows. */
const first = (p: number): number => 3 + 0.4 * p + 2e-5 * p * p;
const contexts = (p: number, o: number): number => (o - 1) * p + ((o - 1) * o) / 2;

const timesOf = (time: (p: number, o: number) => number): Timed[] =>
  prompts.flatMap((prompt) => outputs.map((output) => ({ prompt, output, ms: time(prompt, output) })));

describe("a fit", () => {
  it("recovers F and g from exact times", () => {
    const model = fitRuntime(timesOf((p, o) => first(p) + 7.5 * (o - 1)));
    expect(model.linear.perToken).toBeCloseTo(7.5, 10);
    expect(model.linear.r2).toBeCloseTo(1, 12);
    expect(model.extended.perToken).toBeCloseTo(7.5, 8);
    expect(Math.abs(model.extended.perContext)).toBeLessThan(1e-10);
    for (const p of prompts) expect(priceRequest(model, p, 1).firstTokenMs).toBeCloseTo(first(p), 10);
    expect(priceRequest(model, 128, 20).totalMs).toBeCloseTo(first(128) + 19 * 7.5, 8);
  });

  it("recovers g within 1 % from noisy times", () => {
    let draw = 0;
    const noise = (): number => 1 + 0.02 * (uniform(1, draw++) - 0.5);
    const { linear } = fitRuntime(timesOf((p, o) => first(p) + 7.5 * (o - 1) * noise()));
    expect(Math.abs(linear.perToken / 7.5 - 1)).toBeLessThan(0.01);
    expect(linear.r2).toBeGreaterThan(0.99);
  });

  it("recovers both from the least of repeats of which a fifth had to queue", () => {
    let draw = 0;
    const once = (p: number, o: number): number =>
      first(p) + 7.5 * (o - 1) + (uniform(2, draw++) < 0.2 ? 2000 * uniform(3, draw) : 0);
    const repeated = (of: (all: number[]) => number) =>
      fitRuntime(timesOf((p, o) => of(Array.from({ length: 12 }, () => once(p, o)))));
    const least = repeated((all) => Math.min(...all));
    expect(Math.abs(least.linear.perToken / 7.5 - 1)).toBeLessThan(0.01);
    for (const { prompt, ms } of least.firstToken)
      expect(Math.abs(ms / first(prompt) - 1)).toBeLessThan(0.01);
    const mean = repeated((all) => all.reduce((sum, ms) => sum + ms, 0) / all.length);
    expect(Math.abs(mean.firstToken[0]!.ms / first(1) - 1)).toBeGreaterThan(1);
  });

  it("bends with growing attention where one slope cannot", () => {
    const time = (p: number, o: number): number => first(p) + 5 * (o - 1) + 0.004 * contexts(p, o);
    const model = fitRuntime(timesOf(time));
    expect(model.extended.perToken).toBeCloseTo(5, 6);
    expect(model.extended.perContext).toBeCloseTo(0.004, 9);
    expect(model.extended.largestError).toBeLessThan(1e-6);
    expect(model.linear.largestError).toBeGreaterThan(50);
    expect(priceRequest(model, 2048, 64).totalMs).toBeCloseTo(time(2048, 64), 6);
    expect(priceRequest(model, 2048, 64, "linear").totalMs).not.toBeCloseTo(time(2048, 64), 0);
  });

  it("needs the first token of each prompt, and further ones", () => {
    const times = timesOf((p, o) => first(p) + o);
    expect(() => fitRuntime(times.filter(({ prompt, output }) => prompt !== 64 || output > 1))).toThrow(
      /first token after 64/,
    );
    expect(() => fitRuntime(times.filter(({ output }) => output === 1))).toThrow(/at least 2/);
  });
});

describe("a price", () => {
  const model = fitRuntime(timesOf((p, o) => first(p) + 7.5 * (o - 1)));

  it("lies between those of the lengths beside it", () => {
    expect(priceRequest(model, 192, 1).firstTokenMs).toBeCloseTo((first(128) + first(256)) / 2, 8);
    expect(priceRequest(model, 192, 1).extrapolated).toBe(false);
  });

  it("is marked where no length was timed, and refused far beyond", () => {
    const last = (first(2048) - first(1024)) / 1024;
    expect(priceRequest(model, 3000, 1)).toMatchObject({ extrapolated: true });
    expect(priceRequest(model, 3000, 1).firstTokenMs).toBeCloseTo(first(2048) + 952 * last, 8);
    expect(() => priceRequest(model, 4097, 1)).toThrow(/promptTokens: 4097 is more than 2 times .* 2048/);
    expect(() => priceRequest(model, 0, 1)).toThrow(/promptTokens/);
    expect(() => priceRequest(model, 10, 1.5)).toThrow(/genTokens/);
  });
});
