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

/** Scores of the rows [first, last) against the keys [from, to) that they see. */
template <class T>
inline void score_piece(const Rows& rows, int64_t first, int64_t last, int64_t start, int from, int to,
                        const T* const* runs, const uint16_t* const* run_scales, const Scratch& scratch,
                        NextTile& next) {
  constexpr int L = V::lanes, most = Attention::rows;
  for (int64_t r = first; r < last; r += most) {
    int64_t count = last - r < most ? last - r : most;
    int low = rows.sight(r, start).low, high = rows.sight(r + count - 1, start).high;
    if (low < from) low = from;
    if (high > to) high = to;
    if (low < high) with_count(count, [&](auto n) {
      constexpr int R = decltype(n)::value, N = Attention::vectors<R>();
      for (int k = low / (N * L) * (N * L); k < high; k += N * L) {
        const T* keys[N];
        const uint16_t* scales[N];
        for (int i = 0; i < N; i++) {
          int at = k + i * L;
          keys[i] = runs[at / run_keys] + at % run_keys;
          scales[i] = run_scales ? run_scales[at / run_keys] + at % run_keys : nullptr;
        }
        next.ask();
        score_rows<R, N>(scratch.queries + r * Attention::part, rows.a.d, keys, scales,
                         scratch.scores + r * Attention::tile + k);
      }
    });
  }
}

/** sums += weights times values for the rows [first, last) and the keys [from, to) that they see, in order. */
template <class T>
inline void weigh_piece(const Rows& rows, int64_t first, int64_t last, int64_t start, int from, int to,
                        const TileValues<T>& values, const Scratch& scratch, NextTile& next) {
  constexpr int tile = Attention::tile, most = Attention::rows;
  const float* scores = scratch.scores;
  float* sums = scratch.sums;
  int64_t dv = values.dv;
  auto within = [&](int key) { return key < from ? from : key > to ? to : key; };
  for (int64_t r = first; r < last; r += most) {
    int64_t count = last - r < most ? last - r : most;
    // Keys that all rows see are taken together; the few before and behind by each row alone.
    int low = within(rows.sight(r + count - 1, start).low), high = within(rows.sight(r, start).high);
    if (low > high) low = high;
    auto alone = [&](bool before) {
      for (int64_t i = r; i < r + count; i++) {
        Sight s = rows.sight(i, start);
        int begin = within(s.low), end = within(s.high);
        if (before) end = low;
        else if (high > begin) begin = high;
        weigh<1>(scores + i * tile, begin, end, values, sums + i * dv, next);
      }
    };
    alone(true);
    with_count(count, [&](auto n) {
      weigh<decltype(n)::value>(scores + r * tile, low, high, values, sums + r * dv, next);
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
 * row's maximum, total and weighted sum of values in the scratch memory. `then`: where the tile begins that these rows
 * meet next; -1: none.
 */
inline void attend_tile(const Rows& rows, int64_t first, int64_t last, int64_t start, int64_t then,
                        const Scratch& scratch) {
  constexpr int64_t columns = Attention::vectors<Attention::rows>() * V::lanes;
  constexpr int piece = Attention::piece, piece_runs = piece / run_keys, most = Attention::rows;
  const Attention& a = rows.a;
  int from = rows.sight(first, start).low, to = rows.sight(last - 1, start).high;
  Runs runs(a, rows.span, rows.g, start, from, to);
  bool many = last - first > Attention::few;
  bool ahead = rows.places && NextTile::pays(a, last - first);
  int64_t groups = (last - first + most - 1) / most;
  /** Calls run(index in the tile, index in the piece) for the runs of the piece from `key` that are seen. */
  auto each_run = [&](int key, auto run) {
    for (int r = 0; r < piece_runs; r++)
      if (key + (r + 1) * run_keys > from && key + r * run_keys < to) run(key / run_keys + r, r);
  };
  const float* wide[Runs::count];
  for (int r = 0; many && r < Runs::count; r++) wide[r] = scratch.keys + r % piece_runs * run_keys * a.d;
  NextTile next;

  if (ahead) next = {a, rows, start, a.values, a.value_bytes, groups * Attention::tile / columns};
  with_cached(a.keys.dtype, [&](auto type) {
    using T = decltype(type);
    auto* const* keys = reinterpret_cast<const T* const*>(runs.keys);
    auto* const* scales = reinterpret_cast<const uint16_t* const*>(runs.key_scales);
    // A piece of keys stays in the first cache while the rows pass; if they pass at once there is no need of pieces.
    int step = groups > 1 ? piece : Attention::tile;
    for (int key = from / step * step; key < to; key += step) {
      if (sizeof(T) == 4 || !many) {
        score_piece<T>(rows, first, last, start, key, key + step, keys, T_is_code<T> ? scales : nullptr, scratch, next);
        continue;
      }
      each_run(key, [&](int r, int in_piece) {
        widen_keys(keys[r], scales[r], a.d, scratch.keys + in_piece * run_keys * a.d);
      });
      score_piece<float>(rows, first, last, start, key, key + step, wide, nullptr, scratch, next);
    }
  });

  soften_rows(rows, first, last, start, scratch);

  next.lot = 0;
  if (ahead && then >= 0)
    next = {a, rows, then, a.keys, a.key_bytes, groups * ((a.dv + columns - 1) / columns) * Runs::count};
  __builtin_memset(scratch.sums + first * a.dv, 0, size_t((last - first) * a.dv) * 4);
  with_cached(a.values.dtype, [&](auto type) {
    using T = decltype(type);
    auto* const* values = reinterpret_cast<const T* const*>(runs.values);
    auto* const* scales = reinterpret_cast<const uint16_t* const*>(runs.value_scales);
    if (T_is_code<T>)
      for (int r = from / run_keys; r * run_keys < to; r++)
        widen_scales(scales[r], a.dv / 32, scratch.scales + r * run_keys * (a.dv / 32));
    TileValues<T> stored = {values, run_bits, scratch.scales, a.dv};
    if (sizeof(T) == 4 || !many)
      return weigh_piece<T>(rows, first, last, start, 0, Attention::tile, stored, scratch, next);
    TileValues<float> widened = {wide, piece_bits, nullptr, a.dv};
    for (int key = from / piece * piece; key < to; key += piece) {
      each_run(key, [&](int r, int in_piece) {
        const float* run_scales = scratch.scales + r * run_keys * (a.dv / 32);
        widen_values(values[r], run_scales, a.dv, scratch.values + in_piece * run_keys * a.dv);
      });
      wide[key / piece] = scratch.values;
      weigh_piece<float>(rows, first, last, start, key, key + piece, widened, scratch, next);
    }
  });
}

}  // namespace fovea::FOVEA_ISA
