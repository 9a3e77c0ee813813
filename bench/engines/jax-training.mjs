/**
 * The same training step in jax-js on its WebAssembly backend, compiled by `jit`, as a child process. Needs Node 21.
 * Each use of an array uses it up; `.ref` keeps it for the next.
 */
import { defaultDevice, init, jit, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { serve } from "../child.mjs";
import { adamw, firstValues, llama, parameterShapes, stepTokens } from "../training.mjs";

const { width, depth, heads, eps, vocabulary, theta } = llama;
const d = width / heads;
const shapes = parameterShapes();
let windows;
let context;
const weights = {};
const means = {};
const squares = {};
let update;
let step = 0;

const array = (values, shape) => np.array(values, { shape });
const product = (x, w) => np.matmul(x, np.transpose(w));

function norm(x, w) {
  const size = np.sqrt(np.mean(np.square(x.ref), -1, { keepdims: true }).add(eps));
  return x.div(size).mul(w);
}

/** Turns the halves of each head, [windows, heads, context, d]. */
function rotate(x, cos, sin) {
  const [a, b] = np.split(x, 2, -1);
  const first = a.ref.mul(cos.ref).sub(b.ref.mul(sin.ref));
  return np.concatenate([first, b.mul(cos).add(a.mul(sin))], -1);
}

function attention(p, at, x, { cos, sin, hidden }) {
  const byHead = (name) =>
    np.transpose(
      product(x.ref, p[`${at}.${name}.weight`]).reshape([windows, context, heads, d]),
      [0, 2, 1, 3],
    );
  const q = rotate(byHead("q_proj"), cos.ref, sin.ref);
  const k = rotate(byHead("k_proj"), cos.ref, sin.ref);
  const v = byHead("v_proj");
  x.dispose();
  const scores = np
    .matmul(q, np.transpose(k, [0, 1, 3, 2]))
    .mul(1 / Math.sqrt(d))
    .add(hidden.ref);
  const y = np.matmul(nn.softmax(scores, -1), v);
  return product(np.transpose(y, [0, 2, 1, 3]).reshape([windows * context, width]), p[`${at}.o_proj.weight`]);
}

function loss(p, ids, targets, cos, sin, hidden) {
  const table = p["model.embed_tokens.weight"];
  let x = np.matmul(nn.oneHot(ids, vocabulary), table.ref);
  for (let layer = 0; layer < depth; layer++) {
    const at = `model.layers.${layer}`;
    const normed = norm(x.ref, p[`${at}.input_layernorm.weight`]);
    x = x.add(attention(p, `${at}.self_attn`, normed, { cos, sin, hidden }));
    const inner = norm(x.ref, p[`${at}.post_attention_layernorm.weight`]);
    const gate = nn.silu(product(inner.ref, p[`${at}.mlp.gate_proj.weight`]));
    const up = product(inner, p[`${at}.mlp.up_proj.weight`]);
    x = x.add(product(gate.mul(up), p[`${at}.mlp.down_proj.weight`]));
  }
  const logits = product(norm(x, p["model.norm.weight"]), table);
  const wanted = nn.oneHot(targets, vocabulary);
  return np.sum(nn.logSoftmax(logits, -1).mul(wanted)).mul(-1 / (windows * context));
}

/** AdamW of one parameter. */
const learn = (decay) =>
  jit((w, g, m, v, first, second) => {
    const mean = m.mul(adamw.beta1).add(g.ref.mul(1 - adamw.beta1));
    const square = v.mul(adamw.beta2).add(np.square(g).mul(1 - adamw.beta2));
    const size = np.sqrt(square.ref.mul(second)).add(adamw.eps);
    const change = mean.ref.mul(first).div(size).add(w.ref.mul(decay));
    return [w.sub(change.mul(adamw.rate)), mean, square];
  });

function constants() {
  const angles = Float32Array.from({ length: (context * d) / 2 }, (_, i) => {
    const [position, pair] = [Math.floor(i / (d / 2)), i % (d / 2)];
    return position * theta ** ((-2 * pair) / d);
  });
  const turned = [Math.cos, Math.sin].map((fn) => array(angles.map(fn), [1, 1, context, d / 2]));
  const hidden = Float32Array.from({ length: context * context }, (_, i) =>
    i % context > Math.floor(i / context) ? -1e9 : 0,
  );
  return [...turned, array(hidden, [1, 1, context, context])];
}

/** One step; the loss before it. */
async function train() {
  const { ids, targets } = stepTokens(windows, context, step++);
  const [value, gradient] = update(weights, ids, targets);
  const corrections = [adamw.beta1, adamw.beta2].map((beta) => 1 / (1 - beta ** step));
  for (const [name, [rows]] of shapes) {
    const apply = rows > 1 ? learning.matrix : learning.vector;
    const [w, m, v] = apply(weights[name], gradient[name], means[name], squares[name], ...corrections);
    [weights[name], means[name], squares[name]] = [w, m, v];
  }
  await Promise.all(Object.values(weights).map((w) => w.blockUntilReady()));
  return (await value.data())[0];
}
let learning;

serve({
  async open(options) {
    ({ windows, context } = options);
    await init("wasm");
    defaultDevice("wasm");
    for (const [name, shape] of shapes) {
      weights[name] = array(firstValues(name, shape), shape);
      means[name] = np.zeros(shape);
      squares[name] = np.zeros(shape);
    }
    const fixed = constants();
    const both = jit(valueAndGrad(loss));
    const integers = (values) => np.array(values, { dtype: np.int32 });
    update = (p, ids, targets) => {
      const kept = Object.fromEntries(Object.entries(p).map(([name, w]) => [name, w.ref]));
      return both(kept, integers(ids), integers(targets), ...fixed.map((x) => x.ref));
    };
    learning = { matrix: learn(adamw.decay), vector: learn(0) };
    const sample = [];
    for (let i = 0; i < 2; i++) sample.push(await train());
    return { device: "wasm, 1 thread", sample };
  },

  /** Milliseconds of one step, the mean of `repeat`. */
  async time({ repeat }) {
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await train();
    return { run: (performance.now() - start) / repeat };
  },
});
