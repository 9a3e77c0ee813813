/** Gradients beside those of jax-js, an implementation that we did not write, on the ops that both have. */
import { grad, init, nn, numpy as np } from "@jax-js/jax";
import { beforeAll, describe, expect, it } from "vitest";
import { ReferenceDevice } from "../../../src/device/reference.ts";
import {
  type ActivationName,
  activation,
  add,
  attendWithin,
  crossEntropy,
  embed,
  gated,
  gather,
  klDivergence,
  layerNorm,
  linear,
  matmul,
  mul,
  rmsNorm,
  rope,
  type Stream,
  scale,
  softcap,
  type Tensor,
} from "../../../src/ops/index.ts";
import { gradientsOn, largest, type Values, weighted } from "../../support/gradients.ts";
import { Random } from "../../support/random.ts";

type Jax = np.Array;
type Named<T> = Readonly<Record<string, T>>;

interface Case {
  readonly what: string;
  readonly values: Named<Values>;
  readonly ours: (s: Stream, p: Named<Tensor>) => Tensor;
  /** Operands are used up by each use; `.ref` keeps them. */
  readonly theirs: (p: Named<Jax>) => Jax;
}

const random = new Random(11);
const normal = (...shape: number[]): Values => ({
  shape,
  values: random.normals(shape.reduce((n, d) => n * d, 1)),
});
const array = (values: Float32Array, shape: readonly number[]): Jax =>
  np.array(values as Float32Array<ArrayBuffer>, { shape: [...shape] });
const ids = (...list: number[]): Jax => np.array(Int32Array.from(list), { dtype: np.int32 });

const activations: Partial<Record<ActivationName, (x: Jax) => Jax>> = {
  silu: (x) => nn.silu(x),
  gelu: (x) => nn.gelu(x, { approximate: false }),
  gelu_tanh: (x) => nn.gelu(x, { approximate: true }),
  quick_gelu: (x) => x.ref.mul(nn.sigmoid(x.mul(1.702))),
  relu: (x) => nn.relu(x),
  relu2: (x) => np.square(nn.relu(x)),
  tanh: (x) => np.tanh(x),
  sigmoid: (x) => nn.sigmoid(x),
};

const norm = (x: Jax, center: boolean, eps: number): Jax => {
  const moved = center ? x.ref.sub(np.mean(x, -1, { keepdims: true })) : x;
  const variance = np.mean(np.square(moved.ref), -1, { keepdims: true });
  return moved.div(np.sqrt(variance.add(eps)));
};

const [tokens, heads, kvHeads, d] = [6, 4, 2, 4];

/** By hand, as jax-js has its own made of what Node 20 lacks. */
function attention(q: Jax, k: Jax, v: Jax, causal: boolean): Jax {
  const byHead = (x: Jax, order: number[]): Jax => np.transpose(np.repeat(x, heads / x.shape[1]!, 1), order);
  const scores = np.matmul(byHead(q, [1, 0, 2]), byHead(k, [1, 2, 0])).mul(0.5);
  const hidden = Float32Array.from({ length: tokens * tokens }, (_, i) =>
    causal && i % tokens > Math.floor(i / tokens) ? -1e9 : 0,
  );
  const weights = nn.softmax(scores.add(array(hidden, [1, tokens, tokens])), -1);
  return np.transpose(np.matmul(weights, byHead(v, [1, 0, 2])), [1, 0, 2]);
}
const angles = random.normals(tokens * 2);
const rotation = [Math.cos, Math.sin].map((fn) => angles.map(fn)) as [Float32Array, Float32Array];
const teacher = random.normals(4 * 7);
const targets = [3, 0, 6, 3];

