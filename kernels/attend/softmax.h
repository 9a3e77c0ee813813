// The softmax of attention, tile by tile, in powers of two: scores to weights with a maximum and a sum of the tile's
// own, and the merging of tiles in order.
#pragma once
#include "rows.h"
#include "../ops/elementwise.h"

namespace fovea::FOVEA_ISA {

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
  // The maximum is rounded, by what may itself be a large power of two: all scores are then rounded like it.
  if (maximum > 1 << 20 || maximum < -(1 << 20)) {
    each([&](int j, auto) { V::store(scores + j, V::mul(unit, V::load(scores + j))); });
    unit = V::set1(1);
  }
  each([&](int j, auto seen) {
    V::F w = seen(exp2(V::fma(unit, V::load(scores + j), m)), V::zero());
    V::store(scores + j, w);
    sum = V::add(sum, w);
  });
  total = V::reduce_add(sum);
  // The maximum passes over NaN; the tile may not be passed over.
  if (total != total) maximum = total;
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

}  // namespace fovea::FOVEA_ISA
