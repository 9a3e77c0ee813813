// Attention over paged keys and values; the equation, the tiles and the layout of the cache are in
// src/ops/attention.ts.
//
// Work is cut into blocks: up to `block` query rows (tokens times the heads of one group) against one tile of
// keys. A tile's scores, maximum, sum and weighted values of a query are computed in an order that the tile
// alone decides: a score sums over c = 0, 1, ..., a value over the keys in order, each in one accumulator.
// What the cache holds is widened to f32 without rounding, in registers for few rows and once in memory for
// many. So blocking, neighbours, threads and masks change no bit.
#pragma once
#include "cached.h"
#include "elementwise.h"

namespace fovea::FOVEA_ISA {

struct Attention {
  static constexpr int tile = 256;
  /** Query rows that meet a tile together. */
  static constexpr int block = 96;
  /** Components of a query that lie together: at a constant distance the rows in registers need one pointer. */
  static constexpr int part = 128;
  /** Query rows that the inner loops hold in registers. */
#if defined(FOVEA_AVX512)
  static constexpr int rows = 12;
#else
  static constexpr int rows = 6;
#endif
  /** Vectors that they hold for each of R rows: R * vectors sums stay in 32 registers, or in 16. */
  template <int R> static constexpr int vectors() {
#if defined(FOVEA_AVX512)
    return R <= 6 ? 4 : 2;
#elif defined(__ARM_NEON)
    return 4;
#else
    return 2;
#endif
  }

  Tensor q, keys, values, pages, spans, y;
  int64_t heads, kv_heads, group, d, dv, page, page_count, sequences;
  int64_t key_bytes, value_bytes;
  float scale;
  int64_t window;
  float softcap;
  int64_t longest;
  bool causal;

  explicit Attention(const Op& op)
      : q(op.tensor(0)), keys(op.tensor(1)), values(op.tensor(2)), pages(op.tensor(3)), spans(op.tensor(4)),
        y(op.tensor(5)), heads(q.d[1]), kv_heads(keys.d[1]), group(heads / kv_heads), d(q.d[2]),
        dv(values.d[3]), page(keys.d[2]), page_count(keys.d[0]), sequences(spans.d[0]),
        key_bytes(format_bytes(keys.dtype, page * d)), value_bytes(format_bytes(values.dtype, page * dv)),
        scale(float(op.number(0))), window(int64_t(op.number(1))), softcap(float(op.number(2))),
        longest(int64_t(op.number(3))), causal(op.number(4) != 0) {}

  // Scratch of a thread, in floats: keys, values and their scales, widened; queries; scores; sums.
  int64_t key_floats() const { return tile * d; }
  int64_t value_floats() const { return tile * dv; }
  int64_t scale_floats() const { return values.dtype == DType::q8_0 ? tile * dv / 32 : 0; }
  /** Queries lie as [d / part][block][part]. */
  int64_t query_floats() const { return (d + part - 1) / part * part * block; }
  int64_t thread_floats() const {
    return (key_floats() + value_floats() + scale_floats() + query_floats() + block * (tile + dv + 2) + 15) / 16 * 16;
  }
  /** A tile's result for a row and head: maximum, sum, dv weighted values. */
  int64_t partial_floats() const { return dv + 2; }
  int64_t tiles() const { return (longest + tile - 1) / tile; }
  int64_t partials_bytes() const { return 4 * q.d[0] * heads * tiles() * partial_floats(); }

  /** Whether there is memory for the results of single tiles, so that threads may share the tiles of a block. */
  bool divisible(int threads) const { return threads > 1 && tiles() > 1 && partials_bytes() <= (16 << 20); }
};

/** One sequence of the batch: rows [first, first + count) of q, at positions from `position`. */
struct Span {
  int64_t first, count, position;
  const int32_t* pages;

