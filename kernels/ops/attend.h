// Attention over paged keys and values; the equation and the tiles are in src/ops/attention.ts.
//
// Work is cut into blocks: up to `block` query rows (tokens times the heads of one group) against one tile of
// keys. A tile's scores, maximum, sum and weighted values of a query are computed in an order that the tile
// alone decides: a score sums over c = 0, 1, ..., a value over the keys in order, each in one accumulator.
// So blocking, neighbours, threads and masks change no bit.
#pragma once
#include "../simd/transpose.h"
#include "elementwise.h"

namespace fovea::FOVEA_ISA {

struct Attention {
  static constexpr int tile = 256;
  /** Query rows that share a tile's transposed keys. */
  static constexpr int block = 96;
  /** Query rows, and vectors, that the inner loops hold in registers: 32 of them, or 16. */
  static constexpr int rows = 6;
#if defined(FOVEA_ISA_AVX512) || defined(__ARM_NEON)
  static constexpr int vectors = 4;
#else
  static constexpr int vectors = 2;
#endif
  static constexpr int keys_at_once = vectors * V::lanes;

  Tensor q, keys, values, pages, spans, y;
  int64_t heads, kv_heads, group, d, dv, page, page_count, sequences;
  /** d, rounded up to whole vectors. */
  int64_t d_padded;
  float scale;
  int64_t window;
  float softcap;
  int64_t longest;
  bool causal;

  explicit Attention(const Op& op)
      : q(op.tensor(0)), keys(op.tensor(1)), values(op.tensor(2)), pages(op.tensor(3)), spans(op.tensor(4)),
        y(op.tensor(5)), heads(q.d[1]), kv_heads(keys.d[1]), group(heads / kv_heads), d(q.d[2]),
        dv(values.d[3]), page(keys.d[2]), page_count(keys.d[0]), sequences(spans.d[0]),
        d_padded((d + V::lanes - 1) / V::lanes * V::lanes), scale(float(op.number(0))),
        window(int64_t(op.number(1))), softcap(float(op.number(2))), longest(int64_t(op.number(3))),
        causal(op.number(4) != 0) {}

  // Scratch of a thread, in floats: transposed keys, scores (padded so that vector loads stay inside), sums.
  int64_t transposed_floats() const { return tile * d_padded; }
  int64_t thread_floats() const {
    return (transposed_floats() + block * tile + block * dv + 15) / 16 * 16 + 2 * block;
  }
  /** A tile's result for a row and head: maximum, sum, dv weighted values. */
  int64_t partial_floats() const { return dv + 2; }
  int64_t tiles() const { return (longest + tile - 1) / tile; }
  int64_t partials_bytes() const { return 4 * q.d[0] * heads * tiles() * partial_floats(); }

