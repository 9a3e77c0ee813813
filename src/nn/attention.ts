/** Self-attention with grouped heads: projections, rotary positions, the cache, and the output projection. */
import { rope, type Tensor } from "../ops/index.ts";
import type { Layer } from "./layers.ts";
import type { Rope } from "./rope.ts";
import type { Block } from "./step.ts";

export interface AttentionParts {
  /** Which layer of the cache it uses. */
  readonly layer: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** [n, d] to [n, heads·headDim], [n, kvHeads·headDim] twice, and back to [n, d]. */
  readonly q: Layer;
  readonly k: Layer;
  readonly v: Layer;
  readonly o: Layer;
  /** Over q and k before the rotation. */
  readonly qNorm?: Layer | undefined;
  readonly kNorm?: Layer | undefined;
  /** Absent: no rotary positions in this layer. */
  readonly rope?: Rope | undefined;
  /** Default 1/√headDim. */
  readonly scale?: number;
  /** Keys that a token sees, its own included; 0 or absent: all. */
  readonly window?: number;
  readonly softcap?: number;
}

export function attention(parts: AttentionParts): Block {
  const { layer, heads, kvHeads, headDim } = parts;
  const options = {
    scale: parts.scale ?? 1 / Math.sqrt(headDim),
    window: parts.window ?? 0,
    softcap: parts.softcap ?? 0,
  };
  return (step, x) => {
    const s = step.stream;
    const n = x.dim(0);
    const place = (projected: Tensor, norm: Layer | undefined, count: number): Tensor => {
      const normed = (norm ? norm(s, projected) : projected).reshape(n, count, headDim);
      if (!parts.rope) return normed;
      const { cos, sin } = step.rotation(parts.rope);
      return rope(s, normed, cos, sin, parts.rope.style);
    };
    // The three products next to each other, so that devices can run them as one.
    const [queries, keys, values] = [parts.q(s, x), parts.k(s, x), parts.v(s, x)];
    const q = place(queries, parts.qNorm, heads);
    const k = place(keys, parts.kNorm, kvHeads);
    const v = values.reshape(n, kvHeads, headDim);
    step.cache.append(layer, k, v);
    return parts.o(s, step.cache.attend(layer, q, options).reshape(n, heads * headDim));
  };
}