  int64_t keys() const { return position + count; }
  int64_t tiles() const { return (keys() + Attention::tile - 1) / Attention::tile; }
};

/** Sequence t; with no rows when its numbers do not fit the tensors. */
inline Span span_of(const Attention& a, int64_t t) {
  const int32_t* s = a.spans.i32() + 3 * t;
  Span span = {s[0], s[1], s[2], a.pages.i32() + t * a.pages.d[1]};
  bool fits = span.first >= 0 && span.count >= 0 && span.position >= 0 && span.first + span.count <= a.q.d[0] &&
              span.keys() <= a.longest && span.keys() <= a.pages.d[1] * a.page && a.page_count > 0;
  if (!fits) span.count = 0;
  return span;
}

/** Where the keys and values of one tile of one head lie, in runs of 16 keys. */
struct Runs {
  static constexpr int count = Attention::tile / run_keys;
  const uint8_t *keys[count], *key_scales[count], *values[count], *value_scales[count];

  /** Of keys [from, to) of the tile from `start`; the runs before and behind them repeat the nearest. */
  Runs(const Attention& a, const Span& span, int64_t g, int64_t start, int from, int to) {
    int first = from / run_keys, last = (to - 1) / run_keys;
    for (int r = first; r <= last; r++) {
      int64_t at = start + r * run_keys, run = at % a.page / run_keys, p = span.pages[at / a.page];
      if (p < 0 || p >= a.page_count) p = 0;
      const uint8_t* k = a.keys.data + (p * a.kv_heads + g) * a.key_bytes;
      const uint8_t* v = a.values.data + (p * a.kv_heads + g) * a.value_bytes;
      keys[r] = k + run * run_keys * a.d * element_bytes(a.keys.dtype);
      values[r] = v + run * run_keys * a.dv * element_bytes(a.values.dtype);
      key_scales[r] = k + a.page * a.d + run * run_keys * (a.d / 32) * 2;
      value_scales[r] = v + a.page * a.dv + run * run_keys * (a.dv / 32) * 2;
    }
    for (int r = 0; r < count; r++) {
      if (r >= first && r <= last) continue;
      int near = r < first ? first : last;
      keys[r] = keys[near], key_scales[r] = key_scales[near];
      values[r] = values[near], value_scales[r] = value_scales[near];
    }
  }
};

/**
 * scores[r][j] = sum over c of q[r][c] * k[j][c] for R rows, of which q holds the first, and N vectors of keys,
 * which begin at keys[n] (and whose scales at scales[n]).
 */
template <int R, int N, class T>
inline void score_rows(const float* q, int64_t d, const T* const* keys, const uint16_t* const* scales,
                       float* scores) {
  constexpr int L = V::lanes;
  V::F sum[R][N], scale[N];
  const T* k[N];
  FOVEA_UNROLL(4)
  for (int n = 0; n < N; n++) k[n] = keys[n];
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) sum[r][n] = V::zero();
  }
  constexpr int64_t step = T_is_code<T> ? 32 : Attention::part;
  for (int64_t c = 0; c < d;) {
    int64_t end = d - c < step ? d : c + step;
    const float* query = q + c / Attention::part * (Attention::block * Attention::part) + c % Attention::part;
    if constexpr (T_is_code<T>) {
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) scale[n] = V::load_f16(scales[n] + c / 32 * run_keys);
    }
    for (; c < end; c++, query++) {
      V::F x[N];
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) {
        x[n] = widen(k[n] + c * run_keys);
        if constexpr (T_is_code<T>) x[n] = V::mul(x[n], scale[n]);
      }
      FOVEA_UNROLL(12)
      for (int r = 0; r < R; r++) {
        V::F b = V::set1(query[r * Attention::part]);
        FOVEA_UNROLL(4)
        for (int n = 0; n < N; n++) sum[r][n] = V::fma(b, x[n], sum[r][n]);
      }
    }
  }
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) V::store(scores + r * Attention::tile + n * L, sum[r][n]);
  }
}

/** Values of a tile: 16 rows of dv at each of `runs`; `scales` [keys][dv / 32] widened, where they have any. */
template <class T> struct TileValues {
  const T* const* runs;
  const float* scales;
  int64_t dv;
};

/**
 * sums[r][0..N vectors) += sum over keys j of [from, to) of weights[r][j] * values[j][c...], in order. Of the
 * last vector only `rest` lanes exist.
 */