  /** Few blocks for the threads: the tiles of a block are then shared, and merged afterwards. */
  bool split(int threads) const {
    int64_t per_sequence = (q.d[0] * group + sequences - 1) / (sequences > 0 ? sequences : 1);
    int64_t blocks = sequences * kv_heads * ((per_sequence + block - 1) / block);
    return threads > 1 && blocks < 4 * threads && tiles() > 1 && partials_bytes() <= (16 << 20);
  }
};

/** One sequence of the batch: rows [first, first + count) of q, at positions from `position`. */
struct Span {
  int64_t first, count, position;
  const int32_t* pages;
};

/** Sequence t; with no rows when its numbers do not fit the tensors. */
inline Span span_of(const Attention& a, int64_t t) {
  const int32_t* s = a.spans.i32() + 3 * t;
  Span span = {s[0], s[1], s[2], a.pages.i32() + t * a.pages.d[1]};
  bool fits = span.first >= 0 && span.count >= 0 && span.position >= 0 && span.first + span.count <= a.q.d[0] &&
              span.position + span.count <= a.longest && span.position + span.count <= a.pages.d[1] * a.page &&
              a.page_count > 0;
  if (!fits) span.count = 0;
  return span;
}

/** Rows of a page of one head, in f32 or f16. */
template <class T> inline const T* page_rows(const Attention& a, const Tensor& cache, const Span& span,
                                             int64_t position, int64_t g) {
  int64_t p = span.pages[position / a.page];
  if (p < 0 || p >= a.page_count) p = 0;
  return reinterpret_cast<const T*>(cache.data) + ((p * a.kv_heads + g) * a.page + position % a.page) * cache.d[3];
}

inline V::F load_cached(const float* p) { return V::load(p); }
inline V::F load_cached(const uint16_t* p) { return V::load_f16(p); }
inline V::F load_cached(const float* p, int n) { return V::load_tail(p, n); }
inline V::F load_cached(const uint16_t* p, int n) { return V::load_f16_tail(p, n); }

/**
 * Keys [from, to) of the tile that begins at position `start`, transposed: `keys_at_once` keys side by side
 * for c = 0, 1, ... `from` is rounded down, so that every group of keys that is touched is complete; keys
 * behind `to` hold zeros up to the next whole vector and anything behind that.
 */
template <class T>
inline void transpose_keys(const Attention& a, const Span& span, int64_t g, int64_t start, int from, int to,
                           float* out) {
  constexpr int L = V::lanes;
  for (int key = from / L * L; key < to; key += L) {
    const T* rows[L];
    int count = to - key < L ? to - key : L;
    for (int r = 0; r < L; r++)
      rows[r] = page_rows<T>(a, a.keys, span, start + key + (r < count ? r : 0), g);
    float* at = out + key / Attention::keys_at_once * Attention::keys_at_once * a.d_padded + key % Attention::keys_at_once;
    for (int64_t c = 0; c < a.d_padded; c += L) {
      V::F v[L];
      int rest = a.d - c < L ? int(a.d - c) : L;
      if (rest == L) {
        FOVEA_UNROLL(16)
        for (int r = 0; r < L; r++) v[r] = load_cached(rows[r] + c);
      } else {
        FOVEA_UNROLL(16)
        for (int r = 0; r < L; r++) v[r] = load_cached(rows[r] + c, rest);
      }
      // The next keys, mostly behind these: sixteen rows at once are no stream that a processor foresees.
      for (int r = 0; r < L; r++) V::prefetch(rows[r] + c + L * a.d);
      transpose(v);
      FOVEA_UNROLL(16)
      for (int r = 0; r < L; r++) V::store(at + (c + r) * Attention::keys_at_once, v[r]);
    }
  }
}

/** scores[r][j] = sum over c of q[r][c] * k[j][c] for R rows and one group of keys. */
template <int R>
inline void score_rows(const float* const* q, int64_t d, const float* transposed, float* scores) {
  constexpr int N = Attention::vectors, L = V::lanes;
  V::F sum[R][N];
  FOVEA_UNROLL(6)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) sum[r][n] = V::zero();
  }
  for (int64_t c = 0; c < d; c++) {
    V::F k[N];
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) k[n] = V::load(transposed + c * Attention::keys_at_once + n * L);
    FOVEA_UNROLL(6)
    for (int r = 0; r < R; r++) {
      V::F b = V::set1(q[r][c]);
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) sum[r][n] = V::fma(b, k[n], sum[r][n]);
    }
  }
  FOVEA_UNROLL(6)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) V::store(scores + r * Attention::tile + n * L, sum[r][n]);
  }
}

/**
 * sums[r][0..N vectors) += sum over j of weights[r][j] * rows[j], `count` keys in order, rows of a page being
 * dv apart. Of the last vector only `rest` lanes exist.
 */
template <int R, int N, bool tail, class T>
inline void weigh_rows(const float* weights, int count, const T* rows, int64_t dv, int rest, float* sums) {
  constexpr int L = V::lanes;
  V::F sum[R][N];
  FOVEA_UNROLL(6)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      const float* s = sums + r * dv + n * L;
      sum[r][n] = tail && n == N - 1 ? V::load_tail(s, rest) : V::load(s);
    }
  }
  for (int j = 0; j < count; j++) {
    V::F v[N];
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      const T* p = rows + j * dv + n * L;
      v[n] = tail && n == N - 1 ? load_cached(p, rest) : load_cached(p);
    }
    FOVEA_UNROLL(6)
    for (int r = 0; r < R; r++) {
      V::F w = V::set1(weights[r * Attention::tile + j]);
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) sum[r][n] = V::fma(w, v[n], sum[r][n]);
    }
  }
  FOVEA_UNROLL(6)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      float* s = sums + r * dv + n * L;
      if (tail && n == N - 1) V::store_tail(s, sum[r][n], rest);
      else V::store(s, sum[r][n]);
    }
  }
}

/** weigh_rows over all dv values. */
template <int R, class T>
inline void weigh(const float* weights, int count, const T* rows, int64_t dv, float* sums) {
  constexpr int N = Attention::vectors, L = V::lanes;
  int64_t c = 0;
  for (; c + N * L <= dv; c += N * L) weigh_rows<R, N, false>(weights, count, rows + c, dv, L, sums + c);
  for (; c + L <= dv; c += L) weigh_rows<R, 1, false>(weights, count, rows + c, dv, L, sums + c);
  if (c < dv) weigh_rows<R, 1, true>(weights, count, rows + c, dv, int(dv - c), sums + c);
}

