import { describe, expect, test } from "vitest";
import { philox4x32, uniform } from "../../../src/decode/random.ts";

/** The lines "philox4x32 10" of tests/kat_vectors in Random123 1.14: counter, key, result. */
const KNOWN_ANSWERS = [
  "00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
  "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd",
  "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1",
];

test.each(KNOWN_ANSWERS)("Philox4x32-10 known answer %s", (line) => {
  const word = line.split(" ").map((hex) => Number.parseInt(hex, 16));
  expect(philox4x32([word[0]!, word[1]!, word[2]!, word[3]!], [word[4]!, word[5]!])).toEqual(word.slice(6));
});

describe("uniform", () => {
  test("is a function of seed, position and stream, each of which counts", () => {
    expect(uniform(1, 2, 3)).toBe(uniform(1, 2, 3));
    const draws = new Set<number>();
    for (const seed of [0, 1, -1, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER])
      for (const position of [0, 1, 2 ** 32, 2 ** 40])
        for (const stream of [0, 1]) draws.add(uniform(seed, position, stream));
    expect(draws.size).toBe(7 * 4 * 2);
  });

  test("every one of the 53 bits of a seed counts", () => {
    const draws = new Set(Array.from({ length: 53 }, (_, bit) => uniform(2 ** bit, 0)));
    expect(draws.size).toBe(53);
  });

  test("lies in [0, 1) and is even: chi-square of 64 cells, for seeds and for positions", () => {
    for (const draw of [(i: number) => uniform(11, i), (i: number) => uniform(i, 11)]) {
      const cells = new Array<number>(64).fill(0);
      const draws = 64_000;
      for (let i = 0; i < draws; i++) {
        const u = draw(i);
        if (!(u >= 0 && u < 1)) expect.fail(`${u}`);
        cells[Math.floor(u * 64)]!++;
      }
      const chiSquare = cells.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
      expect(chiSquare).toBeLessThan(103.4); // 63 degrees of freedom, 0.1 %
    }
  });
});