template <int R, int N, bool tail, class T>
inline void weigh_rows(const float* weights, int from, int to, const TileValues<T>& values, int64_t c, int rest,
                       float* sums) {
  constexpr int L = V::lanes;
  int64_t dv = values.dv;
  V::F sum[R][N];
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      const float* s = sums + r * dv + c + n * L;
      sum[r][n] = tail && n == N - 1 ? V::load_tail(s, rest) : V::load(s);
    }
  }
  for (int j = from; j < to;) {
    int run = j / run_keys, end = (run + 1) * run_keys < to ? (run + 1) * run_keys : to;
    const T* p = values.runs[run] + j % run_keys * dv + c;
    for (; j < end; j++, p += dv) {
      V::F v[N];
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) {
        v[n] = tail && n == N - 1 ? widen(p + n * L, rest) : widen(p + n * L);
        if constexpr (T_is_code<T>) v[n] = V::mul(v[n], V::set1(values.scales[j * (dv / 32) + (c + n * L) / 32]));
      }
      FOVEA_UNROLL(12)
      for (int r = 0; r < R; r++) {
        V::F w = V::set1(weights[r * Attention::tile + j]);
        FOVEA_UNROLL(4)
        for (int n = 0; n < N; n++) sum[r][n] = V::fma(w, v[n], sum[r][n]);
      }
    }
  }
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      float* s = sums + r * dv + c + n * L;
      if (tail && n == N - 1) V::store_tail(s, sum[r][n], rest);
      else V::store(s, sum[r][n]);
    }
  }
}

/** weigh_rows over all dv values. */
template <int R, class T>
inline void weigh(const float* weights, int from, int to, const TileValues<T>& values, float* sums) {
  constexpr int N = Attention::vectors<R>(), L = V::lanes;
  int64_t c = 0, dv = values.dv;
  if (from >= to) return;
  for (; c + N * L <= dv; c += N * L) weigh_rows<R, N, false>(weights, from, to, values, c, L, sums);
  for (; c + L <= dv; c += L) weigh_rows<R, 1, false>(weights, from, to, values, c, L, sums);
  if (c < dv)
    for (int r = 0; r < R; r++)
      weigh_rows<1, 1, true>(weights + r * Attention::tile, from, to, values, c, int(dv - c), sums + r * dv);
}

/** Calls run(Int<count>), count in [1, Attention::rows]. */
template <class Fn, int last = Attention::rows> inline void with_count(int64_t count, Fn run) {
  if constexpr (last > 1)
    if (count < last) return with_count<Fn, last - 1>(count, run);
  run(Int<last>());
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
  float *keys, *values, *scales, *queries, *scores, *sums, *maxima, *totals;

  Scratch(const Attention& a, uint8_t* base, int thread) {
    keys = reinterpret_cast<float*>(base) + thread * a.thread_floats();
    values = keys + a.key_floats();
    queries = values + a.value_floats();
    scores = queries + a.query_floats();
    sums = scores + Attention::block * Attention::tile;
    maxima = sums + Attention::block * a.dv;
    totals = maxima + Attention::block;
    scales = totals + Attention::block;
  }
};

/** The block's queries, to their place in the scratch memory. */
inline void gather_queries(const Rows& rows, float* queries) {
  constexpr int part = Attention::part;
  for (int64_t r = 0; r < rows.count; r++)
    for (int64_t c = 0; c < rows.a.d; c += part) {
      int64_t count = rows.a.d - c < part ? rows.a.d - c : part;
      __builtin_memcpy(queries + c * Attention::block + r * part, rows.query(r) + c, size_t(count) * 4);
    }
}