/** Calls run(Int<count>), count in [1, 6]. */
template <class Fn> inline void with_count(int64_t count, Fn run) {
  switch (count) {
    case 1: return run(Int<1>());
    case 2: return run(Int<2>());
    case 3: return run(Int<3>());
    case 4: return run(Int<4>());
    case 5: return run(Int<5>());
    default: return run(Int<6>());
  }
}

/** The keys of a tile that a row sees: [low, high), counted from the tile's start. */
struct Sight {
  int low, high;
};

/** A block's query rows: (token, head) in the order of tokens, so that neighbours see nearly the same keys. */
struct Rows {
  const Attention& a;
  const Span& span;
  int64_t g, begin, count;

  int64_t position(int64_t r) const { return span.position + (begin + r) / a.group; }
  /** Index of the row among all n * heads rows of q and y. */
  int64_t index(int64_t r) const {
    return (span.first + (begin + r) / a.group) * a.heads + g * a.group + (begin + r) % a.group;
  }
  const float* query(int64_t r) const { return a.q.f32() + index(r) * a.d; }
  int64_t lowest(int64_t r) const {
    int64_t low = position(r) - a.window + 1;
    return a.window && low > 0 ? low : 0;
  }
  /** Behind the last key that the row sees. */
  int64_t highest(int64_t r) const {
    if (a.causal) return position(r) + 1;
    int64_t end = span.position + span.count, high = position(r) + a.window;
    return a.window && high < end ? high : end;
  }
  Sight sight(int64_t r, int64_t start) const {
    int64_t low = lowest(r) - start, high = highest(r) - start;
    return {low > 0 ? int(low) : 0, high < Attention::tile ? int(high) : Attention::tile};
  }
  /** The rows [first, last) that see keys of the tile from `start`, if any do. */
  bool seeing(int64_t start, int64_t& first, int64_t& last) const {
    auto blind = [&](int64_t r) { return sight(r, start).low >= sight(r, start).high; };
    first = 0, last = count;
    while (first < last && blind(first)) first++;
    while (first < last && blind(last - 1)) last--;
    return first < last;
  }
};

/** A thread's scratch memory. */
struct Scratch {
  float *transposed, *scores, *sums, *maxima, *totals;

  Scratch(const Attention& a, uint8_t* base, int thread) {
    transposed = reinterpret_cast<float*>(base) + thread * a.thread_floats();
    scores = transposed + a.transposed_floats();
    sums = scores + Attention::block * Attention::tile;
    totals = transposed + a.thread_floats() - Attention::block;
    maxima = totals - Attention::block;
  }
};

/** Scores become weights exp(score - maximum); gives the maximum and the sum of the weights. */
inline void soften(const Attention& a, Sight sight, float* scores, float& maximum, float& total) {
  constexpr int L = V::lanes;
  float lanes[L];
  for (int i = 0; i < L; i++) lanes[i] = float(i);
  V::F lane = V::load(lanes), low = V::set1(float(sight.low)), high = V::set1(float(sight.high));
  V::F lowest = V::set1(-__builtin_inff()), max = lowest;
  V::F scale = V::set1(a.scale), cap = V::set1(a.softcap), inverse = V::set1(1 / a.softcap);
  int from = sight.low / L * L;
  for (int j = from; j < sight.high; j += L) {
    V::F s = V::mul(scale, V::load(scores + j));
    if (a.softcap != 0) s = capped(s, cap, inverse);
    if (j < sight.low || j + L > sight.high) {
      V::F at = V::add(V::set1(float(j)), lane);
      s = V::select(V::lt(at, low), lowest, V::select(V::lt(at, high), s, lowest));
    }
    V::store(scores + j, s);
    max = V::max(max, s);
  }
  maximum = V::reduce_max(max);
  // Scores that are all -inf weigh nothing.
  V::F m = V::set1(maximum == -__builtin_inff() ? 0 : maximum), sum = V::zero();
  for (int j = from; j < sight.high; j += L) {
    V::F w = exp(V::sub(V::load(scores + j), m));
    V::store(scores + j, w);
    sum = V::add(sum, w);
  }
  total = V::reduce_add(sum);
  // The maximum passes over NaN; the tile may not be passed over.
  if (total != total) maximum = total;
}

