/**
 * Rotary positions, the cache write and attention, in plain loops. Attention here has no tiles: a query's
 * softmax is over all its keys at once, in f64, which is what the ordered merge of tiles must come to.
 */
import { KEY_TILE, type Op, type OpKind, type Tensor } from "../../ops/index.ts";
import { CacheSide } from "./cache.ts";
import { softmax } from "./functions.ts";
import type { Memory } from "./memory.ts";

export type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

export function rope({ x, cos, sin, y, style }: OpOf<"rope">, memory: Memory): void {
  const [from, to, cosines, sines] = [memory.f32(x), memory.f32Out(y), memory.f32(cos), memory.f32(sin)];
  const [n = 0, heads = 0, d = 0] = x.shape;
  const pairs = cos.dim(1);
  const [step, apart] = style === "half" ? [1, pairs] : [2, 1];
  for (let row = 0; row < n * heads; row++) {
    const start = row * d;
    const angle = Math.floor(row / heads) * pairs;
    for (let i = 0; i < pairs; i++) {
      const at = start + step * i;
      const [a, b, c, s] = [from[at]!, from[at + apart]!, cosines[angle + i]!, sines[angle + i]!];
      to[at] = a * c - b * s;
      to[at + apart] = b * c + a * s;
    }
    for (let i = start + 2 * pairs; i < start + d; i++) to[i] = from[i]!;
  }
}

export function cacheWrite({ k, v, slots, keys, values }: OpOf<"cache_write">, memory: Memory): void {
  const [pages = 0, heads = 0, page = 0] = keys.shape;
  const places = memory.indices(slots, pages * page, "cache_write: slots");
  for (const [source, cache, side] of [
    [k, keys, "keys"],
    [v, values, "values"],
  ] as const) {
    const from = memory.f32(source);
    const cached = new CacheSide(cache, memory.out(cache), side);
    const d = cache.dim(3);
    places.forEach((slot, i) => {
      for (let h = 0; h < heads; h++)
        cached.store(Math.floor(slot / page), h, slot % page, from, (i * heads + h) * d);
    });
  }
}

/** The first `count` rows of one head that a sequence's pages hold, joined: [count, d]. */
function rowsOf(
  cached: CacheSide,
  cache: Tensor,
  head: number,
  pages: Int32Array,
  count: number,
): Float32Array {
  const [, , page = 0, d = 0] = cache.shape;
  const joined = new Float32Array(count * d);
  for (let j = 0; j < count; j++) cached.load(pages[Math.floor(j / page)]!, head, j % page, joined, j * d);
  return joined;
}

export function attend(op: OpOf<"attend">, memory: Memory): void {
  const { keys, pages } = op;
  const [count = 0, kvHeads = 0, page = 0] = keys.shape;
  checkShares(op, memory);
  const [spans, table] = [memory.i32(op.spans), memory.i32(pages)];
  const [sequences = 0, maxPages = 0] = pages.shape;
  for (let t = 0; t < sequences; t++) {
    const [first = 0, rows = 0, position = 0] = spans.subarray(3 * t, 3 * t + 3);
    if (rows === 0) continue;
    const length = position + rows;
    const used = table.subarray(t * maxPages, t * maxPages + Math.ceil(length / page));
    const wrong = used.find((p) => p < 0 || p >= count);
    if (first < 0 || rows < 0 || position < 0 || first + rows > op.q.dim(0) || length > op.longest)
      throw memory.error(
        `attend: span [${first}, ${rows}, ${position}] does not fit q ${op.q}, longest ${op.longest}`,
      );
    if (wrong !== undefined) throw memory.error(`attend: pages holds ${wrong}, outside [0, ${count})`);
    for (let g = 0; g < kvHeads; g++) {
      const k = rowsOf(new CacheSide(keys, memory.bytes(keys), "keys"), keys, g, used, length);
      const v = rowsOf(
        new CacheSide(op.values, memory.bytes(op.values), "values"),
        op.values,
        g,
        used,
        length,
      );
      for (let i = 0; i < rows; i++)
        attendRow(op, memory, { row: first + i, g, position: position + i, length, k, v });
    }
  }
}

/** One query row, for the heads that share key head g, over that head's joined keys and values. */
function attendRow(
  { q, keys, values, y, scale, window, softcap, causal }: OpOf<"attend">,
  memory: Memory,
  {
    row,
    g,
    position,
    length,
    k,
    v,
  }: { row: number; g: number; position: number; length: number; k: Float32Array; v: Float32Array },
): void {
  const [queries, to] = [memory.f32(q), memory.f32Out(y)];
  const [, heads = 0, d = 0] = q.shape;
  const dv = values.dim(3);
  const share = heads / keys.dim(1);
  const begin = window ? Math.max(0, position - window + 1) : 0;
  const ahead = causal ? position + 1 : length;
  const count = (window ? Math.min(ahead, position + window) : ahead) - begin;
  const scores = new Float64Array(count);
  for (let h = g * share; h < (g + 1) * share; h++) {
    const query = (row * heads + h) * d;
    for (let j = 0; j < count; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += queries[query + c]! * k[(begin + j) * d + c]!;
      sum *= scale;
      scores[j] = softcap ? softcap * Math.tanh(sum / softcap) : sum;
    }
    const weights = softmax(scores, count);
    for (let c = 0; c < dv; c++) {
      let sum = 0;
      for (let j = 0; j < count; j++) sum += weights[j]! * v[(begin + j) * dv + c]!;
      to[(row * heads + h) * dv + c] = sum;
    }
  }
}

/** What a plan of shared tiles claims must be true; it changes nothing here. */
function checkShares(op: OpOf<"attend">, memory: Memory): void {
  if (!op.shares || !op.order) return;
  const [order, shares, spans, table] = [op.order, op.shares, op.spans, op.pages].map((t) => memory.i32(t));
  const [sequences = 0, maxPages = 0] = op.pages.shape;
  const tilePages = KEY_TILE / op.keys.dim(2);
  const seen = new Set<string>();
  for (let g = 0; g < sequences; g++) {
    const [first = 0, count = 0, tile = 0, end = 0] = shares!.subarray(4 * g, 4 * g + 4);
    const members = [...order!.subarray(first, first + count)];
    const pagesOf = (t: number): string =>
      table!.subarray(t * maxPages + tile * tilePages, t * maxPages + end * tilePages).join();
    for (const t of members) {
      const [row = 0, rows = 0, position = 0] = spans!.subarray(3 * t, 3 * t + 3);
      let fits = t >= 0 && t < sequences && members.length === count && pagesOf(t) === pagesOf(members[0]!);
      fits &&= tile >= 0 && end * KEY_TILE <= position && row + rows <= op.sharedRows;
      for (let each = tile; each < end; each++) {
        fits &&= !seen.has(`${t} ${each}`);
        seen.add(`${t} ${each}`);
      }
      if (!fits)
        throw memory.error(`attend: shares [${first}, ${count}, ${tile}, ${end}] does not fit sequence ${t}`);
    }
  }
}