/** Scores become weights 2^(score / ln 2 - maximum); gives the maximum, in the same unit, and the sum. */
inline void soften(const Attention& a, Sight sight, float* scores, float& maximum, float& total) {
  constexpr int L = V::lanes;
  float lanes[L];
  for (int i = 0; i < L; i++) lanes[i] = float(i);
  V::F lane = V::load(lanes), low = V::set1(float(sight.low)), high = V::set1(float(sight.high));
  V::F lowest = V::set1(-__builtin_inff()), max = lowest;
  V::F unit = V::set1(a.softcap != 0 ? 1.44269504f : float(double(a.scale) * 1.4426950408889634));
  V::F scale = V::set1(a.scale), cap = V::set1(a.softcap), inverse = V::set1(1 / a.softcap);
  // Only the first and the last vector can hold keys that are not seen: anything may stand there.
  auto each = [&](auto run) {
    for (int j = sight.low / L * L; j < sight.high; j += L) {
      bool whole = j >= sight.low && j + L <= sight.high;
      run(j, [&](V::F x, V::F other) {
        if (whole) return x;
        V::F at = V::add(V::set1(float(j)), lane);
        return V::select(V::lt(at, low), other, V::select(V::lt(at, high), x, other));
      });
    }
  };
  each([&](int j, auto seen) {
    V::F s = V::load(scores + j);
    if (a.softcap != 0) V::store(scores + j, s = capped(V::mul(scale, s), cap, inverse));
    max = V::max(max, seen(V::mul(unit, s), lowest));
  });
  maximum = V::reduce_max(max);
  // Scores that are all -inf weigh nothing.
  V::F m = V::set1(maximum == -__builtin_inff() ? 0 : -maximum), sum = V::zero();
  each([&](int j, auto seen) {
    V::F w = seen(exp2(V::fma(unit, V::load(scores + j), m)), V::zero());
    V::store(scores + j, w);
    sum = V::add(sum, w);
  });
  total = V::reduce_add(sum);
  // The maximum passes over NaN; the tile may not be passed over.
  if (total != total) maximum = total;
}

/** Scores of the rows [first, last) against all keys of the tile that they see. */
template <class T>
inline void score_tile(const Rows& rows, int64_t first, int64_t last, int64_t start, const T* const* runs,
                       const uint16_t* const* run_scales, const float* queries, float* scores) {
  constexpr int L = V::lanes, most = Attention::rows;
  auto pass = [&](int64_t r, auto n, int from, int to) {
    constexpr int R = decltype(n)::value, N = Attention::vectors<R>();
    for (int key = from / (N * L) * (N * L); key < to; key += N * L) {
      const T* keys[N];
      const uint16_t* scales[N];
      for (int i = 0; i < N; i++) {
        int at = key + i * L;
        keys[i] = runs[at / run_keys] + at % run_keys;
        scales[i] = run_scales ? run_scales[at / run_keys] + at % run_keys : nullptr;
      }
      score_rows<R, N>(queries + r * Attention::part, rows.a.d, keys, scales, scores + r * Attention::tile + key);
    }
  };
  // Keys outside, so that a piece of them stays in the first cache while the rows pass.
  constexpr int piece = 64;
  int from = rows.sight(first, start).low, to = rows.sight(last - 1, start).high;
  for (int key = from / piece * piece; key < to; key += piece)
    for (int64_t r = first; r < last; r += most) {
      int64_t count = last - r < most ? last - r : most;
      int low = rows.sight(r, start).low, high = rows.sight(r + count - 1, start).high;
      if (low < key) low = key;
      if (high > key + piece) high = key + piece;
      if (low < high) with_count(count, [&](auto n) { pass(r, n, low, high); });
    }
}

/** sums = weights times values for the rows [first, last). */
template <class T>
inline void weigh_tile(const Rows& rows, int64_t first, int64_t last, int64_t start, const TileValues<T>& values,
                       const float* scores, float* sums) {
  constexpr int tile = Attention::tile, most = Attention::rows;
  int64_t dv = values.dv;
  __builtin_memset(sums + first * dv, 0, size_t((last - first) * dv) * 4);
  for (int64_t r = first; r < last; r += most) {
    int64_t count = last - r < most ? last - r : most;
    // Keys that all rows see are taken together; the few before and behind by each row alone.
    int low = rows.sight(r + count - 1, start).low, high = rows.sight(r, start).high;
    if (low > high) low = high;
    auto alone = [&](bool before) {
      for (int64_t i = r; i < r + count; i++) {
        Sight s = rows.sight(i, start);
        int begin = before ? s.low : high > s.low ? high : s.low, end = before ? low : s.high;
        weigh<1>(scores + i * tile, begin, end, values, sums + i * dv);
      }
    };
    alone(true);
    with_count(count, [&](auto n) {
      weigh<decltype(n)::value>(scores + r * tile, low, high, values, sums + r * dv);
    });
    alone(false);
  }
}