/** sums += weights times values for R rows, over keys [from, to) of the tile. */
template <int R, class T>
inline void weigh_keys(const Rows& rows, int64_t start, int from, int to, const float* weights, float* sums) {
  const Attention& a = rows.a;
  while (from < to) {
    int left = int(a.page - (start + from) % a.page), count = to - from < left ? to - from : left;
    const T* values = page_rows<T>(a, a.values, rows.span, start + from, rows.g);
    weigh<R>(weights + from, count, values, a.dv, sums);
    from += count;
  }
}

/**
 * The rows [first, last) of a block, all of which see keys of the tile that begins at `start`: leaves each
 * row's maximum, total and weighted sum of values in the scratch memory.
 */
template <class K, class W>
inline void attend_tile(const Rows& rows, int64_t first, int64_t last, int64_t start, const Scratch& scratch) {
  constexpr int at_once = Attention::keys_at_once, tile = Attention::tile;
  const Attention& a = rows.a;
  int from = rows.sight(first, start).low, to = rows.sight(last - 1, start).high;
  transpose_keys<K>(a, rows.span, rows.g, start, from, to, scratch.transposed);
  for (int key = from / at_once * at_once; key < to; key += at_once)
    for (int64_t r = first; r < last; r += Attention::rows) {
      int64_t count = last - r < Attention::rows ? last - r : Attention::rows;
      if (key >= rows.sight(r + count - 1, start).high || key + at_once <= rows.sight(r, start).low) continue;
      const float* queries[Attention::rows];
      for (int64_t i = 0; i < count; i++) queries[i] = rows.query(r + i);
      with_count(count, [&](auto n) {
        score_rows<n.value>(queries, a.d, scratch.transposed + key * a.d_padded, scratch.scores + r * tile + key);
      });
    }
  for (int64_t r = first; r < last; r++)
    soften(a, rows.sight(r, start), scratch.scores + r * tile, scratch.maxima[r], scratch.totals[r]);

  __builtin_memset(scratch.sums + first * a.dv, 0, size_t((last - first) * a.dv) * 4);
  for (int64_t r = first; r < last; r += Attention::rows) {
    int64_t count = last - r < Attention::rows ? last - r : Attention::rows;
    // Keys that all rows see are taken together; the few before and behind by each row alone.
    int low = rows.sight(r + count - 1, start).low, high = rows.sight(r, start).high;
    if (low > high) low = high;
    auto alone = [&](bool before) {
      for (int64_t i = r; i < r + count; i++) {
        Sight s = rows.sight(i, start);
        int begin = before ? s.low : high > s.low ? high : s.low, end = before ? low : s.high;
        weigh_keys<1, W>(rows, start, begin, end, scratch.scores + i * tile, scratch.sums + i * a.dv);
      }
    };
    alone(true);
    with_count(count, [&](auto n) {
      weigh_keys<n.value, W>(rows, start, low, high, scratch.scores + r * tile, scratch.sums + r * a.dv);
    });
    alone(false);
  }
}

/** Joins a tile's result to that of the tiles before it: y is the weighted sum so far. */
inline void merge(float* y, float& maximum, float& total, const float* sums, float tile_maximum,
                  float tile_total, int64_t dv) {
  if (tile_maximum == -__builtin_inff()) return;
  float top = maximum > tile_maximum ? maximum : tile_maximum;
  float factors[2 * V::lanes];
  V::store(factors, exp(V::set1(maximum - top)));
  V::store(factors + V::lanes, exp(V::set1(tile_maximum - top)));
  float before = factors[0], now = factors[V::lanes];
  V::F keep = V::set1(before), join = V::set1(now);
  each(y, 0, dv, [&](auto load, int64_t j) { return V::fma(keep, load(y + j), V::mul(join, load(sums + j))); });
  maximum = top;
  total = total * before + tile_total * now;
}

inline void finish(float* y, float total, int64_t dv) {
  V::F t = V::set1(total);
  each(y, 0, dv, [&](auto load, int64_t j) { return V::div(load(y + j), t); });
}

/** All tiles of a block, merged as they come. */
template <class K, class W> inline void attend_block(const Rows& rows, const Scratch& scratch) {
  const Attention& a = rows.a;
  float maxima[Attention::block], totals[Attention::block];
  for (int64_t r = 0; r < rows.count; r++) {
    maxima[r] = -__builtin_inff();
    totals[r] = 0;
    __builtin_memset(a.y.f32() + rows.index(r) * a.dv, 0, size_t(a.dv) * 4);
  }
  int64_t start = rows.lowest(0) / Attention::tile * Attention::tile, end = rows.highest(rows.count - 1);
  for (; start < end; start += Attention::tile) {
    int64_t first, last;
    if (!rows.seeing(start, first, last)) continue;
    attend_tile<K, W>(rows, first, last, start, scratch);
    for (int64_t r = first; r < last; r++)
      merge(a.y.f32() + rows.index(r) * a.dv, maxima[r], totals[r], scratch.sums + r * a.dv, scratch.maxima[r],
            scratch.totals[r], a.dv);
  }
  for (int64_t r = 0; r < rows.count; r++) finish(a.y.f32() + rows.index(r) * a.dv, totals[r], a.dv);
}

