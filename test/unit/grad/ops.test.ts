/** The adjoint of every kind of op against central differences in f64, and what has none. */
import { describe, expect, it } from "vitest";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import { adjoints } from "../../../src/grad/adjoints.ts";
import {
  activation,
  activations,
  add,
  attendWithin,
  cast,
  combine,
  crossEntropy,
  embed,
  expertLinear,
  gated,
  gather,
  klDivergence,
  layerNorm,
  linear,
  matmul,
  mul,
  type OpKind,
  rmsNorm,
  rope,
  route,
  type Stream,
  scale,
  scatterAdd,
  softcap,
  sum,
  type Tensor,
} from "../../../src/ops/index.ts";
import { checkGradients, type Forward, gradientsOn, type Values, weighted } from "../../support/gradients.ts";
import { Random } from "../../support/random.ts";

const random = new Random(1);
const normal = (...shape: number[]): Values => ({
  shape,
  values: random.normals(shape.reduce((n, d) => n * d, 1)),
});

interface Case {
  readonly what: string;
  readonly kinds: readonly OpKind[];
  readonly values: Readonly<Record<string, Values>>;
  readonly forward: Forward;
}

const one = (
  kind: OpKind,
  what: string,
  values: Readonly<Record<string, Values>>,
  y: (s: Stream, p: Readonly<Record<string, Tensor>>) => Tensor,
): Case => ({ what, kinds: [kind], values, forward: (s, p) => weighted(s, y(s, p)) });

const ids = (s: Stream, ...list: number[]): Tensor => s.constant(Int32Array.from(list));
const angles = random.normals(5 * 3);
const teacher = random.normals(4 * 7);
const causal = { scale: 0.4, window: 0, softcap: 0, causal: 1, longest: 5 };
const heads = { q: normal(9, 4, 6), k: normal(9, 2, 6), v: normal(9, 2, 5) };
const offsets = [0, 4, 4, 9];