/**
 * The rows [first, last) of a block, all of which see keys of the tile that begins at `start`: leaves each
 * row's maximum, total and weighted sum of values in the scratch memory.
 */
inline void attend_tile(const Rows& rows, int64_t first, int64_t last, int64_t start, const Scratch& scratch) {
  const Attention& a = rows.a;
  int from = rows.sight(first, start).low, to = rows.sight(last - 1, start).high;
  Runs runs(a, rows.span, rows.g, start, from, to);
  bool many = last - first > 2 * Attention::rows;
  int first_run = from / run_keys, runs_end = (to - 1) / run_keys + 1;
  const float* wide[Runs::count];

  with_cached(a.keys.dtype, [&](auto type) {
    using T = decltype(type);
    auto* const* keys = reinterpret_cast<const T* const*>(runs.keys);
    auto* const* scales = reinterpret_cast<const uint16_t* const*>(runs.key_scales);
    if (sizeof(T) == 4 || !many)
      return score_tile<T>(rows, first, last, start, keys, T_is_code<T> ? scales : nullptr, scratch.queries,
                           scratch.scores);
    for (int r = 0; r < Runs::count; r++) {
      float* to_run = scratch.keys + r * run_keys * a.d;
      wide[r] = to_run;
      if (r >= first_run && r < runs_end) widen_keys(keys[r], scales[r], a.d, to_run);
    }
    score_tile<float>(rows, first, last, start, wide, nullptr, scratch.queries, scratch.scores);
  });

  for (int64_t r = first; r < last; r++)
    soften(a, rows.sight(r, start), scratch.scores + r * Attention::tile, scratch.maxima[r], scratch.totals[r]);

  with_cached(a.values.dtype, [&](auto type) {
    using T = decltype(type);
    auto* const* values = reinterpret_cast<const T* const*>(runs.values);
    auto* const* scales = reinterpret_cast<const uint16_t* const*>(runs.value_scales);
    if (T_is_code<T>)
      for (int r = first_run; r < runs_end; r++)
        widen_scales(scales[r], a.dv / 32, scratch.scales + r * run_keys * (a.dv / 32));
    TileValues<T> stored = {values, scratch.scales, a.dv};
    if (sizeof(T) == 4 || !many)
      return weigh_tile<T>(rows, first, last, start, stored, scratch.scores, scratch.sums);
    for (int r = first_run; r < runs_end; r++) {
      float* to_run = scratch.values + r * run_keys * a.dv;
      wide[r] = to_run;
      widen_values(values[r], scratch.scales + r * run_keys * (a.dv / 32), a.dv, to_run);
    }
    weigh_tile<float>(rows, first, last, start, {wide, nullptr, a.dv}, scratch.scores, scratch.sums);
  });
}

