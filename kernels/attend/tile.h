// A block of query rows against one tile of keys: scores, weights, weighted values. What the cache holds is widened
// in registers for few rows and once in scratch memory for many; no bit depends on which.
#pragma once
#include "products.h"
#include "soften.h"

namespace fovea::FOVEA_ISA {

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

/** The scores of the rows [first, last) become weights. */
inline void soften_rows(const Rows& rows, int64_t first, int64_t last, int64_t start, const Scratch& scratch) {
  constexpr int tile = Attention::tile, together = 4;
  const Attention& a = rows.a;
  bool plain = a.softcap == 0 && a.scale > 0;
  auto whole = [&](int64_t r) {
    Sight s = rows.sight(r, start);
    return s.low == 0 && s.high == tile;
  };
  for (int64_t r = first; r < last;) {
    float *scores = scratch.scores + r * tile, *maxima = scratch.maxima + r, *totals = scratch.totals + r;
    // Those between two that see the whole tile see it too.
    if (plain && last - r >= together && whole(r) && whole(r + together - 1)) {
      soften_whole<together>(a, scores, maxima, totals);
      r += together;
    } else soften(a, rows.sight(r, start), scores, *maxima, *totals), r++;
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

  soften_rows(rows, first, last, start, scratch);

  with_cached(a.values.dtype, [&](auto type) {
    using T = decltype(type);
    auto* const* values = reinterpret_cast<const T* const*>(runs.values);
    auto* const* scales = reinterpret_cast<const uint16_t* const*>(runs.value_scales);
    if (T_is_code<T>)
      for (int r = first_run; r < runs_end; r++)
        widen_scales(scales[r], a.dv / 32, scratch.scales + r * run_keys * (a.dv / 32));
    TileValues<T> stored = {values, TileValues<T>::run_bits, scratch.scales, a.dv};
    if (sizeof(T) == 4 || !many)
      return weigh_tile<T>(rows, first, last, start, stored, scratch.scores, scratch.sums);
    for (int r = first_run; r < runs_end; r++)
      widen_values(values[r], scratch.scales + r * run_keys * (a.dv / 32), a.dv, scratch.values + r * run_keys * a.dv);
    wide[0] = scratch.values;
    TileValues<float> widened = {wide, TileValues<float>::tile_bits, nullptr, a.dv};
    weigh_tile<float>(rows, first, last, start, widened, scratch.scores, scratch.sums);
  });
}

}  // namespace fovea::FOVEA_ISA
