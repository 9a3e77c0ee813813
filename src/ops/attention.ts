/** Rotary positions, the write into the key-value cache, and attention over it. */
import { expectTensor, F32, I32, type OpDefinition, require } from "./define.ts";
import type { Stream } from "./stream.ts";
import { type Tensor, tensorBytes } from "./tensor.ts";

/**
 * Keys are taken in tiles of this many positions, aligned to absolute positions. A tile has its own maximum
 * and its own sum over its positions in order; tiles are merged in order. So the bits of a result do not
 * depend on who computes a tile, or with whom.
 */
export const KEY_TILE = 256;

/** Keys of a page lie in runs of this many positions, transposed: see {@link CacheWrite}. */
export const KEY_RUN = 16;

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

export const cacheFormats = ["f32", "f16", "q8_0"] as const;
export type CacheFormat = (typeof cacheFormats)[number];

/** What a cache's two tensors must be, and how their pages must divide. */
function expectCache(
  kind: string,
  keys: Tensor,
  values: Tensor,
  heads: number | undefined,
  d: number,
  dv: number | undefined,
): void {
  expectTensor(kind, "keys", keys, cacheFormats, [undefined, heads, undefined, d]);
  expectTensor(kind, "values", values, cacheFormats, [keys.dim(0), keys.dim(1), keys.dim(2), dv]);
  const page = keys.dim(2);
  require(kind, page > 0 && page % KEY_RUN === 0 && KEY_TILE % page === 0, () =>
    `a page of ${page} does not divide ${KEY_TILE} into runs of ${KEY_RUN}`);
}

/**
 * Writes the keys and values of n tokens into the pages of a layer's cache:
 * `keys[slot / page, :, slot mod page] = k[i]`, likewise the values.
 *
 * k f32 [n, heads, d], v f32 [n, heads, dv]; slots i32 [n], all different, each in [0, pages·page);
 * keys [pages, heads, page, d] and values [pages, heads, page, dv] in f32, f16 (rounded to nearest even) or q8_0
 * (d and dv multiples of 32). The page size is a multiple of {@link KEY_RUN} that divides {@link KEY_TILE}.
 *
 * A page of a head is one piece of memory, in an order that only this op and `attend` know. Values lie row by row.
 * Keys lie in runs of 16 positions, transposed: component c of position j at `(⌊j/16⌋·d + c)·16 + j mod 16`, so
 * that attention finds the same component of neighbouring keys side by side. In q8_0 the codes of the page come
 * first, one byte each, then the f16 scales of its groups of 32 components, in the same order as components.
 *
 * q8_0 rounds a group x to codes round(x / s), ties to even, s = f16(max|x| / 127): each is off by
 * `max|x| / 254 · (1 + 2⁻¹⁰) + 2⁻¹⁸` at most. A NaN, an infinity, or a number beyond 8.3 million makes its group NaN.
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
    expectCache("cache_write", keys, values, heads, d!, v.dim(2));
  },
  operations: () => 0,
  bytes: ({ k, v, keys, values }) =>
    k.bytes + v.bytes + tensorBytes(keys.dtype, k.shape) + tensorBytes(values.dtype, v.shape),
};

/**
 * Attention of ragged queries over paged keys and values (Vaswani et al. 2017, section 3.2.1; grouped
 * heads: Ainslie et al. 2023):
 *
 * `y[i, h] = Σ_j softmax_j(cap(scale · q[i, h] · K[j, g])) V[j, g]`, g = ⌊h · kvHeads / heads⌋,
 * where a query at position p sees the positions j with `p − window < j ≤ p` when `causal` is 1, and those with
 * `|j − p| < window` up to the last row of its span when it is 0 (encoders; an encoder that counts w keys to
 * each side says window w + 1); `window` 0 sets no limit. `cap(x) = softcap · tanh(x / softcap)`, or x when
 * softcap is 0.
 *
 * q f32 [n, heads, d]; keys [pages, kvHeads, page, d] and values [pages, kvHeads, page, dv] as
 * {@link CacheWrite} leaves them; pages i32 [s, maxPages]: position j of sequence t lies in page
 * `pages[t, ⌊j / page⌋]` at `j mod page`; spans i32 [s, 3]: for each sequence its first row in q, its number
 * of rows, and the position of the first of them (the others follow). Every row belongs to one span.
 * y f32 [n, heads, dv].
 *
 * `longest` is a bound on the number of keys that a sequence has (for the price and for scratch memory).
 *
 * `order` i32 [s] and `shares` i32 [s, 4], both or neither, say which tiles of keys sequences have in common, so that
 * these are read once for all (Juravsky et al. 2024); they change the speed alone. Each row (first, count, tile, end)
 * with a count above 0 says that the sequences `order[first]` to `order[first + count − 1]` have the same pages in the
 * tiles from `tile` to before `end`, and that these lie wholly before the rows of each; all their rows are among the
 * first `sharedRows` of q. No tile of a sequence may be in two of them.
 */
