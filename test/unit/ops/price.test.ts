/** Prices: bytes and operations counted by hand from the shapes. */
import { expect, it } from "vitest";
import { type DType, type Op, priceOf, Tensor } from "../../../src/ops/index.ts";

const tensor = (dtype: DType, ...shape: number[]): Tensor =>
  new Tensor(dtype, shape, { id: 1, bytes: 1 << 30 });
const f32 = (...shape: number[]): Tensor => tensor("f32", ...shape);
const i32 = (...shape: number[]): Tensor => tensor("i32", ...shape);

const attend = {
  kind: "attend",
  q: f32(1, 4, 8),
  keys: tensor("f16", 100, 2, 16, 8),
  values: tensor("f16", 100, 2, 16, 8),
  pages: i32(1, 100),
  spans: i32(1, 3),
  y: f32(1, 4, 8),
  scale: 1,
  window: 0,
  softcap: 0,
  longest: 50,
  causal: 1,
  sharedRows: 0,
} as const;

const table = f32(1000, 8);

const cases: readonly (readonly [what: string, op: Op, bytes: number, operations: number])[] = [
  [
    "linear reads the weight once for all rows",
    {
      kind: "linear",
      x: f32(3, 64),
      weight: tensor("q8_0", 10, 64),
      bias: f32(10),
      y: f32(3, 10),
      precision: "f32",
    },
    3 * 64 * 4 + 10 * 2 * 34 + 40 + 120,
    2 * 3 * 64 * 10,
  ],
  [
    "matmul reads a matrix that serves all of a batch once, and what it adds to",
    {
      kind: "matmul",
      a: f32(3, 6, 4),
      b: tensor("bf16", 1, 6, 5),
      c: f32(3, 4, 5),
      y: f32(3, 4, 5),
      transposeA: 1,
      transposeB: 0,
      precision: "f32",
    },
    4 * 72 + 2 * 30 + 2 * 4 * 60,
    2 * 3 * 4 * 6 * 5,
  ],
  [
    "scatter_add touches the rows that it adds to",
    {
      kind: "scatter_add",
      ...{ x: f32(2, 8), index: i32(2), c: table, y: table },
    },
    8 + 64 + 128,
    16,
  ],
  [
    "scatter_add to new memory writes all of it",
    { kind: "scatter_add", x: f32(2, 8), index: i32(2), y: f32(1000, 8) },
    8 + 64 + 32_000,
    16,
  ],
  [
    "attend_within sees half of its square of keys",
    {
      kind: "attend_within",
      ...{ q: f32(10, 4, 8), k: f32(10, 2, 8), v: f32(10, 2, 6), offsets: i32(2), y: f32(10, 4, 6) },
      ...{ lse: f32(10, 4), scale: 1, window: 0, softcap: 0, causal: 1, longest: 10 },
    },
    4 * (320 + 160 + 120 + 2 + 240 + 40),
    2 * 4 * 14 * 55,
  ],
  ["sum", { kind: "sum", x: f32(5, 8), c: f32(1, 8), y: f32(1, 8) }, 160 + 64, 40],
  ["checksum reads", { kind: "checksum", x: i32(32), y: i32(1, 2) }, 32 * 4 + 8, 3 * 32],
  ["copy reads and writes", { kind: "copy", x: i32(5), y: i32(5) }, 40, 0],
  [
    "embed reads only the rows it needs",
    { kind: "embed", table: tensor("f16", 1000, 8), ids: i32(2), y: f32(2, 8) },
    8 + 64 + 2 * 16,
    0,
  ],
  ["gather too", { kind: "gather", x: f32(1000, 8), index: i32(2), y: f32(2, 8) }, 8 + 64 + 64, 0],
  [
    "expert_linear reads at most the experts that its rows pick",
    { kind: "expert_linear", x: f32(1, 32), weight: f32(8, 4, 32), experts: i32(1, 2), y: f32(2, 4) },
    128 + 8 + 32 + 2 * 4 * 32 * 4,
    2 * 2 * 4 * 32,
  ],
  [
    "expert_linear with many rows reads each expert once",
    { kind: "expert_linear", x: f32(50, 32), weight: f32(8, 4, 32), experts: i32(50, 2), y: f32(100, 4) },
    50 * 128 + 400 + 100 * 16 + 8 * 4 * 32 * 4,
    2 * 100 * 4 * 32,
  ],
  [
    "attend reads the keys of the sequence, not the cache",
    attend,
    128 + 128 + 50 * 2 * (16 + 16),
    2 * 4 * 16 * 50,
  ],
  [
    "attend reads no more than the window",
    { ...attend, window: 20 },
    128 + 128 + 20 * 2 * (16 + 16),
    2 * 4 * 16 * 20,
  ],
  [
    "attend to both sides reads two windows",
    { ...attend, window: 20, causal: 0 },
    128 + 128 + 39 * 2 * (16 + 16),
    2 * 4 * 16 * 39,
  ],
  [
    "cache_write of q8_0 writes codes and scales",
    {
      kind: "cache_write",
      k: f32(1, 2, 32),
      v: f32(1, 2, 32),
      slots: i32(1),
      keys: tensor("q8_0", 100, 2, 16, 32),
      values: tensor("q8_0", 100, 2, 16, 32),
    },
    2 * (256 + 68),
    0,
  ],
  [
    "cache_write touches what it writes, not the cache",
    {
      kind: "cache_write",
      k: f32(1, 2, 8),
      v: f32(1, 2, 8),
      slots: i32(1),
      keys: f32(100, 2, 16, 8),
      values: f32(100, 2, 16, 8),
    },
    2 * (64 + 64),
    0,
  ],
];

it.each(cases)("%s", (_, op, bytes, operations) => {
  expect(priceOf(op)).toEqual({ bytes, operations });
});

it("an op on no rows costs no operations", () => {
  const price = priceOf({ kind: "rmsnorm", x: f32(0, 8), weight: f32(1, 8), y: f32(0, 8), eps: 0 });
  expect(price).toEqual({ bytes: 32, operations: 0 });
});
