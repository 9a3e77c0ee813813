// Mixture of experts: routing, and the joining of results; the equations are in src/ops/experts.ts.
#pragma once
#include "../simd/math.h"
#include "elementwise.h"

namespace fovea::FOVEA_ISA {

inline float exp_of(float x) {
  float out[V::lanes];
  V::store(out, exp(V::set1(x)));
  return out[0];
}

/** Bytes of one mark for each expert, for each thread. */
inline int64_t route_scratch(const Op& op, int threads) { return (op.tensor(0).d[1] + 63) / 64 * 64 * threads; }

/** NaN sorts below all numbers, so that the picks are always different experts. */
inline void route(const Op& op, const Work& work) {
  Tensor logits = op.tensor(0), experts = op.tensor(1), weights = op.tensor(2);
  int64_t e = logits.d[1], picks = experts.d[1], begin, end;
  bool normalize = op.number(0) != 0;
  uint8_t* taken = work.scratch + (e + 63) / 64 * 64 * work.thread;
  work.share(logits.d[0], 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float* row = logits.f32() + i * e;
    int32_t* index = experts.i32() + i * picks;
    float* weight = weights.f32() + i * picks;
    __builtin_memset(taken, 0, size_t(e));
    for (int64_t p = 0; p < picks; p++) {
      int64_t best = -1;
      for (int64_t j = 0; j < e; j++)
        if (!taken[j] && (best < 0 || row[j] > row[best] || (row[best] != row[best] && row[j] == row[j]))) best = j;
      taken[best] = 1;
      index[p] = int32_t(best);
    }
    // The first pick is the largest logit; NaN anywhere makes the sum over all experts NaN, as a softmax does.
    float max = row[index[0]], all = 0, chosen = 0;
    for (int64_t j = 0; j < e; j++) all += exp_of(row[j] - max);
    for (int64_t p = 0; p < picks; p++) chosen += weight[p] = exp_of(row[index[p]] - max) / all;
    if (normalize)
      for (int64_t p = 0; p < picks; p++) weight[p] /= chosen;
  }
}

inline void combine(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), weights = op.tensor(1), y = op.tensor(2);
  int64_t n = weights.d[0], picks = weights.d[1], d = x.d[1], begin, end;
  // A part is a piece of a row: one token's row is shared too.
  constexpr int64_t piece = 256;
  int64_t pieces = (d + piece - 1) / piece;
  work.share(n * pieces, 1, begin, end);
  for (int64_t part = begin; part < end; part++) {
    int64_t i = part / pieces, from = part % pieces * piece, to = from + piece < d ? from + piece : d;
    const float *rows = x.f32() + i * picks * d, *w = weights.f32() + i * picks;
    each(y.f32() + i * d, from, to, [&](auto load, int64_t j) {
      V::F sum = V::zero();
      for (int64_t p = 0; p < picks; p++) sum = V::fma(V::set1(w[p]), load(rows + p * d + j), sum);
      return sum;
    });
  }
}

}  // namespace fovea::FOVEA_ISA
