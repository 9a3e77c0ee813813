// Ops of an optimizer's step; their equations are in src/ops/optimizer.ts.
#pragma once
#include "reduce.h"

namespace fovea::FOVEA_ISA {

inline int64_t sum_squares_scratch(const Op& op, int) { return sum_parts_scratch(op.tensor(0).elements()); }

inline void sum_squares(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), c = op.tensor(1), y = op.tensor(2);
  float sum = sum_parts(work, x.elements(), c.data ? *c.f32() : 0, [&](auto load, int64_t j) {
    V::F a = load(x.f32() + j);
    return V::mul(a, a);
  });
  if (work.thread == 0) *y.f32() = sum;
}

inline void clip(const Op& op, const Work& work) {
  if (work.thread != 0) return;
  double scale = op.number(0), limit = op.number(1);
  double norm = scale * __builtin_sqrt(double(op.tensor(0).f32()[0]));
  op.tensor(1).f32()[0] = float(norm <= limit ? scale : scale * limit / norm);
}

inline void adamw(const Op& op, const Work& work) {
  const float *gradient = op.tensor(0).f32(), *rates = op.tensor(1).f32(), *factor = op.tensor(2).f32();
  Tensor weight = op.tensor(6), copy = op.tensor(9);
  float *w = weight.f32(), *m = op.tensor(7).f32(), *v = op.tensor(8).f32();
  auto* rounded = reinterpret_cast<uint16_t*>(copy.data);
  V::F by = V::set1(factor[0]), rate = V::set1(rates[0]), first = V::set1(rates[1]), second = V::set1(rates[2]);
  V::F to_mean = V::set1(float(1 - op.number(0))), to_square = V::set1(float(1 - op.number(1)));
  V::F eps = V::set1(float(op.number(2))), decay = V::set1(float(op.number(3)));
  /** The new weights; load and store take whole vectors, or the last few elements. */
  auto step = [&](int64_t j, auto load, auto store) FOVEA_FLAT {
    V::F g = V::mul(by, load(gradient + j)), mean = load(m + j), square = load(v + j), old = load(w + j);
    mean = V::fma(to_mean, V::sub(g, mean), mean);
    square = V::fma(to_square, V::sub(V::mul(g, g), square), square);
    V::F size = V::add(V::sqrt(V::mul(square, second)), eps);
    V::F change = V::fma(decay, old, V::div(V::mul(mean, first), size));
    V::F next = V::fnma(rate, change, old);
    store(m + j, mean);
    store(v + j, square);
    store(w + j, next);
    return next;
  };
  int64_t begin, end;
  work.share(weight.elements(), 1024, begin, end);
  int64_t j = begin;
  for (; j + V::lanes <= end; j += V::lanes) {
    V::F next = step(j, [](const float* p) FOVEA_FLAT { return V::load(p); },
                     [](float* p, V::F a) FOVEA_FLAT { V::store(p, a); });
    if (rounded) V::store_bf16(rounded + j, next);
  }
  int rest = int(end - j);
  if (rest <= 0) return;
  V::F next = step(j, [rest](const float* p) FOVEA_FLAT { return V::load_tail(p, rest); },
                   [rest](float* p, V::F a) FOVEA_FLAT { V::store_tail(p, a, rest); });
  if (rounded) V::store_bf16_tail(rounded + j, next, rest);
}

inline void average(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), rate = op.tensor(1), y = op.tensor(3);
  V::F by = V::set1(rate.f32()[0]);
  each_shared(work, y.f32(), y.elements(), [&](auto load, int64_t j) {
    V::F old = load(y.f32() + j);
    return V::fma(by, V::sub(load(x.f32() + j), old), old);
  });
}

}  // namespace fovea::FOVEA_ISA
