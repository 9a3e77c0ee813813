/**
 * Attention worked out plainly in f64 over unpaged keys, with the bound of what f32 may lose; and the paging of
 * sequences, in any order of pages.
 */
import { halfFrom, halfValue } from "../../src/format/half.ts";
import { attendDefinition, type CacheFormat, type Tensor } from "../../src/ops/index.ts";
import type { Job } from "./devices.ts";
import { gamma, TINY, U } from "./numerics.ts";
import type { Random } from "./random.ts";

export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly d: number;
  readonly dv: number;
}

export interface Options {
  readonly scale: number;
  readonly window: number;
  readonly softcap: number;
  /** Default 1. */
  readonly causal?: 0 | 1;
}

/** A sequence: queries for its last `rows` positions; keys [length, kvHeads, d] and values [length, kvHeads, dv]. */
export interface Sequence {
  readonly length: number;
  readonly rows: number;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

export function randomSequence(random: Random, h: Heads, length: number, rows: number): Sequence {
  return {
    length,
    rows,
    q: random.normals(rows * h.heads * h.d),
    k: random.normals(length * h.kvHeads * h.d),
    v: random.normals(length * h.kvHeads * h.dv),
  };
}

/** Numbers as a cache of the format keeps them. */
export function asCached(x: Float32Array, format: CacheFormat): Float32Array {
  if (format === "f32") return x;
  if (format === "f16") return x.map((v) => halfValue[halfFrom(v)]!);
  const kept = new Float32Array(x.length);
  for (let g = 0; g < x.length; g += 32) {
    const group = [...x.subarray(g, g + 32)];
    const most = Math.max(...group.map(Math.abs));
    const scale = Number.isFinite(most) ? halfValue[halfFrom(Math.fround(most / 127))]! : Number.NaN;
    for (const [i, v] of group.entries()) {
      const exact = scale === 0 ? 0 : Math.fround(v / scale);
      // Adding and taking away 1.5 · 2^52 rounds to whole numbers, ties to even.
      const code = exact + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;
      kept[g + i] = scale * Math.max(-127, Math.min(127, code));
    }
  }
  return kept;
}

/** The last `rows` of a sequence whose queries begin at position 0, as far as position `end`. */
export function part(s: Sequence, h: Heads, start: number, end: number): Sequence {
  const first = s.length - s.rows;
  return {
    length: end,
    rows: end - start,
    q: s.q.subarray((start - first) * h.heads * h.d, (end - first) * h.heads * h.d),
    k: s.k.subarray(0, end * h.kvHeads * h.d),
    v: s.v.subarray(0, end * h.kvHeads * h.dv),
  };
}

/**
 * Emits the cache writes and one attention for a batch of sequences, with their pages dealt out of a common
 * cache in random order; [rows of all, heads, dv].
 */
export function attendBatch(
  job: Job,
  random: Random,
  sequences: readonly Sequence[],
  h: Heads,
  {
    page,
    dtype,
    valueDtype = dtype,
    ...options
  }: Options & { page: number; dtype: CacheFormat; valueDtype?: CacheFormat },
): Tensor {
  const counts = sequences.map(({ length }) => Math.ceil(length / page));
  const spare = 2;
  const pages = counts.reduce((sum, count) => sum + count, spare);
  const order = random.order(pages);
  const keys = job.buffer(dtype, [pages, h.kvHeads, page, h.d]);
  const values = job.buffer(valueDtype, [pages, h.kvHeads, page, h.dv]);
  const maxPages = Math.max(1, ...counts);
  const table: number[] = [];
  const spans: number[] = [];
  let [dealt, row] = [0, 0];
  for (const [t, s] of sequences.entries()) {
    const own = order.slice(dealt, dealt + counts[t]!);
    dealt += counts[t]!;
    // What no position uses must not be read: an impossible page says so.
    table.push(...own, ...Array.from({ length: maxPages - own.length }, () => -1));
    spans.push(row, s.rows, s.length - s.rows);
    row += s.rows;
    const slots = Array.from({ length: s.length }, (_, j) => own[Math.floor(j / page)]! * page + (j % page));
    job.stream.push({
      kind: "cache_write",
      k: job.f32(s.k, s.length, h.kvHeads, h.d),
      v: job.f32(s.v, s.length, h.kvHeads, h.dv),
      slots: job.i32(slots, s.length),
      keys,
      values,
    });
  }
  const q = new Float32Array(row * h.heads * h.d);
  let filled = 0;
  for (const s of sequences) {
    q.set(s.q, filled);
    filled += s.q.length;
  }
  const y = job.stream.empty("f32", [row, h.heads, h.dv]);
  job.stream.push({
    kind: attendDefinition.kind,
    q: job.f32(q, row, h.heads, h.d),
    keys,
    values,
    pages: job.i32(table, sequences.length, maxPages),
    spans: job.i32(spans, sequences.length, 3),
    y,
    ...options,
    longest: Math.max(0, ...sequences.map(({ length }) => length)),
    causal: options.causal ?? 1,
    sharedRows: 0,
  });
  return y;
}

/**
 * One sequence's attention in f64, and the bound of each result:
 *
 * - a score s_j is off by E = γ_{d+3} · scale · Σ|q||k| at most (the largest over the keys); a softcap maps it
 *   with slope ≤ 1 and adds 6u · cap;
 * - a weight e^(s_j − max) is then off by 2E, by u·|s_j − max| for the rounded difference, by 8u for the
 *   exponential and the rescaling of its tile, and 8u for each tile that is merged later, relative; one below
 *   the range of f32 loses TINY-sized numbers;
 * - numerator and denominator add up n such terms: γ_n each; two roundings for the division and the result.
 *
 * So |y − ŷ| ≤ Σ_j p_j (|v_j| + V)(2E + u·|s_j − max| + 8u(tiles + 1) + γ_n) · (1 + small) + 2u·|y|, where V is
 * the size of the average, Σ p_j|v_j|: the second part is the denominator's.
 */
export function attention(
  s: Sequence,
  h: Heads,
  { scale, window, softcap, causal = 1 }: Options,
): { y: Float64Array; bound: Float64Array } {
  const y = new Float64Array(s.rows * h.heads * h.dv);
  const bound = new Float64Array(y.length);
  const share = h.heads / h.kvHeads;
  for (let i = 0; i < s.rows; i++)
    for (let head = 0; head < h.heads; head++) {
      const g = Math.floor(head / share);
      const position = s.length - s.rows + i;
      const begin = window > 0 ? Math.max(0, position - window + 1) : 0;
      const ahead = causal ? position + 1 : s.length;
      const end = window > 0 ? Math.min(ahead, position + window) : ahead;
      const scores: number[] = [];
      let error = 0;
      for (let j = begin; j < end; j++) {
        let [sum, size] = [0, 0];
        for (let c = 0; c < h.d; c++) {
          const product = s.q[(i * h.heads + head) * h.d + c]! * s.k[(j * h.kvHeads + g) * h.d + c]!;
          sum += product;
          size += Math.abs(product);
        }
        error = Math.max(error, gamma(h.d + 3) * Math.abs(scale) * size);
        scores.push(softcap ? softcap * Math.tanh((sum * scale) / softcap) : sum * scale);
      }
      error += 6 * U * softcap;
      const max = Math.max(...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0);
      const tiles = Math.ceil(end / 256);
      const weights = scores.map((score) => Math.exp(score - max) / total);
      const errors = scores.map(
        (score) => 2 * error + U * (max - score) + 8 * U * (tiles + 1) + gamma(scores.length),
      );
      const denominator = weights.reduce((sum, p, j) => sum + p * errors[j]!, 0);
      for (let c = 0; c < h.dv; c++) {
        let [result, size, numerator, least] = [0, 0, 0, 0];
        for (let j = 0; j < scores.length; j++) {
          const v = s.v[((begin + j) * h.kvHeads + g) * h.dv + c]!;
          const weighed = weights[j]! * Math.abs(v);
          result += weights[j]! * v;
          size += weighed;
          numerator += weighed * errors[j]!;
          least += TINY * 2 ** 23 * Math.abs(v);
        }
        const at = (i * h.heads + head) * h.dv + c;
        y[at] = result;
        bound[at] = (numerator + size * denominator) * (1 + 16 * denominator) + 3 * U * size + least + TINY;
      }
    }
  return { y, bound };
}
