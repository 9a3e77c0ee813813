// Normalizations over rows; their equations are in src/ops/norm.ts.
#pragma once
#include "elementwise.h"

namespace fovea::FOVEA_ISA {

/** Sum of f(j) over a row of d, in an order that d alone decides: four vectors of partial sums. */
template <class Fn> inline float sum_row(int64_t d, Fn f) {
  V::F s[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  auto whole = [](const float* p) { return V::load(p); };
  int64_t j = 0;
  for (; j + 4 * V::lanes <= d; j += 4 * V::lanes) {
    FOVEA_UNROLL(4)
    for (int u = 0; u < 4; u++) s[u] = V::add(s[u], f(whole, j + u * V::lanes));
  }
  for (; j + V::lanes <= d; j += V::lanes) s[0] = V::add(s[0], f(whole, j));
  if (int rest = int(d - j); rest > 0)
    s[1] = V::add(s[1], f([rest](const float* p) { return V::load_tail(p, rest); }, j));
  return V::reduce_add(V::add(V::add(s[0], s[1]), V::add(s[2], s[3])));
}

/** 1 / sqrt(mean of squares + eps) of a row. */
inline float inverse_rms(const float* row, int64_t d, float eps) {
  float squares = sum_row(d, [&](auto load, int64_t j) {
    V::F a = load(row + j);
    return V::mul(a, a);
  });
  return 1 / __builtin_sqrtf(squares / float(d) + eps);
}

/** y[j] = x[j] * factor * w[j] for j in [begin, end). */
inline void scale_row(const float* x, float factor, const float* w, int64_t begin, int64_t end, float* y) {
  V::F f = V::set1(factor);
  each(y, begin, end, [&](auto load, int64_t j) { return V::mul(V::mul(load(x + j), f), load(w + j)); });
}

inline void rmsnorm(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), weight = op.tensor(1), y = op.tensor(2);
  int64_t n = x.d[0], d = x.d[1], begin, end;
  float eps = float(op.number(0));
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float* row = x.f32() + i * d;
    const float* w = weight.f32() + i % weight.d[0] * d;
    scale_row(row, inverse_rms(row, d, eps), w, 0, d, y.f32() + i * d);
  }
}

inline void layernorm(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), weight = op.tensor(1), bias = op.tensor(2), y = op.tensor(3);
  int64_t n = x.d[0], d = x.d[1], begin, end;
  float eps = float(op.number(0));
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float* row = x.f32() + i * d;
    int64_t own = i % weight.d[0] * d;
    float mean = sum_row(d, [&](auto load, int64_t j) { return load(row + j); }) / float(d);
    // In memory, so that a tail reads zeros for both the row and its mean behind the end.
    float center[V::lanes];
    V::store(center, V::set1(mean));
    float squares = sum_row(d, [&](auto load, int64_t j) {
      V::F a = V::sub(load(row + j), load(center));
      return V::mul(a, a);
    });
    V::F factor = V::set1(1 / __builtin_sqrtf(squares / float(d) + eps));
    each(y.f32() + i * d, 0, d, [&](auto load, int64_t j) {
      V::F scaled = V::mul(V::mul(V::sub(load(row + j), load(center)), factor), load(weight.f32() + own + j));
      return bias.data ? V::add(scaled, load(bias.f32() + own + j)) : scaled;
    });
  }
}

}  // namespace fovea::FOVEA_ISA
