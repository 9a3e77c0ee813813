/** Rotary positions, the write into the key-value cache, and attention over it. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Keys are taken in tiles of this many positions, aligned to absolute positions. A tile has its own maximum
 * and its own sum over its positions in order; tiles are merged in order. So the bits of a result do not
 * depend on who computes a tile, or with whom.
 */
export const KEY_TILE = 256;

/** `half` pairs element i with i + r/2 (GPT-NeoX, Hugging Face); `interleaved` pairs 2i with 2i + 1 (GPT-J). */
export const ropeStyles = ["half", "interleaved"] as const;
export type RopeStyle = (typeof ropeStyles)[number];

/**
 * Rotates pairs of the first r elements of each head: `(a, b) → (a·cos − b·sin, b·cos + a·sin)`; the rest is
 * copied (Su et al. 2021, section 3.4).
 *
 * x, y f32 [n, heads, d]; cos, sin f32 [n, r/2] for the position of each row.
 */
export interface Rope {
  readonly kind: "rope";
  readonly x: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly y: Tensor;
  readonly style: RopeStyle;
}

export const ropeDefinition: OpDefinition<Rope> = {
  kind: "rope",
  reads: ["x", "cos", "sin"],
  writes: ["y"],
  numbers: [],
  words: { style: ropeStyles },
  check({ x, cos, sin, y }) {
    expectTensor("rope", "x", x, F32, [undefined, undefined, undefined]);
    expectTensor("rope", "cos", cos, F32, [x.dim(0), undefined]);
    expectTensor("rope", "sin", sin, F32, cos.shape);
    expectTensor("rope", "y", y, F32, x.shape);
    require("rope", 2 * cos.dim(1) <= x.dim(2), () => `cos is ${cos}, too wide for heads of ${x.dim(2)}`);
  },
  operations: ({ x, cos }) => 6 * x.dim(0) * x.dim(1) * cos.dim(1),
};

/** See {@link Rope}. */
export function rope(s: Stream, x: Tensor, cos: Tensor, sin: Tensor, style: RopeStyle): Tensor {
  const y = s.empty("f32", x.shape);
  s.push({ kind: "rope", x, cos, sin, y, style });
  return y;
}

const CACHE_FORMATS = ["f32", "f16"] as const;

/**
 * Writes the keys and values of n tokens into the pages of a layer's cache:
 * `keys[slot / page, :, slot mod page] = k[i]`, likewise the values.
 *
 * k f32 [n, heads, d], v f32 [n, heads, dv]; slots i32 [n], all different, each in [0, pages·page);
 * keys [pages, heads, page, d] and values [pages, heads, page, dv] in f32 or f16 (rounded to nearest even).
 */
export interface CacheWrite {
  readonly kind: "cache_write";
  readonly k: Tensor;
  readonly v: Tensor;
  readonly slots: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

export const cacheWriteDefinition: OpDefinition<CacheWrite> = {
  kind: "cache_write",
  reads: ["k", "v", "slots"],
  writes: ["keys", "values"],
  numbers: [],
  words: {},
  check({ k, v, slots, keys, values }) {
    expectTensor("cache_write", "k", k, F32, [undefined, undefined, undefined]);
    const [n, heads, d] = k.shape;
    expectTensor("cache_write", "v", v, F32, [n, heads, undefined]);
    expectTensor("cache_write", "slots", slots, I32, [n]);
    expectTensor("cache_write", "keys", keys, CACHE_FORMATS, [undefined, heads, undefined, d]);
    expectTensor("cache_write", "values", values, CACHE_FORMATS, [keys.dim(0), heads, keys.dim(2), v.dim(2)]);
  },
  operations: () => 0,
  bytes: ({ k, v }) => 2 * (k.bytes + v.bytes),
};

/**
 * Causal attention of ragged queries over paged keys and values (Vaswani et al. 2017, section 3.2.1; grouped
 * heads: Ainslie et al. 2023):
 *
 * `y[i, h] = Σ_j softmax_j(cap(scale · q[i, h] · K[j, g])) V[j, g]`, g = ⌊h · kvHeads / heads⌋,
 * over positions j with `p − window < j ≤ p` for a query at position p (`window` 0: all j ≤ p);
 * `cap(x) = softcap · tanh(x / softcap)`, or x when softcap is 0.
 *
 * q f32 [n, heads, d]; keys [pages, kvHeads, page, d] and values [pages, kvHeads, page, dv] in f32 or f16,
 * the page size a divisor of {@link KEY_TILE}; pages i32 [s, maxPages]: position j of sequence t lies in page
 * `pages[t, ⌊j / page⌋]` at `j mod page`; spans i32 [s, 3]: for each sequence its first row in q, its number
 * of rows, and the position of the first of them (the others follow). Every row belongs to one span.
 * y f32 [n, heads, dv].
 *
 * `longest` is a bound on the number of keys that a sequence has (for the price and for scratch memory).
 */
export interface Attend {
  readonly kind: "attend";
  readonly q: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
  readonly pages: Tensor;
  readonly spans: Tensor;
  readonly y: Tensor;
  readonly scale: number;
  readonly window: number;
  readonly softcap: number;
  readonly longest: number;
}

export const attendDefinition: OpDefinition<Attend> = {
  kind: "attend",
  reads: ["q", "keys", "values", "pages", "spans"],
  writes: ["y"],
  numbers: ["scale", "window", "softcap", "longest"],
  words: {},
  check({ q, keys, values, pages, spans, y, scale, window, softcap, longest }) {
    expectTensor("attend", "q", q, F32, [undefined, undefined, undefined]);
    const [n, heads = 0, d] = q.shape;
    expectTensor("attend", "keys", keys, CACHE_FORMATS, [undefined, undefined, undefined, d]);
    const [count, kvHeads = 0, page = 0] = keys.shape;
    expectTensor("attend", "values", values, CACHE_FORMATS, [count, kvHeads, page, undefined]);
    expectTensor("attend", "pages", pages, I32, [undefined, undefined]);
    expectTensor("attend", "spans", spans, I32, [pages.dim(0), 3]);
    expectTensor("attend", "y", y, F32, [n, heads, values.dim(3)]);
    require("attend", kvHeads > 0 && heads % kvHeads === 0, () =>
      `${heads} heads share ${kvHeads} key heads unevenly`);
    require("attend", page > 0 && KEY_TILE % page === 0, () =>
      `a page of ${page} does not divide ${KEY_TILE}`);
    require("attend", Number.isFinite(scale), () => `scale is ${scale}`);
    require("attend", Number.isSafeInteger(window) && window >= 0, () =>
      `window is ${window}, but must be a whole number, 0 for none`);
    require("attend", softcap >= 0 && softcap < Infinity, () =>
      `softcap is ${softcap}, but must be finite and not negative`);
    require("attend", longest >= 0 && longest <= pages.dim(1) * page, () =>
      `${longest} keys do not fit ${pages.dim(1)} pages of ${page}`);
  },
  operations: ({ q, values, window, longest }) =>
    2 * q.dim(0) * q.dim(1) * (q.dim(2) + values.dim(3)) * (window ? Math.min(window, longest) : longest),
  bytes({ q, keys, values, y, spans, window, longest }) {
    const span = window ? Math.min(window, longest) : longest;
    const perKey = (keys.bytes + values.bytes) / Math.max(1, keys.dim(0) * keys.dim(2));
    return q.bytes + y.bytes + spans.dim(0) * span * perKey;
  },
};
