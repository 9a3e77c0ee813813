/** The ways in which attention, MLP, norms and the residual stream are wired. All take and give [n, d]. */
import { add } from "../ops/index.ts";
import type { Layer } from "./layers.ts";
import type { Block } from "./step.ts";

/** `h = x + attn(norm1(x)); h + mlp(norm2(h))` */
export function preNorm(norm1: Layer, attn: Block, norm2: Layer, mlp: Layer): Block {
  return (step, x) => {
    const s = step.stream;
    const h = add(s, x, attn(step, norm1(s, x)));
    return add(s, h, mlp(s, norm2(s, h)));
  };
}

/** `h = x + norm1(attn(x)); h + norm2(mlp(h))` */
export function postNorm(attn: Block, norm1: Layer, mlp: Layer, norm2: Layer): Block {
  return (step, x) => {
    const s = step.stream;
    const h = add(s, x, norm1(s, attn(step, x)));
    return add(s, h, norm2(s, mlp(s, h)));
  };
}

/** `h = x + after1(attn(before1(x))); h + after2(mlp(before2(h)))` */
export function sandwichNorm(
  before1: Layer,
  attn: Block,
  after1: Layer,
  before2: Layer,
  mlp: Layer,
  after2: Layer,
): Block {
  return (step, x) => {
    const s = step.stream;
    const h = add(s, x, after1(s, attn(step, before1(s, x))));
    return add(s, h, after2(s, mlp(s, before2(s, h))));
  };
}

/** `x + attn(norm1(x)) + mlp(norm2(x))`; norm2 may be norm1 */
export function parallel(norm1: Layer, attn: Block, norm2: Layer, mlp: Layer): Block {
  return (step, x) => {
    const s = step.stream;
    const normed = norm1(s, x);
    const a = attn(step, normed);
    const m = mlp(s, norm2 === norm1 ? normed : norm2(s, x));
    return add(s, add(s, m, a), x);
  };
}
