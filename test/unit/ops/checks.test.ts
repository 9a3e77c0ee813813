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
  precision: "f32",
};
const adamw: OpOf<"adamw"> = {
  kind: "adamw",
  gradient: f32(12),
  rates: f32(3),
  factor: f32(1),
  weight: f32(3, 4),
  mean: f32(12),
  square: f32(12),
  copy: tensor("bf16", 3, 4),
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  decay: 0.1,
};
const expertLinear: OpOf<"expert_linear"> = {
  kind: "expert_linear",
  x: f32(4, 64),
  weight: tensor("q8_0", 3, 5, 64),
  experts: i32(4, 2),
  bias: f32(3, 5),
  y: f32(8, 5),
};

const within: OpOf<"attend_within"> = {
  kind: "attend_within",
  q: f32(5, 4, 8),
  k: f32(5, 2, 8),
  v: f32(5, 2, 6),
  offsets: i32(3),
  y: f32(5, 4, 6),
  lse: f32(5, 4),
  scale: 0.3,
  window: 0,
  softcap: 0,
  causal: 1,
  longest: 5,
};
const withinBad: readonly (readonly [Partial<Omit<OpOf<"attend_within">, "kind">>, RegExp])[] = [
  [{ q: f32(5, 32) }, /q is f32\[5,32\]/],
  [{ q: f32(5, 3, 8), y: f32(5, 3, 6), lse: f32(5, 3) }, /3 heads share 2 key heads/],
  [{ k: f32(5, 2, 7) }, /k is f32\[5,2,7\].*\[5,any,8\]/],
  [{ v: f32(4, 2, 6) }, /v is f32\[4,2,6\].*\[5,2,any\]/],
  [{ offsets: f32(3) }, /offsets is f32\[3\].*must be i32/],
  [{ offsets: i32(0) }, /offsets is i32\[0\].*one entry more/],
  [{ y: f32(5, 4, 8) }, /y is f32\[5,4,8\].*\[5,4,6\]/],
  [{ lse: f32(5, 1) }, /lse is f32\[5,1\].*\[5,4\]/],
  [{ scale: Infinity }, /scale is Infinity/],
  [{ window: 1.5 }, /window is 1.5/],
  [{ softcap: -1 }, /softcap is -1/],
  [{ causal: 2 }, /causal is 2/],
  [{ longest: 6 }, /longest is 6, but there are 5 rows/],
];
const withinGrad: OpOf<"attend_within_grad"> = {
  ...within,
  kind: "attend_within_grad",
  dy: within.y,
  dq: within.q,
  dk: within.k,
  dv: within.v,
};
const crossEntropy = {
  ...{ logits: f32(3, 7), targets: i32(3), lse: f32(3, 1), smoothing: 0.1, ignore: -100 },
};
const crossEntropyBad = [
  [{ logits: f32(3, 0) }, /logits is f32\[3,0\]/],
  [{ targets: i32(4) }, /targets is i32\[4\].*\[3\]/],
  [{ targets: f32(3) }, /targets is f32\[3\].*must be i32/],
  [{ lse: f32(3) }, /lse is f32\[3\].*\[3,1\]/],
  [{ smoothing: 1 }, /smoothing is 1/],
  [{ smoothing: -0.1 }, /smoothing is -0.1/],
  [{ ignore: 0.5 }, /ignore is 0.5/],
] as const;
const divergence = { logits: f32(3, 7), teacher: f32(3, 7), lse: f32(3, 2), temperature: 2 };
const divergenceBad = [
  [{ teacher: f32(3, 8) }, /teacher is f32\[3,8\].*\[3,7\]/],
  [{ lse: f32(3, 1) }, /lse is f32\[3,1\].*\[3,2\]/],
  [{ temperature: 0 }, /temperature is 0/],
  [{ temperature: Infinity }, /temperature is Infinity/],
] as const;

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
  activation_grad: {
    good: [{ kind: "activation_grad", x: f32(3, 4), dy: f32(3, 4), dx: f32(3, 4), fn: "gelu" }],
    bad: [
      [{ x: f32(12) }, /x is f32\[12\]/],
      [{ dy: f32(4, 3) }, /dy is f32\[4,3\].*\[3,4\]/],
      [{ dx: f32(4, 3) }, /dx is f32\[4,3\].*\[3,4\]/],
    ],
  },
  adamw: {
    good: [adamw, { ...adamw, copy: undefined, decay: 0 }],
    bad: [
      [{ gradient: f32(11) }, /gradient is f32\[11\].*12 elements/],
      [{ mean: tensor("bf16", 12) }, /mean is bf16\[12\].*f32/],
      [{ weight: panels("f32", 3, 4) }, /weight is f32\[3,4\] in panels/],
      [{ copy: f32(12) }, /copy is f32\[12\].*bf16 with 12/],
      [{ rates: f32(2) }, /rates is f32\[2\].*\[3\]/],
      [{ factor: f32(2) }, /factor is f32\[2\].*\[1\]/],
      [{ beta1: 1 }, /beta1 is 1, but must be in \[0, 1\)/],
      [{ beta2: Number.NaN }, /beta2 is NaN/],
      [{ eps: -1 }, /eps is -1/],
      [{ decay: Infinity }, /decay is Infinity/],
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
  attend_within: {
    good: [within, { ...within, causal: 0, window: 3, softcap: 20 }, { ...within, longest: 0 }],
    bad: withinBad,
  },
  attend_within_grad: {
    good: [withinGrad],
    bad: [
      ...withinBad,
      [{ dy: f32(5, 4, 8) }, /dy is f32\[5,4,8\].*\[5,4,6\]/],
      [{ dq: f32(5, 2, 8) }, /dq is f32\[5,2,8\].*\[5,4,8\]/],
      [{ dk: f32(5, 4, 8) }, /dk is f32\[5,4,8\].*\[5,2,8\]/],
      [{ dv: f32(5, 2, 8) }, /dv is f32\[5,2,8\].*\[5,2,6\]/],
    ],
  },
  average: {
    good: [{ kind: "average", x: f32(3, 4), rate: f32(1), y: f32(12) }],
    bad: [
      [{ x: f32(3, 5) }, /x is f32\[3,5\].*12 elements/],
      [{ rate: f32(1, 1) }, /rate is f32\[1,1\].*\[1\]/],
      [{ y: tensor("bf16", 12) }, /y is bf16\[12\]/],
    ],
  },
  block_softmax: {
    good: [
      { kind: "block_softmax", x: f32(3, 130), scales: f32(3, 2), y: f32(3, 3, 3) },
      { kind: "block_softmax", x: f32(3, 64), scales: f32(3, 0), y: f32(3, 1, 1) },
    ],
    bad: [
      [{ x: tensor("f16", 3, 130) }, /x is f16\[3,130\].*must be f32/],
      [{ scales: f32(2, 2) }, /scales is f32\[2,2\].*\[3,any\]/],
      [{ y: f32(3, 3, 2) }, /y is f32\[3,3,2\].*\[3,3,3\]/],
      [{ y: f32(3, 2, 3) }, /y is f32\[3,2,3\].*\[3,3,3\]/],
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
  cast: {
    good: [
      { kind: "cast", x: f32(3, 4), y: tensor("bf16", 12) },
      { kind: "cast", x: tensor("bf16", 3, 4), y: f32(3, 4) },
    ],
    bad: [
      [{ y: f32(12) }, /f32\[3,4\] cannot be cast to f32\[12\]/],
      [{ y: tensor("f16", 12) }, /f16\[12\]/],
      [{ y: tensor("bf16", 11) }, /bf16\[11\]/],
      [{ x: panels("f32", 3, 4) }, /in panels/],
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
  clip: {
    good: [
      { kind: "clip", squares: f32(1), y: f32(1), scale: 0.5, limit: 1 },
      { kind: "clip", squares: f32(1), y: f32(1), scale: 1, limit: Infinity },
    ],
    bad: [
      [{ squares: f32(2) }, /squares is f32\[2\].*\[1\]/],
      [{ y: i32(1) }, /y is i32\[1\]/],
      [{ scale: 0 }, /scale is 0/],
      [{ scale: Infinity }, /scale is Infinity/],
      [{ limit: Number.NaN }, /limit is NaN/],
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
      [{ x: tensor("i8_row", 3, 4), y: tensor("i8_row", 4, 3) }, /cannot be copied/],
    ],
  },
  cross_entropy: {
    good: [{ kind: "cross_entropy", ...crossEntropy, loss: f32(3, 1) }],
    bad: [...crossEntropyBad, [{ loss: f32(3, 7) }, /loss is f32\[3,7\].*\[3,1\]/]],
  },
  cross_entropy_grad: {
    good: [{ kind: "cross_entropy_grad", ...crossEntropy, dloss: f32(3, 1), dlogits: f32(3, 7) }],
    bad: [
      ...crossEntropyBad,
      [{ dloss: f32(1, 3) }, /dloss is f32\[1,3\].*\[3,1\]/],
      [{ dlogits: f32(3, 6) }, /dlogits is f32\[3,6\].*\[3,7\]/],
    ],
  },
  embed: {
    good: [
      { kind: "embed", table: tensor("q4_K", 9, 256), ids: i32(3), y: f32(3, 256) },
      { kind: "embed", table: panels("q4_K", 9, 256), ids: i32(3), y: f32(3, 256) },
    ],
    bad: [
      [{ table: tensor("q4_K", 0, 256) }, /no rows to read/],
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
  gated_grad: {
    good: [
      {
        ...{ kind: "gated_grad", gate: f32(3, 4), up: f32(3, 4), dy: f32(3, 4) },
        ...{ dgate: f32(3, 4), dup: f32(3, 4), fn: "silu" },
      },
    ],
    bad: (["up", "dy", "dgate", "dup"] as const).map((field) => [
      { [field]: f32(4, 3) },
      new RegExp(`${field} is f32\\[4,3\\].*\\[3,4\\]`),
    ]),
  },
  gather: {
    good: [{ kind: "gather", x: f32(9, 4), index: i32(3), y: f32(3, 4) }],
    bad: [
      [{ x: f32(0, 4) }, /no rows to read/],
      [{ x: tensor("f16", 9, 4) }, /x is f16\[9,4\]/],
      [{ index: f32(3) }, /index is f32\[3\]/],
      [{ y: f32(2, 4) }, /y is f32\[2,4\].*\[3,4\]/],
    ],
  },
  kl_divergence: {
    good: [{ kind: "kl_divergence", ...divergence, loss: f32(3, 1) }],
    bad: [...divergenceBad, [{ loss: f32(3, 2) }, /loss is f32\[3,2\].*\[3,1\]/]],
  },
  kl_divergence_grad: {
    good: [{ kind: "kl_divergence_grad", ...divergence, dloss: f32(3, 1), dlogits: f32(3, 7) }],
    bad: [
      ...divergenceBad,
      [{ dloss: f32(3, 2) }, /dloss is f32\[3,2\].*\[3,1\]/],
      [{ dlogits: f32(3, 6) }, /dlogits is f32\[3,6\].*\[3,7\]/],
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
      {
        kind: "linear",
        x: f32(3, 64),
        weight: tensor("q4_0", 7, 64),
        bias: f32(7),
        y: f32(3, 7),
        precision: "f32",
      },
      { kind: "linear", x: f32(0, 64), weight: panels("q4_0", 7, 64), y: f32(0, 7), precision: "f32" },
    ],
    bad: [
      [{ precision: "bf16" }, /weight is q4_0\[7,64\].*only float formats/],
      [{ x: f32(3, 32) }, /x is f32\[3,32\].*64\]/],
      [{ weight: i32(7, 64) }, /weight is i32\[7,64\].*number format/],
      [{ weight: tensor("q4_0", 1, 7, 64) }, /weight is q4_0\[1,7,64\].*2 dimensions/],
      [{ weight: tensor("i8_row", 7, 2 ** 17 + 1) }, /rows of i8_row may have 131072 elements/],
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
      { ...matmul, precision: "bf16" },
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
  norm_grad: {
    good: [
      {
        ...{ kind: "norm_grad", x: f32(6, 4), weight: f32(1, 4), dy: f32(6, 4), c: f32(6, 4) },
        ...{ dx: f32(6, 4), eps: 1e-5, norm: "rms" },
      },
      {
        ...{ kind: "norm_grad", x: f32(6, 4), weight: f32(3, 4), dy: f32(6, 4) },
        ...{ dx: f32(6, 4), eps: 0, norm: "layer" },
      },
    ],
    bad: [
      [{ weight: f32(4, 4) }, /6 rows of x.*4 rows of the weight/],
      [{ weight: f32(4) }, /weight is f32\[4\]/],
      [{ dy: f32(4, 6) }, /dy is f32\[4,6\].*\[6,4\]/],
      [{ c: f32(1, 4) }, /c is f32\[1,4\].*\[6,4\]/],
      [{ dx: f32(6, 5) }, /dx is f32\[6,5\].*\[6,4\]/],
      [{ eps: -1 }, /eps is -1/],
    ],
  },
  norm_weight_grad: {
    good: [
      {
        ...{ kind: "norm_weight_grad", x: f32(6, 4), dy: f32(6, 4), c: f32(2, 4) },
        ...{ dweight: f32(2, 4), eps: 1e-5, norm: "rms" },
      },
    ],
    bad: [
      [{ dweight: f32(4, 4) }, /6 rows of x.*4 rows of the weight/],
      [{ dy: f32(4, 6) }, /dy is f32\[4,6\].*\[6,4\]/],
      [{ c: f32(1, 4) }, /c is f32\[1,4\].*\[2,4\]/],
      [{ eps: Number.NaN }, /eps is NaN/],
    ],
  },
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
  scatter_add: {
    good: [
      { kind: "scatter_add", x: f32(3, 4), index: i32(3), y: f32(9, 4) },
      { kind: "scatter_add", x: f32(3, 4), index: i32(3), c: f32(9, 4), y: f32(9, 4) },
    ],
    bad: [
      [{ x: i32(3, 4) }, /x is i32\[3,4\]/],
      [{ index: i32(4) }, /index is i32\[4\].*\[3\]/],
      [{ y: f32(9, 5) }, /y is f32\[9,5\].*\[any,4\]/],
      [{ c: f32(8, 4) }, /c is f32\[8,4\].*\[9,4\]/],
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
  sum: {
    good: [
      { kind: "sum", x: f32(3, 4), y: f32(1, 4) },
      { kind: "sum", x: f32(3, 4), c: f32(3, 1), y: f32(3, 1) },
      { kind: "sum", x: f32(3, 4), y: f32(1, 1) },
      { kind: "sum", x: f32(0, 4), y: f32(1, 4) },
    ],
    bad: [
      [{ x: f32(12) }, /x is f32\[12\]/],
      [{ y: f32(2, 4) }, /y is f32\[2,4\].*f32\[3,4\]/],
      [{ y: f32(1, 3) }, /y is f32\[1,3\].*f32\[3,4\]/],
      [{ c: f32(3, 1) }, /c is f32\[3,1\].*\[1,4\]/],
    ],
  },
  sum_squares: {
    good: [
      { kind: "sum_squares", x: f32(3, 4), y: f32(1) },
      { kind: "sum_squares", x: f32(0), c: f32(1), y: f32(1) },
    ],
    bad: [
      [{ x: tensor("bf16", 3, 4) }, /x is bf16/],
      [{ c: f32(2) }, /c is f32\[2\].*\[1\]/],
      [{ y: f32(3) }, /y is f32\[3\].*\[1\]/],
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