const cases: readonly Case[] = [
  ...activations.map((fn) => one("activation", fn, { x: normal(3, 8) }, (s, { x }) => activation(s, x!, fn))),
  ...activations.map((fn) =>
    one("gated", fn, { gate: normal(3, 8), up: normal(3, 8) }, (s, p) => gated(s, p.gate!, p.up!, fn)),
  ),
  one("add", "alike", { a: normal(3, 4), b: normal(3, 4) }, (s, { a, b }) => add(s, a!, b!)),
  one("add", "a row", { a: normal(3, 4), b: normal(1, 4) }, (s, { a, b }) => add(s, a!, b!)),
  one("add", "a column", { a: normal(3, 4), b: normal(3, 1) }, (s, { a, b }) => add(s, a!, b!)),
  one("add", "to itself", { a: normal(3, 4) }, (s, { a }) => add(s, a!, a!)),
  one("mul", "alike", { a: normal(3, 4), b: normal(3, 4) }, (s, { a, b }) => mul(s, a!, b!)),
  one("mul", "a row", { a: normal(3, 4), b: normal(1, 4) }, (s, { a, b }) => mul(s, a!, b!)),
  one("mul", "a column", { a: normal(3, 4), b: normal(3, 1) }, (s, { a, b }) => mul(s, a!, b!)),
  one("mul", "by itself", { a: normal(3, 4) }, (s, { a }) => mul(s, a!, a!)),
  one("scale", "", { x: normal(3, 4) }, (s, { x }) => scale(s, x!, -1.7)),
  one("softcap", "", { x: normal(3, 4) }, (s, { x }) => softcap(s, x!, 1.3)),
  one("linear", "with bias", { x: normal(3, 5), w: normal(4, 5), b: normal(4) }, (s, { x, w, b }) =>
    linear(s, x!, w!, b),
  ),
  one("linear", "rows of a weight", { x: normal(3, 5), w: normal(4, 5) }, (s, { x, w }) =>
    add(s, linear(s, x!, w!.rows(0, 2)), linear(s, x!, w!.rows(1, 3))),
  ),
  one("embed", "a token twice", { table: normal(6, 4) }, (s, { table }) =>
    embed(s, table!, ids(s, 2, 5, 2, 0)),
  ),
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      (
        [
          [2, 2],
          [1, 3],
          [3, 1],
        ] as const
      ).map(([i, j]) =>
        one(
          "matmul",
          `batches ${i}, ${j}, transposed ${transposeA}, ${transposeB}`,
          {
            a: transposeA ? normal(i, 4, 3) : normal(i, 3, 4),
            b: transposeB ? normal(j, 5, 4) : normal(j, 4, 5),
            c: normal(Math.max(i, j), 3, 5),
          },
          (s, { a, b, c }) => matmul(s, a!, b!, { transposeA, transposeB, c }),
        ),
      ),
    ),
  ),
  ...[0, 1].map((normalize) =>
    one(
      "route",
      `normalize ${normalize}`,
      { logits: normal(5, 4) },
      (s, { logits }) => route(s, logits!, 2, normalize === 1).weights,
    ),
  ),
  one("combine", "", { x: normal(6, 4), weights: normal(3, 2) }, (s, { x, weights }) =>
    combine(s, x!, weights!),
  ),
  ...(
    [
      ["a row for all picks", 4, 2],
      ["a row for each pick", 8, 2],
      ["one pick", 4, 1],
    ] as const
  ).map(([what, rows, picks]) =>
    one(
      "expert_linear",
      what,
      { x: normal(rows, 5), weight: normal(3, 6, 5), bias: normal(3, 6) },
      (s, { x, weight, bias }) => {
        const experts = ids(s, 0, 2, 2, 1, 1, 0, 0, 2).reshape(4, 2);
        return expertLinear(s, x!, weight!, picks === 2 ? experts : ids(s, 2, 0, 1, 2).reshape(4, 1), bias);
      },
    ),
  ),
  one("gather", "a row twice", { x: normal(5, 3) }, (s, { x }) => gather(s, x!, ids(s, 1, 4, 1))),
  one("copy", "two halves of one", { a: normal(2, 3), b: normal(2, 3) }, (s, { a, b }) => {
    const y = s.empty("f32", [4, 3]);
    s.push({ kind: "copy", x: a!, y: y.rows(2, 4) });
    s.push({ kind: "copy", x: b!, y: y.rows(0, 2) });
    return mul(s, y, y);
  }),
  one("copy", "parts of one, overlapping", { a: normal(4, 3) }, (s, { a }) => {
    const y = scale(s, a!, 2);
    return mul(s, add(s, y.rows(0, 3), y.rows(1, 4)), y.rows(1, 4));
  }),
  ...(
    [
      [3, 4],
      [1, 4],
      [3, 1],
      [1, 1],
    ] as const
  ).map((shape) =>
    one("sum", `to [${shape}]`, { x: normal(3, 4), c: normal(...shape) }, (s, { x, c }) =>
      sum(s, x!, shape, { c }),
    ),
  ),
  one("scatter_add", "", { x: normal(3, 4), c: normal(5, 4) }, (s, { x, c }) =>
    scatterAdd(s, x!, ids(s, 3, 0, 3), 5, { c }),
  ),
  one("rmsnorm", "", { x: normal(3, 6), w: normal(1, 6) }, (s, { x, w }) => rmsNorm(s, x!, w!, 1e-2)),
  one("rmsnorm", "heads", { x: normal(6, 4), w: normal(3, 4) }, (s, { x, w }) => rmsNorm(s, x!, w!, 1e-5)),
  one("layernorm", "", { x: normal(3, 6), w: normal(1, 6), b: normal(1, 6) }, (s, { x, w, b }) =>
    layerNorm(s, x!, w!, b!, 1e-2),
  ),
  one("layernorm", "heads", { x: normal(6, 4), w: normal(3, 4), b: normal(3, 4) }, (s, { x, w, b }) =>
    layerNorm(s, x!, w!, b!, 1e-5),
  ),
  ...(["half", "interleaved"] as const).map((style) =>
    one("rope", style, { x: normal(5, 2, 8) }, (s, { x }) => {
      const cos = s.constant(angles.map(Math.cos), [5, 3]);
      const sin = s.constant(
        angles.map((v) => 1.5 * Math.sin(v)),
        [5, 3],
      );
      return rope(s, x!, cos, sin, style);
    }),
  ),
  ...[
    causal,
    { ...causal, window: 2 },
    { ...causal, softcap: 1.5 },
    { ...causal, causal: 0 },
    { ...causal, causal: 0, window: 2, softcap: 2 },
  ].map((options) =>
    one("attend_within", JSON.stringify(options), heads, (s, { q, k, v }) => {
      return attendWithin(s, { q: q!, k: k!, v: v! }, ids(s, ...offsets), options).y;
    }),
  ),
  ...[0, 0.2].map((smoothing) =>
    one("cross_entropy", `smoothing ${smoothing}`, { logits: normal(4, 7) }, (s, { logits }) =>
      crossEntropy(s, logits!, ids(s, 3, -1, 0, 6), { smoothing, ignore: -1 }),
    ),
  ),
  one("kl_divergence", "temperature 1.7", { logits: normal(4, 7) }, (s, { logits }) =>
    klDivergence(s, logits!, s.constant(teacher, [4, 7]), 1.7),
  ),
];

describe("adjoints", () => {
  it.each(cases)("$kinds $what", async ({ values, forward }) => {
    await checkGradients(values, forward);
  });

  it("cast: what was rounded counts as what it was", async () => {
    const { grads } = await gradientsOn(new ReferenceDevice(), { x: normal(2, 3) }, (s, { x }) =>
      weighted(s, cast(s, cast(s, scale(s, x!, 2), "bf16"), "f32")),
    );
    expect(grads.get("x")).toEqual(new Random(99).normals(6).map((w) => 2 * w));
  });

  it("all are tried", () => {
    const tried = new Set([...cases.flatMap(({ kinds }) => kinds), "cast"]);
    const differentiable = (Object.keys(adjoints) as OpKind[]).filter(
      (kind) => typeof adjoints[kind] === "function",
    );
    expect([...tried].sort()).toEqual(differentiable.sort());
  });
});
