/** Every op refuses what it is not defined for: an OpError that names the op, the field and the shapes. */
import { describe, expect, it } from "vitest";
import { OpError } from "../../../src/base/errors.ts";
import { type DType, definitionOf, definitions, type Op, Tensor } from "../../../src/ops/index.ts";

const tensor = (dtype: DType, ...shape: number[]): Tensor =>
  new Tensor(dtype, shape, { id: 1, bytes: 1 << 30 });
const panels = (dtype: DType, ...shape: number[]): Tensor =>
  new Tensor(dtype, shape, { id: 1, bytes: 1 << 30 }, { layout: "panels" });
const f32 = (...shape: number[]): Tensor => tensor("f32", ...shape);
const i32 = (...shape: number[]): Tensor => tensor("i32", ...shape);

type OpOf<K extends Op["kind"]> = Extract<Op, { kind: K }>;
interface Case<T> {
  /** Legal ops. */
  readonly good: readonly T[];
  /** Changes to the first of them, each with what the refusal must name. */
  readonly bad: readonly (readonly [change: Partial<T>, names: RegExp])[];
}

const attend: OpOf<"attend"> = {
  kind: "attend",
  q: f32(5, 4, 8),
  keys: tensor("f16", 9, 2, 16, 8),
  values: tensor("f16", 9, 2, 16, 6),
  pages: i32(2, 4),
  spans: i32(2, 3),
  y: f32(5, 4, 6),
  scale: 0.3,
  window: 0,
  softcap: 0,
  longest: 64,
  causal: 1,
  sharedRows: 0,
};
const rope: OpOf<"rope"> = {
  kind: "rope",
  x: f32(5, 4, 8),
  cos: f32(5, 4),
  sin: f32(5, 4),
  y: f32(5, 4, 8),
  style: "half",
};
const cacheWrite: OpOf<"cache_write"> = {
  kind: "cache_write",
  k: f32(3, 2, 8),
  v: f32(3, 2, 6),
  slots: i32(3),
  keys: tensor("f16", 9, 2, 16, 8),
  values: tensor("f16", 9, 2, 16, 6),
};
const matmul: OpOf<"matmul"> = {
  kind: "matmul",
  a: f32(3, 4, 6),
  b: f32(3, 6, 5),
  y: f32(3, 4, 5),
  transposeA: 0,
  transposeB: 0,
};
const expertLinear: OpOf<"expert_linear"> = {
  kind: "expert_linear",
  x: f32(4, 64),
  weight: tensor("q8_0", 3, 5, 64),
  experts: i32(4, 2),
  bias: f32(3, 5),
  y: f32(8, 5),
};

function pairCase<K extends "add" | "mul">(kind: K): Case<OpOf<K>> {
  const op = { kind, a: f32(4, 6), b: f32(4, 6), y: f32(4, 6) } as OpOf<K>;
  return {
    good: [
      op,
      { ...op, b: f32(1, 6) },
      { ...op, b: f32(4, 1) },
      { ...op, a: f32(0, 6), y: f32(0, 6), b: f32(1, 6) },
    ],
    bad: [
      [{ b: f32(2, 6) } as Partial<OpOf<K>>, /b is f32\[2,6\].*a, f32\[4,6\]/],
      [{ b: f32(1, 1) } as Partial<OpOf<K>>, /b is f32\[1,1\]/],
      [{ b: f32(6) } as Partial<OpOf<K>>, /b is f32\[6\]/],
      [{ y: f32(6, 4) } as Partial<OpOf<K>>, /y is f32\[6,4\].*\[4,6\]/],
      [{ a: i32(4, 6) } as Partial<OpOf<K>>, /i32\[4,6\].*must be f32/],
    ],
  };
}