/** Joins a tile's result to that of the tiles before it: y is the weighted sum so far. */
inline void merge(float* y, float& maximum, float& total, const float* sums, float tile_maximum,
                  float tile_total, int64_t dv) {
  if (tile_maximum == -__builtin_inff()) return;
  float top = maximum > tile_maximum ? maximum : tile_maximum;
  float factors[2 * V::lanes];
  V::store(factors, exp2(V::set1(maximum - top)));
  V::store(factors + V::lanes, exp2(V::set1(tile_maximum - top)));
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
inline void attend_block(const Rows& rows, const Scratch& scratch) {
  const Attention& a = rows.a;
  float maxima[Attention::block], totals[Attention::block];
  for (int64_t r = 0; r < rows.count; r++) {
    maxima[r] = -__builtin_inff();
    totals[r] = 0;
    __builtin_memset(a.y.f32() + rows.index(r) * a.dv, 0, size_t(a.dv) * 4);
  }
  gather_queries(rows, scratch.queries);
  int64_t start = rows.lowest(0) / Attention::tile * Attention::tile, end = rows.highest(rows.count - 1);
  for (; start < end; start += Attention::tile) {
    int64_t first, last;
    if (!rows.seeing(start, first, last)) continue;
    attend_tile(rows, first, last, start, scratch);
    for (int64_t r = first; r < last; r++)
      merge(a.y.f32() + rows.index(r) * a.dv, maxima[r], totals[r], scratch.sums + r * a.dv, scratch.maxima[r],
            scratch.totals[r], a.dv);
  }
  for (int64_t r = 0; r < rows.count; r++) finish(a.y.f32() + rows.index(r) * a.dv, totals[r], a.dv);
}

/** One tile of a block; the results go to `partials` [n * heads, tiles, dv + 2]. */
inline void attend_part(const Rows& rows, int64_t tile, const Scratch& scratch, float* partials) {
  const Attention& a = rows.a;
  int64_t start = tile * Attention::tile, first, last;
  if (rows.seeing(start, first, last)) {
    gather_queries(rows, scratch.queries);
    attend_tile(rows, first, last, start, scratch);
  }
  for (int64_t r = 0; r < rows.count; r++) {
    float* out = partials + (rows.index(r) * a.tiles() + tile) * a.partial_floats();
    bool seen = r >= first && r < last;
    out[0] = seen ? scratch.maxima[r] : -__builtin_inff();
    if (!seen) continue;
    out[1] = scratch.totals[r];
    __builtin_memcpy(out + 2, scratch.sums + r * a.dv, size_t(a.dv) * 4);
  }
}

/**
 * Whether the tiles of a block are shared among threads and merged afterwards: when whole blocks, taken as they
 * come, would leave threads without work for long.
 */
inline bool split_tiles(const Attention& a, int threads) {
  if (!a.divisible(threads)) return false;
  int64_t total = 0, largest = 0;
  for (int64_t t = 0; t < a.sequences; t++) {
    Span span = span_of(a, t);
    int64_t rows = span.count * a.group, block = (rows < Attention::block ? rows : Attention::block) * span.tiles();
    total += rows * span.tiles() * a.kv_heads;
    if (block > largest) largest = block;
  }
  return 8 * threads * largest > total;
}

/** The parts of the whole op, with the longest of a sequence first: [sequence, block, tile, head]. */
struct Parts {
  const Attention& a;
  bool split;
  int64_t sequence, before = 0;

  Parts(const Attention& a, bool split) : a(a), split(split), sequence(a.sequences - 1) {}

  /** Calls run(rows, tile) for part `index`, which must not fall from call to call; false behind the last. */
  template <class Fn> bool with(int64_t index, Fn run) {
    for (; sequence >= 0; sequence--) {
      Span span = span_of(a, sequence);
      int64_t blocks = (span.count * a.group + Attention::block - 1) / Attention::block;
      int64_t tiles = split ? span.tiles() : 1, parts = blocks * tiles * a.kv_heads;
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

inline int64_t attend_scratch(const Op& op, int threads) {
  Attention a(op);
  return 4 * a.thread_floats() * threads + (a.divisible(threads) ? a.partials_bytes() : 0);
}

inline void attend(const Op& op, const Work& work) {
  Attention a(op);
  bool split = split_tiles(a, work.threads);
  float* partials = reinterpret_cast<float*>(work.scratch) + work.threads * a.thread_floats();
  Scratch scratch(a, work.scratch, work.thread);
  Parts parts(a, split);
  while (parts.with(work.take(), [&](const Rows& rows, int64_t tile) {
    if (split) attend_part(rows, tile, scratch, partials);
    else attend_block(rows, scratch);
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
      for (int64_t tile = 0; tile < span.tiles(); tile++) {
        const float* part = partials + (r * a.tiles() + tile) * a.partial_floats();
        merge(y, maximum, total, part + 2, part[0], part[1], a.dv);
      }
      finish(y, total, a.dv);
    }
  }
}

}  // namespace fovea::FOVEA_ISA
