/** Comparison of f32 results with derived bounds, and the values that break kernels. */
import { expect } from "vitest";
import type { Random } from "./random.ts";

/** Unit roundoff of f32. */
export const U = 2 ** -24;
/** The least positive f32: what an operation may lose by underflow. */
export const TINY = 2 ** -149;

/** Bound of the relative error of k roundings in a row (Higham 2002, section 3.1). */
export const gamma = (k: number): number => (k * U) / (1 - k * U);

/**
 * Each result lies within its bound of what is wanted. NaN is wanted as NaN; an infinity as itself; where
 * `bound` is itself not finite, anything goes that is not NaN.
 */
export function expectWithin(
  actual: ArrayLike<number>,
  wanted: ArrayLike<number>,
  bound: (i: number) => number,
  what = "",
): void {
  expect(actual.length, `${what}: length`).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const [a, w] = [actual[i]!, wanted[i]!];
    if (Number.isFinite(w) ? Math.abs(a - w) <= bound(i) : Object.is(a, w)) continue;
    expect.fail(`${what}: element ${i} is ${a}, wanted ${w} within ${bound(i)}, off by ${Math.abs(a - w)}`);
  }
}

/** The same numbers, bit for bit (all NaN are one). */
export function expectSameBits(actual: Float32Array, wanted: Float32Array, what = ""): void {
  expect(actual.length, `${what}: length`).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++)
    if (!Object.is(actual[i], wanted[i]))
      expect.fail(`${what}: element ${i} is ${actual[i]}, wanted ${wanted[i]}`);
}

/** Generators of finite values, by what is difficult about them. */
export const difficult: Readonly<Record<string, (random: Random, count: number) => Float32Array>> = {
  normal: (random, count) => random.normals(count),
  cancelling: (random, count) => {
    const values = random.normals(count, 1e6);
    for (let i = 0; i + 1 < count; i += 2) values[i + 1] = -values[i]! * (1 + 1e-6 * random.next());
    return values;
  },
  "all equal": (random, count) => new Float32Array(count).fill(3 * random.normal()),
  zeros: (random, count) => Float32Array.from({ length: count }, () => random.pick([0, -0])),
  denormal: (random, count) => random.normals(count, 1e-40),
  "many magnitudes": (random, count) =>
    Float32Array.from({ length: count }, () => random.normal() * 10 ** random.int(-30, 12)),
  "one among zeros": (random, count) => {
    const values = new Float32Array(count);
    values[random.int(0, Math.max(0, count - 1))] = random.normal();
    return values;
  },
};

/** Widths around the lanes, groups and tiles of kernels. */
export const widths: readonly number[] = [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 255, 257, 1000];