const cases: { readonly [K in Op["kind"]]: Case<OpOf<K>> } = {
  activation: {
    good: [{ kind: "activation", x: f32(3, 4), y: f32(3, 4), fn: "silu" }],
    bad: [
      [{ x: f32(12) }, /f32\[12\]/],
      [{ y: f32(3, 5) }, /y is f32\[3,5\].*\[3,4\]/],
      [{ x: tensor("f16", 3, 4) }, /f16\[3,4\].*must be f32/],
    ],
  },
  add: pairCase("add"),
  attend: {
    good: [
      attend,
      { ...attend, keys: f32(9, 2, 256, 8), values: f32(9, 2, 256, 6) },
      { ...attend, window: 7, softcap: 30 },
    ],
    bad: [
      [{ q: f32(5, 32) }, /q is f32\[5,32\]/],
      [{ q: f32(5, 3, 8), y: f32(5, 3, 6) }, /3 heads share 2 key heads/],
      [{ keys: tensor("f16", 9, 2, 16, 7) }, /keys is f16\[9,2,16,7\].*8\]/],
      [{ keys: tensor("bf16", 9, 2, 16, 8) }, /keys is bf16.*f32 or f16 or q8_0/],
      [{ values: tensor("f16", 8, 2, 16, 6) }, /values is f16\[8,2,16,6\].*\[9,2,16,any\]/],
      [{ pages: i32(8) }, /pages is i32\[8\]/],
      [{ pages: f32(2, 4) }, /pages is f32\[2,4\].*must be i32/],
      [{ spans: i32(3, 3) }, /spans is i32\[3,3\].*\[2,3\]/],
      [{ y: f32(5, 4, 8) }, /y is f32\[5,4,8\].*\[5,4,6\]/],
      [
        { keys: f32(9, 2, 48, 8), values: f32(9, 2, 48, 6) },
        /page of 48 does not divide 256 into runs of 16/,
      ],
      [{ scale: Number.NaN }, /scale is NaN/],
      [{ window: -1 }, /window is -1/],
      [{ window: 1.5 }, /window is 1.5/],
      [{ softcap: -2 }, /softcap is -2/],
      [{ softcap: Infinity }, /softcap is Infinity/],
      [{ causal: 2 }, /causal is 2, but must be 1 or 0/],
      [{ longest: -1 }, /-1 keys/],
      [{ longest: 65 }, /65 keys do not fit 4 pages of 16/],
    ],
  },
  cache_write: {
    good: [cacheWrite, { ...cacheWrite, keys: f32(9, 2, 16, 8), values: f32(9, 2, 16, 6) }],
    bad: [
      [{ k: f32(3, 16) }, /k is f32\[3,16\]/],
      [{ v: f32(3, 1, 6) }, /v is f32\[3,1,6\].*\[3,2,any\]/],
      [{ slots: i32(2) }, /slots is i32\[2\].*\[3\]/],
      [{ keys: tensor("q4_0", 9, 2, 16, 32), k: f32(3, 2, 32) }, /keys is q4_0/],
      [{ keys: f32(9, 2, 8, 8), values: f32(9, 2, 8, 6) }, /page of 8 does not divide 256 into runs of 16/],
      [{ values: tensor("f16", 9, 2, 8, 6) }, /values is f16\[9,2,8,6\].*\[9,2,16,6\]/],
    ],
  },
  checksum: {
    good: [
      { kind: "checksum", x: i32(16), y: i32(1, 2) },
      { kind: "checksum", x: i32(65552), y: i32(2, 2) },
      { kind: "checksum", x: i32(0), y: i32(0, 2) },
    ],
    bad: [
      [{ x: i32(17) }, /x is i32\[17\].*multiple of 16/],
      [{ x: f32(16) }, /x is f32\[16\].*must be i32/],
      [{ x: i32(65536 + 16) }, /y is i32\[1,2\].*\[2,2\]/],
    ],
  },
  combine: {
    good: [{ kind: "combine", x: f32(8, 5), weights: f32(4, 2), y: f32(4, 5) }],
    bad: [
      [{ x: f32(4, 5) }, /x is f32\[4,5\].*\[8,any\]/],
      [{ weights: i32(4, 2) }, /weights is i32\[4,2\]/],
      [{ y: f32(4, 6) }, /y is f32\[4,6\].*\[4,5\]/],
    ],
  },
  copy: {
    good: [
      { kind: "copy", x: f32(3, 4), y: f32(12) },
      { kind: "copy", x: i32(3), y: i32(3) },
    ],
    bad: [
      [{ y: f32(11) }, /f32\[3,4\].*f32\[11\]/],
      [{ y: i32(12) }, /f32\[3,4\].*i32\[12\]/],
      [{ y: panels("f32", 3, 4) }, /in panels/],
    ],
  },
  embed: {
    good: [
      { kind: "embed", table: tensor("q4_K", 9, 256), ids: i32(3), y: f32(3, 256) },
      { kind: "embed", table: panels("q4_K", 9, 256), ids: i32(3), y: f32(3, 256) },
    ],
    bad: [
      [{ table: i32(9, 256) }, /i32\[9,256\].*number format/],
      [{ ids: i32(3, 1) }, /ids is i32\[3,1\]/],
      [{ ids: f32(3) }, /ids is f32\[3\].*must be i32/],
      [{ y: f32(3, 128) }, /y is f32\[3,128\].*\[3,256\]/],
    ],
  },
  expert_linear: {
    good: [expertLinear, { ...expertLinear, x: f32(8, 64) }, { ...expertLinear, bias: undefined }],
    bad: [
      [{ weight: tensor("q8_0", 15, 64) }, /q8_0\[15,64\].*3 dimensions/],
      [{ x: f32(4, 32) }, /x is f32\[4,32\].*64\]/],
      [{ x: f32(3, 64) }, /x has 3 rows.*experts is i32\[4,2\]/],
      [{ experts: i32(8) }, /experts is i32\[8\]/],
      [{ y: f32(4, 5) }, /y is f32\[4,5\].*\[8,5\]/],
      [{ bias: f32(5) }, /bias is f32\[5\].*\[3,5\]/],
    ],
  },
  gated: {
    good: [{ kind: "gated", gate: f32(3, 4), up: f32(3, 4), y: f32(3, 4), fn: "gelu" }],
    bad: [
      [{ up: f32(4, 3) }, /up is f32\[4,3\].*\[3,4\]/],
      [{ y: f32(4, 3) }, /y is f32\[4,3\].*\[3,4\]/],
    ],
  },
  gather: {
    good: [{ kind: "gather", x: f32(9, 4), index: i32(3), y: f32(3, 4) }],
    bad: [
      [{ x: tensor("f16", 9, 4) }, /x is f16\[9,4\]/],
      [{ index: f32(3) }, /index is f32\[3\]/],
      [{ y: f32(2, 4) }, /y is f32\[2,4\].*\[3,4\]/],
    ],
  },
  layernorm: {
    good: [
      { kind: "layernorm", x: f32(6, 4), weight: f32(1, 4), bias: f32(1, 4), y: f32(6, 4), eps: 1e-5 },
      { kind: "layernorm", x: f32(6, 4), weight: f32(3, 4), y: f32(6, 4), eps: 0 },
    ],
    bad: [
      [{ bias: f32(1, 5) }, /bias is f32\[1,5\].*\[1,4\]/],
      [{ weight: f32(4) }, /weight is f32\[4\]/],
      [{ eps: Number.NaN }, /eps is NaN/],
    ],
  },
  linear: {
    good: [
      { kind: "linear", x: f32(3, 64), weight: tensor("q4_0", 7, 64), bias: f32(7), y: f32(3, 7) },
      { kind: "linear", x: f32(0, 64), weight: panels("q4_0", 7, 64), y: f32(0, 7) },
    ],
    bad: [
      [{ x: f32(3, 32) }, /x is f32\[3,32\].*64\]/],
      [{ weight: i32(7, 64) }, /weight is i32\[7,64\].*number format/],
      [{ weight: tensor("q4_0", 1, 7, 64) }, /weight is q4_0\[1,7,64\].*2 dimensions/],
      [{ bias: f32(1, 7) }, /bias is f32\[1,7\].*\[7\]/],
      [{ y: f32(7, 3) }, /y is f32\[7,3\].*\[3,7\]/],
      [{ x: panels("f32", 3, 64) }, /x is f32\[3,64\] in panels/],
    ],
  },
  matmul: {
    good: [
      matmul,
      { ...matmul, c: f32(3, 4, 5) },
      { ...matmul, a: tensor("bf16", 1, 4, 6), b: tensor("bf16", 3, 6, 5) },
      { ...matmul, b: f32(1, 6, 5) },
      { ...matmul, a: f32(3, 6, 4), transposeA: 1 },
      { ...matmul, b: f32(3, 5, 6), transposeB: 1 },
      { ...matmul, a: f32(3, 4, 0), b: f32(3, 0, 5) },
    ],
    bad: [
      [{ a: f32(4, 6) }, /a is f32\[4,6\]/],
      [{ a: tensor("f16", 3, 4, 6) }, /a is f16\[3,4,6\].*f32 or bf16/],
      [{ b: tensor("q8_0", 3, 6, 32) }, /b is q8_0/],
      [{ b: panels("f32", 3, 6, 5) }, /b is f32\[3,6,5\] in panels/],
      [{ b: f32(3, 5, 6) }, /a, f32\[3,4,6\], sums over 6.*b, f32\[3,5,6\], over 5/],
      [{ transposeA: 1 }, /sums over 4.*over 6/],
      [{ transposeB: 1 }, /sums over 6.*over 5/],
      [{ transposeA: 2 }, /transposeA is 2/],
      [{ transposeB: Number.NaN }, /transposeB is NaN/],
      [{ b: f32(2, 6, 5) }, /a, f32\[3,4,6\], and b, f32\[2,6,5\].*batches/],
      [{ y: f32(3, 5, 4) }, /y is f32\[3,5,4\].*\[3,4,5\]/],
      [{ c: f32(1, 4, 5) }, /c is f32\[1,4,5\].*\[3,4,5\]/],
    ],
  },
  mul: pairCase("mul"),
  pack: {
    good: [{ kind: "pack", x: tensor("q8_0", 3, 64), y: panels("q8_0", 3, 64) }],
    bad: [
      [{ y: tensor("q8_0", 3, 64) }, /q8_0\[3,64\]/],
      [{ x: panels("q8_0", 3, 64) }, /in panels/],
      [{ y: panels("q8_0", 6, 32) }, /q8_0\[6,32\] in panels/],
      [{ y: panels("q4_0", 3, 64) }, /q4_0\[3,64\] in panels/],
    ],
  },
  rmsnorm: {
    good: [
      { kind: "rmsnorm", x: f32(6, 4), weight: f32(1, 4), y: f32(6, 4), eps: 1e-5 },
      { kind: "rmsnorm", x: f32(6, 4), weight: f32(2, 4), y: f32(6, 4), eps: 1e-5 },
    ],
    bad: [
      [{ weight: f32(4, 4) }, /6 rows of x.*4 rows of weight/],
      [{ weight: f32(0, 4) }, /0 rows of weight/],
      [{ weight: f32(1, 5) }, /weight is f32\[1,5\].*4\]/],
      [{ y: f32(6, 5) }, /y is f32\[6,5\].*\[6,4\]/],
      [{ eps: -1 }, /eps is -1/],
      [{ eps: Infinity }, /eps is Infinity/],
    ],
  },
  rope: {
    good: [rope, { ...rope, cos: f32(5, 2), sin: f32(5, 2), style: "interleaved" }],
    bad: [
      [{ x: f32(5, 32) }, /x is f32\[5,32\]/],
      [{ cos: f32(4, 4) }, /cos is f32\[4,4\].*\[5,any\]/],
      [{ sin: f32(5, 3) }, /sin is f32\[5,3\].*\[5,4\]/],
      [{ cos: f32(5, 5), sin: f32(5, 5) }, /cos is f32\[5,5\].*heads of 8/],
      [{ y: f32(5, 4, 6) }, /y is f32\[5,4,6\].*\[5,4,8\]/],
    ],
  },
  route: {
    good: [{ kind: "route", logits: f32(3, 8), experts: i32(3, 2), weights: f32(3, 2), normalize: 1 }],
    bad: [
      [{ experts: i32(3, 9), weights: f32(3, 9) }, /cannot pick 9 of 8/],
      [{ experts: i32(3, 0), weights: f32(3, 0) }, /cannot pick 0 of 8/],
      [{ experts: f32(3, 2) }, /experts is f32\[3,2\].*must be i32/],
      [{ weights: f32(2, 2) }, /weights is f32\[2,2\].*\[3,2\]/],
    ],
  },
  scale: {
    good: [{ kind: "scale", x: f32(3, 4), y: f32(3, 4), factor: 2 }],
    bad: [
      [{ y: f32(4, 3) }, /y is f32\[4,3\].*\[3,4\]/],
      [{ factor: Number.NaN }, /factor is NaN/],
    ],
  },
  softcap: {
    good: [{ kind: "softcap", x: f32(3, 4), y: f32(3, 4), cap: 30 }],
    bad: [
      [{ cap: 0 }, /cap is 0/],
      [{ cap: Number.NaN }, /cap is NaN/],
      [{ cap: Infinity }, /cap is Infinity/],
      [{ y: f32(4, 3) }, /y is f32\[4,3\].*\[3,4\]/],
    ],
  },
};

describe.each(Object.keys(definitions) as Op["kind"][])("%s", (kind) => {
  const { good, bad } = cases[kind] as unknown as Case<Op>;

  it("accepts what it is defined for", () => {
    for (const op of good) expect(() => definitionOf(op).check(op)).not.toThrow();
  });

  it.each(bad.map(([change, names]) => ({ change, names })))("refuses: $names", ({ change, names }) => {
    const op = { ...good[0], ...change } as Op;
    let refusal: unknown;
    try {
      definitionOf(op).check(op);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(OpError);
    expect((refusal as OpError).op).toBe(kind);
    expect((refusal as OpError).message).toMatch(names);
  });
});
