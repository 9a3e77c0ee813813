/** Tensors and their views. */
import { describe, expect, it } from "vitest";
import { OpError, ParameterError } from "../../../src/base/errors.ts";
import { Tensor, tensorBytes } from "../../../src/ops/index.ts";

const storage = { id: 7, bytes: 1 << 20 };

describe("tensorBytes", () => {
  it("counts whole blocks", () => {
    expect(tensorBytes("f32", [3, 5])).toBe(60);
    expect(tensorBytes("i32", [3, 5])).toBe(60);
    expect(tensorBytes("f16", [3, 5])).toBe(30);
    expect(tensorBytes("q8_0", [3, 64])).toBe(3 * 2 * 34);
    expect(tensorBytes("q4_K", [2, 3, 256])).toBe(6 * 144);
    expect(tensorBytes("f32", [0, 5])).toBe(0);
  });

  it("refuses a part of a block", () => {
    expect(() => tensorBytes("q8_0", [3, 40])).toThrow(ParameterError);
  });
});

describe("Tensor", () => {
  it("refuses shapes that are none", () => {
    for (const shape of [[], [1, 1, 1, 1, 1], [-1], [1.5], [Number.NaN], [2 ** 60]])
      expect(() => new Tensor("f32", shape, storage)).toThrow(OpError);
  });

  it("refuses what does not fit the storage", () => {
    const small = { id: 7, bytes: 64 };
    expect(() => new Tensor("f32", [17], small)).toThrow(/f32\[17\] at byte 0 does not fit.*64 bytes/);
    expect(() => new Tensor("f32", [8], small, { offset: 36 })).toThrow(/at byte 36/);
    expect(new Tensor("f32", [8], small, { offset: 32 }).bytes).toBe(32);
  });

  it("refuses a row of a part of a block, even where the whole matrix fills blocks", () => {
    expect(() => new Tensor("q8_0", [2, 16], storage)).toThrow();
  });

  it("counts dimensions from the end when negative", () => {
    const t = new Tensor("f32", [2, 3, 4], storage);
    expect([t.dim(0), t.dim(2), t.dim(-1), t.dim(-3)]).toEqual([2, 4, 4, 2]);
    expect(() => t.dim(3)).toThrow(/f32\[2,3,4\] has no dimension 3/);
  });
});

describe("views", () => {
  const t = new Tensor("q8_0", [4, 3, 64], storage, { offset: 1000 });

  it("share storage and begin at the right byte", () => {
    const view = t.rows(1, 3);
    expect(view.storage).toBe(storage);
    expect(view.shape).toEqual([2, 3, 64]);
    expect(view.offset).toBe(1000 + 3 * 2 * 34);
    expect(view.rows(1, 2).offset).toBe(1000 + 2 * 3 * 2 * 34);
    expect(t.rows(4, 4).elements).toBe(0);
  });

  it("refuse rows that are not there", () => {
    for (const [a, b] of [
      [-1, 2],
      [3, 5],
      [3, 2],
      [Number.NaN, 2],
      [0.5, 2],
    ] as const)
      expect(() => t.rows(a, b)).toThrow(OpError);
    expect(() => t.rows(3, 5)).toThrow(/q8_0\[4,3,64\] has no rows 3 to 5/);
  });

  it("reshape keeps elements and place", () => {
    const flat = t.reshape(12, 64);
    expect([flat.offset, flat.bytes]).toEqual([t.offset, t.bytes]);
    expect(() => t.reshape(11, 64)).toThrow(/q8_0\[4,3,64\] cannot become \[11,64\]/);
  });

  it("reshape to rows of a part of a block is refused", () => {
    expect(() => t.reshape(24, 32).reshape(48, 16)).toThrow();
  });

  it("are refused for panels", () => {
    const panels = new Tensor("q8_0", [4, 64], storage, { layout: "panels" });
    expect(() => panels.rows(0, 1)).toThrow(/in panels/);
    expect(() => panels.reshape(2, 128)).toThrow(/in panels/);
  });
});
