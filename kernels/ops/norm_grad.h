// The derivatives of both norms; their equations are in src/ops/norm-grad.ts.
#pragma once
#include "reduce.h"

namespace fovea::FOVEA_ISA {

/** The order of `norms` in src/ops/norm-grad.ts. */
enum class NormKind { rms, layer };

/** What a row is normalized with: x̂ = (x - center) * rho. The center lies in memory, for tails. */
struct Statistics {
  float center[V::lanes];
  float rho;

  Statistics(const float* x, int64_t d, float eps, NormKind norm) {
    float mean = 0;
    if (norm == NormKind::layer) mean = sum_row(d, [&](auto load, int64_t j) { return load(x + j); }) / float(d);
    V::store(center, V::set1(mean));
    float squares = sum_row(d, [&](auto load, int64_t j) {
      V::F a = V::sub(load(x + j), load(center));
      return V::mul(a, a);
    });
    rho = 1 / __builtin_sqrtf(squares / float(d) + eps);
  }

  /** x̂ at j; zeros behind the end of a tail. */
  template <class Load> FOVEA_FLAT V::F hat(const float* x, int64_t j, Load load) const {
    return V::mul(V::sub(load(x + j), load(center)), V::set1(rho));
  }
};

inline void norm_grad(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), weight = op.tensor(1), dy = op.tensor(2), c = op.tensor(3), dx = op.tensor(4);
  int64_t n = x.d[0], d = x.d[1], begin, end;
  float eps = float(op.number(0));
  NormKind norm = NormKind(int(op.number(1)));
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float *row = x.f32() + i * d, *back = dy.f32() + i * d, *w = weight.f32() + i % weight.d[0] * d;
    Statistics s(row, d, eps, norm);
    float level = 0;
    if (norm == NormKind::layer)
      level = sum_row(d, [&](auto load, int64_t j) { return V::mul(load(w + j), load(back + j)); }) / float(d);
    float along = sum_row(d, [&](auto load, int64_t j) {
      return V::mul(V::mul(load(w + j), load(back + j)), s.hat(row, j, load));
    }) / float(d);
    V::F rho = V::set1(s.rho), flat = V::set1(level), slant = V::set1(along);
    each(dx.f32() + i * d, 0, d, [&](auto load, int64_t j) {
      V::F a = V::sub(V::mul(load(w + j), load(back + j)), flat);
      a = V::fnma(s.hat(row, j, load), slant, a);
      return c.data ? V::fma(rho, a, load(c.f32() + i * d + j)) : V::mul(rho, a);
    });
  }
}

/** Rows (with all their groups) that are summed by themselves, so that there are never more than 64 parts. */
inline int64_t weight_part(int64_t rows) { return rows > 64 * 64 ? (rows + 63) / 64 : 64; }

inline int64_t norm_weight_grad_scratch(const Op& op, int) {
  Tensor x = op.tensor(0), dweight = op.tensor(3);
  int64_t rows = x.d[0] / dweight.d[0], part = weight_part(rows);
  return (rows + part - 1) / part * dweight.elements() * 4;
}

inline void norm_weight_grad(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), dy = op.tensor(1), c = op.tensor(2), dweight = op.tensor(3);
  int64_t d = x.d[1], g = dweight.d[0], rows = x.d[0] / g, part = weight_part(rows), parts = (rows + part - 1) / part;
  float eps = float(op.number(0));
  NormKind norm = NormKind(int(op.number(1)));
  float* sums = reinterpret_cast<float*>(work.scratch);
  int64_t begin, end;
  work.share(parts, 1, begin, end);
  for (int64_t p = begin; p < end; p++) {
    float* to = sums + p * g * d;
    __builtin_memset(to, 0, size_t(g * d) * 4);
    int64_t last = (p + 1) * part < rows ? (p + 1) * part : rows;
    for (int64_t i = p * part * g; i < last * g; i++) {
      const float *row = x.f32() + i * d, *back = dy.f32() + i * d;
      Statistics s(row, d, eps, norm);
      float* sum = to + i % g * d;
      each(sum, 0, d, [&](auto load, int64_t j) { return V::fma(load(back + j), s.hat(row, j, load), load(sum + j)); });
    }
  }
  work.barrier();
  work.share(g * d, 16, begin, end);
  sum_rows(sums, parts, g * d, c.data ? c.f32() : nullptr, dweight.f32(), begin, end);
}

}  // namespace fovea::FOVEA_ISA