/** One tile of a block; the results go to `partials` [n * heads, tiles, dv + 2]. */
template <class K, class W>
inline void attend_part(const Rows& rows, int64_t tile, const Scratch& scratch, float* partials) {
  const Attention& a = rows.a;
  int64_t start = tile * Attention::tile, first, last;
  if (rows.seeing(start, first, last)) attend_tile<K, W>(rows, first, last, start, scratch);
  for (int64_t r = 0; r < rows.count; r++) {
    float* out = partials + (rows.index(r) * a.tiles() + tile) * a.partial_floats();
    bool seen = r >= first && r < last;
    out[0] = seen ? scratch.maxima[r] : -__builtin_inff();
    if (!seen) continue;
    out[1] = scratch.totals[r];
    __builtin_memcpy(out + 2, scratch.sums + r * a.dv, size_t(a.dv) * 4);
  }
}

/** The parts of the whole op, in an order that puts the longest first: [sequence, block, tile, head]. */
struct Parts {
  const Attention& a;
  bool split;
  int64_t sequence, before = 0;

  Parts(const Attention& a, bool split) : a(a), split(split), sequence(a.sequences - 1) {}

  static int64_t tiles_of(const Span& span) {
    return (span.position + span.count + Attention::tile - 1) / Attention::tile;
  }

  /** Calls run(rows, tile) for part `index`, which must not fall from call to call; false behind the last. */
  template <class Fn> bool with(int64_t index, Fn run) {
    for (; sequence >= 0; sequence--) {
      Span span = span_of(a, sequence);
      int64_t blocks = (span.count * a.group + Attention::block - 1) / Attention::block;
      int64_t tiles = split ? tiles_of(span) : 1, parts = blocks * tiles * a.kv_heads;
      if (index - before >= parts) {
        before += parts;
        continue;
      }
      int64_t i = index - before, begin = (blocks - 1 - i / (tiles * a.kv_heads)) * Attention::block;
      int64_t left = span.count * a.group - begin;
      Rows rows = {a, span, i % a.kv_heads, begin, left < Attention::block ? left : Attention::block};
      run(rows, i / a.kv_heads % tiles);
      return true;
    }
    return false;
  }
};

template <class K, class W> inline void attend_as(const Attention& a, const Work& work) {
  bool split = a.split(work.threads);
  float* partials = reinterpret_cast<float*>(work.scratch) + work.threads * a.thread_floats();
  Scratch scratch(a, work.scratch, work.thread);
  Parts parts(a, split);
  while (parts.with(work.take(), [&](const Rows& rows, int64_t tile) {
    if (split) attend_part<K, W>(rows, tile, scratch, partials);
    else attend_block<K, W>(rows, scratch);
  })) {
  }
  if (!split) return;
  work.barrier();
  for (int64_t t = 0; t < a.sequences; t++) {
    Span span = span_of(a, t);
    for (int64_t r = span.first * a.heads; r < (span.first + span.count) * a.heads; r++) {
      if (r % work.threads != work.thread) continue;
      float maximum = -__builtin_inff(), total = 0, *y = a.y.f32() + r * a.dv;
      __builtin_memset(y, 0, size_t(a.dv) * 4);
      for (int64_t tile = 0; tile < Parts::tiles_of(span); tile++) {
        const float* part = partials + (r * a.tiles() + tile) * a.partial_floats();
        merge(y, maximum, total, part + 2, part[0], part[1], a.dv);
      }
      finish(y, total, a.dv);
    }
  }
}

inline int64_t attend_scratch(const Op& op, int threads) {
  Attention a(op);
  return 4 * a.thread_floats() * threads + (a.split(threads) ? a.partials_bytes() : 0);
}

inline void attend(const Op& op, const Work& work) {
  Attention a(op);
  bool half_keys = a.keys.dtype == DType::f16, half_values = a.values.dtype == DType::f16;
  if (half_keys && half_values) attend_as<uint16_t, uint16_t>(a, work);
  else if (half_keys) attend_as<uint16_t, float>(a, work);
  else if (half_values) attend_as<float, uint16_t>(a, work);
  else attend_as<float, float>(a, work);
}

}  // namespace fovea::FOVEA_ISA
