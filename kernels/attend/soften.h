// The softmax of several rows at once that see a whole tile: rows in turns, because what one row waits for (its
// largest score, its sum) another can compute meanwhile. Each row's order is that of `soften`, so no bit changes.
#pragma once
#include "softmax.h"

namespace fovea::FOVEA_ISA {

/** `soften` for R rows of scores, all of whose keys are seen, without a cap and with a scale above 0. */
template <int R> inline void soften_whole(const Attention& a, float* scores, float* maxima, float* totals) {
  constexpr int L = V::lanes, tile = Attention::tile;
  float factor = float(double(a.scale) * 1.4426950408889634);
  V::F unit = V::set1(factor), max[R], sum[R], m[R];
  FOVEA_UNROLL(4)
  for (int r = 0; r < R; r++) max[r] = V::set1(-__builtin_inff());
  for (int j = 0; j < tile; j += L) {
    FOVEA_UNROLL(4)
    for (int r = 0; r < R; r++) max[r] = V::max(max[r], V::load(scores + r * tile + j));
  }
  bool usual = true;
  FOVEA_UNROLL(4)
  for (int r = 0; r < R; r++) {
    // Rounding keeps the order: the largest product is that of the largest score.
    maxima[r] = factor * V::reduce_max(max[r]);
    usual = usual && maxima[r] <= 1 << 20 && maxima[r] >= -(1 << 20);
    m[r] = V::set1(-maxima[r]);
    sum[r] = V::zero();
  }
  if (!usual) {
    for (int r = 0; r < R; r++) soften(a, {0, tile}, scores + r * tile, maxima[r], totals[r]);
    return;
  }
  for (int j = 0; j < tile; j += L) {
    FOVEA_UNROLL(4)
    for (int r = 0; r < R; r++) {
      float* at = scores + r * tile + j;
      V::F w = exp2_below(V::fma(unit, V::load(at), m[r]));
      V::store(at, w);
      sum[r] = V::add(sum[r], w);
    }
  }
  FOVEA_UNROLL(4)
  for (int r = 0; r < R; r++) {
    totals[r] = V::reduce_add(sum[r]);
    if (totals[r] != totals[r]) maxima[r] = totals[r];
  }
}

}  // namespace fovea::FOVEA_ISA