export interface Attend {
  readonly kind: "attend";
  readonly q: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
  readonly pages: Tensor;
  readonly spans: Tensor;
  readonly order?: Tensor | undefined;
  readonly shares?: Tensor | undefined;
  readonly y: Tensor;
  readonly scale: number;
  readonly window: number;
  readonly softcap: number;
  readonly longest: number;
  /** 1: no key behind the query; 0: all keys of its sequence. */
  readonly causal: number;
  /** Rows of q, from the first, that `shares` may speak of; 0: none. */
  readonly sharedRows: number;
}

export const attendDefinition: OpDefinition<Attend> = {
  kind: "attend",
  reads: ["q", "keys", "values", "pages", "spans", "order?", "shares?"],
  writes: ["y"],
  numbers: ["scale", "window", "softcap", "longest", "causal", "sharedRows"],
  words: {},
  check(op) {
    const { q, keys, values, pages, spans, y, scale, window, softcap, longest, causal } = op;
    expectTensor("attend", "q", q, F32, [undefined, undefined, undefined]);
    const [n, heads = 0, d] = q.shape;
    expectCache("attend", keys, values, undefined, d!, undefined);
    const [, kvHeads = 0, page = 0] = keys.shape;
    expectTensor("attend", "pages", pages, I32, [undefined, undefined]);
    expectTensor("attend", "spans", spans, I32, [pages.dim(0), 3]);
    expectTensor("attend", "y", y, F32, [n, heads, values.dim(3)]);
    require("attend", kvHeads > 0 && heads % kvHeads === 0, () =>
      `${heads} heads share ${kvHeads} key heads unevenly`);
    require("attend", Number.isFinite(scale), () => `scale is ${scale}`);
    require("attend", Number.isSafeInteger(window) && window >= 0, () =>
      `window is ${window}, but must be a whole number, 0 for none`);
    require("attend", softcap >= 0 && softcap < Infinity, () =>
      `softcap is ${softcap}, but must be finite and not negative`);
    require("attend", longest >= 0 && longest <= pages.dim(1) * page, () =>
      `${longest} keys do not fit ${pages.dim(1)} pages of ${page}`);
    require("attend", causal === 0 || causal === 1, () => `causal is ${causal}, but must be 1 or 0`);
    const { order, shares, sharedRows } = op;
    require("attend", (order === undefined) === (shares === undefined), () => "order and shares go together");
    if (order) expectTensor("attend", "order", order, I32, [pages.dim(0)]);
    if (shares) expectTensor("attend", "shares", shares, I32, [pages.dim(0), 4]);
    require("attend", Number.isSafeInteger(sharedRows) && sharedRows >= 0 && sharedRows <= q.dim(0), () =>
      `sharedRows is ${sharedRows}, but q has ${q.dim(0)} rows`);
    require("attend", sharedRows === 0 || (shares !== undefined && causal === 1), () =>
      "sharedRows needs shares, and attention that is causal");
  },
  operations: (op) => 2 * op.q.dim(0) * op.q.dim(1) * (op.q.dim(2) + op.values.dim(3)) * keysSeen(op),
  bytes(op) {
    const { q, keys, values, y, spans } = op;
    const span = keysSeen(op);
    const perKey = (keys.bytes + values.bytes) / Math.max(1, keys.dim(0) * keys.dim(2));
    return q.bytes + y.bytes + spans.dim(0) * span * perKey;
  },
};

/** Keys that a query sees at most. */
const keysSeen = ({ window, longest, causal }: Attend): number =>
  window ? Math.min(causal ? window : 2 * window - 1, longest) : longest;