const cases: readonly Case[] = [
  ...Object.entries(activations).map(
    ([fn, theirs]): Case => ({
      what: fn,
      values: { x: normal(3, 8) },
      ours: (s, { x }) => activation(s, x!, fn as ActivationName),
      theirs: ({ x }) => theirs(x!),
    }),
  ),
  {
    what: "gated",
    values: { gate: normal(3, 8), up: normal(3, 8) },
    ours: (s, { gate, up }) => gated(s, gate!, up!, "silu"),
    theirs: ({ gate, up }) => nn.silu(gate!).mul(up!),
  },
  {
    what: "add and mul, with a row and a column",
    values: { a: normal(3, 4), row: normal(1, 4), column: normal(3, 1) },
    ours: (s, { a, row, column }) => mul(s, add(s, a!, row!), column!),
    theirs: ({ a, row, column }) => a!.add(row!).mul(column!),
  },
  {
    what: "scale and softcap",
    values: { x: normal(3, 4) },
    ours: (s, { x }) => softcap(s, scale(s, x!, 1.5), 2),
    theirs: ({ x }) => np.tanh(x!.mul(0.75)).mul(2),
  },
  {
    what: "linear",
    values: { x: normal(3, 5), w: normal(4, 5), b: normal(4) },
    ours: (s, { x, w, b }) => linear(s, x!, w!, b),
    theirs: ({ x, w, b }) => np.matmul(x!, np.transpose(w!)).add(b!),
  },
  {
    what: "matmul of batches",
    values: { a: normal(2, 4, 3), b: normal(2, 4, 5) },
    ours: (s, { a, b }) => matmul(s, a!, b!, { transposeA: true }),
    theirs: ({ a, b }) => np.matmul(np.transpose(a!, [0, 2, 1]), b!),
  },
  {
    what: "embed",
    values: { table: normal(6, 4) },
    ours: (s, { table }) => embed(s, table!, s.constant(Int32Array.of(2, 5, 2, 0))),
    theirs: ({ table }) => np.matmul(nn.oneHot(ids(2, 5, 2, 0), 6), table!),
  },
  {
    what: "gather",
    values: { x: normal(6, 4) },
    ours: (s, { x }) => gather(s, x!, s.constant(Int32Array.of(1, 1, 4))),
    theirs: ({ x }) => np.matmul(nn.oneHot(ids(1, 1, 4), 6), x!),
  },
  {
    what: "rmsnorm",
    values: { x: normal(3, 8), w: normal(1, 8) },
    ours: (s, { x, w }) => rmsNorm(s, x!, w!, 1e-3),
    theirs: ({ x, w }) => norm(x!, false, 1e-3).mul(w!),
  },
  {
    what: "layernorm",
    values: { x: normal(3, 8), w: normal(1, 8), b: normal(1, 8) },
    ours: (s, { x, w, b }) => layerNorm(s, x!, w!, b, 1e-3),
    theirs: ({ x, w, b }) => norm(x!, true, 1e-3).mul(w!).add(b!),
  },
  {
    what: "rope",
    values: { a: normal(tokens, heads, 2), b: normal(tokens, heads, 2) },
    // Pairs lie d / 2 apart; jax-js is given, and gives, the two halves.
    ours: (s, { a, b }) => {
      const x = s.empty("f32", [tokens * heads, 4]);
      const halves = matmul(
        s,
        a!.reshape(tokens * heads, 2),
        s.constant(Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0), [2, 4]),
      );
      matmul(s, b!.reshape(tokens * heads, 2), s.constant(Float32Array.of(0, 0, 1, 0, 0, 0, 0, 1), [2, 4]), {
        c: halves,
        y: x,
      });
      const [cos, sin] = rotation.map((values) => s.constant(values, [tokens, 2])) as [Tensor, Tensor];
      return rope(s, x.reshape(tokens, heads, 4), cos, sin, "half");
    },
    theirs: ({ a, b }) => {
      const [cos, sin] = rotation.map((values) => array(values, [tokens, 1, 2])) as [Jax, Jax];
      const first = a!.ref.mul(cos.ref).sub(b!.ref.mul(sin.ref));
      return np.concatenate([first, b!.mul(cos).add(a!.mul(sin))], -1);
    },
  },
  ...[true, false].map(
    (causal): Case => ({
      what: `attention with grouped heads, ${causal ? "causal" : "to both sides"}`,
      values: { q: normal(tokens, heads, d), k: normal(tokens, kvHeads, d), v: normal(tokens, kvHeads, d) },
      ours: (s, { q, k, v }) =>
        attendWithin(s, { q: q!, k: k!, v: v! }, s.constant(Int32Array.of(0, tokens)), {
          ...{ scale: 0.5, window: 0, softcap: 0, causal: Number(causal), longest: tokens },
        }).y,
      theirs: ({ q, k, v }) => attention(q!, k!, v!, causal),
    }),
  ),
  {
    what: "cross-entropy",
    values: { logits: normal(4, 7) },
    ours: (s, { logits }) => crossEntropy(s, logits!, s.constant(Int32Array.from(targets))),
    theirs: ({ logits }) =>
      np.sum(nn.logSoftmax(logits!, -1).mul(nn.oneHot(ids(...targets), 7)), -1, { keepdims: true }).mul(-1),
  },
  {
    what: "cross-entropy with smoothing",
    values: { logits: normal(4, 7) },
    ours: (s, { logits }) =>
      crossEntropy(s, logits!, s.constant(Int32Array.from(targets)), { smoothing: 0.1 }),
    theirs: ({ logits }) => {
      const wanted = nn
        .oneHot(ids(...targets), 7)
        .mul(0.9)
        .add(0.1 / 7);
      return np.sum(nn.logSoftmax(logits!, -1).mul(wanted), -1, { keepdims: true }).mul(-1);
    },
  },
  {
    what: "divergence from a teacher",
    values: { logits: normal(4, 7) },
    ours: (s, { logits }) => klDivergence(s, logits!, s.constant(teacher, [4, 7]), 2),
    theirs: ({ logits }) => {
      const wanted = nn.logSoftmax(array(teacher, [4, 7]).div(2), -1);
      const difference = wanted.ref.sub(nn.logSoftmax(logits!.div(2), -1));
      return np.sum(np.exp(wanted).mul(difference), -1, { keepdims: true });
    },
  },
];

describe("gradients beside those of jax-js", () => {
  beforeAll(async () => {
    await init("cpu");
  });

  it.each(cases)("$what", async ({ values, ours, theirs }) => {
    const { loss, grads } = await gradientsOn(new ReferenceDevice(), values, (s, p) =>
      weighted(s, ours(s, p)),
    );
    const parameters = (): Record<string, Jax> =>
      Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name, array(value.values, value.shape)]),
      );
    const value = (p: Record<string, Jax>): Jax => {
      const y = theirs(p);
      return np.sum(y.ref.mul(array(new Random(99).normals(y.size), y.shape)));
    };
    expect(Math.abs(loss - (await value(parameters()).data())[0]!)).toBeLessThan(
      1e-4 * Math.max(1, Math.abs(loss)),
    );
    const back = grad(value)(parameters()) as Record<string, Jax>;
    for (const name of Object.keys(values)) {
      const expected = await back[name]!.data();
      const actual = grads.get(name)!;
      expect(actual.length).toBe(expected.length);
      const error = largest(actual.map((x, i) => x - expected[i]!)) / largest(expected);
      expect(error, name).toBeLessThan(1e-4);
    }
  });
});
