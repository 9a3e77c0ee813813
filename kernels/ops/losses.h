// Losses of rows of logits and their derivatives; their equations are in src/ops/losses.ts.
#pragma once
#include "norm.h"

namespace fovea::FOVEA_ISA {

/** Sum of f(load, j) over a row: few elements in f32 at a time, joined in f64. */
template <class Fn> inline double sum_wide(int64_t d, Fn f) {
  constexpr int64_t part = 16 * V::lanes;
  double sum = 0;
  for (int64_t from = 0; from < d; from += part) {
    int64_t count = d - from < part ? d - from : part;
    sum += double(sum_row(count, [&](auto load, int64_t j) { return f(load, from + j); }));
  }
  return sum;
}

/** As `sum_wide` of e^f; a tail's missing elements count nothing, though e^0 is 1. */
template <class Fn> inline double sum_exp(int64_t d, Fn f) {
  int64_t whole = d / V::lanes * V::lanes;
  double sum = sum_wide(whole, [&](auto load, int64_t j) { return exp(f(load, j)); });
  if (int rest = int(d - whole); rest > 0) {
    float last[V::lanes];
    V::store(last, exp(f([rest](const float* p) { return V::load_tail(p, rest); }, whole)));
    for (int i = 0; i < rest; i++) sum += double(last[i]);
  }
  return sum;
}

inline float largest(const float* x, int64_t d) {
  V::F most = V::set1(-__builtin_inff());
  int64_t j = 0;
  for (; j + V::lanes <= d; j += V::lanes) most = V::max(most, V::load(x + j));
  float max = V::reduce_max(most);
  for (; j < d; j++) max = x[j] > max ? x[j] : max;
  return max;
}

/** The natural logarithm: 2 artanh((m - 1) / (m + 1)) + e ln 2, for m between √½ and √2; itself for what is not positive and finite. */
inline double log_of(double x) {
  if (!(x > 0 && x < __builtin_inf())) return x;
  uint64_t bits;
  __builtin_memcpy(&bits, &x, 8);
  int64_t e = int64_t(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  __builtin_memcpy(&m, &bits, 8);
  if (m > 1.4142135623730951) m *= 0.5, e++;
  double z = (m - 1) / (m + 1), square = z * z, sum = 0;
  for (int i = 23; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
  return 2 * z * sum + double(e) * 0.6931471805599453;
}

/** A row of x / temperature: its largest element before the division, and Σ e^((x - most) / temperature). */
struct Softmax {
  V::F by, top;
  double most, sum, temperature;

  Softmax(const float* x, int64_t d, double t) : by(V::set1(float(1 / t))), temperature(t) {
    float max = largest(x, d);
    top = V::set1(max);
    most = double(max);
    sum = sum_exp(d, [&](auto load, int64_t j) { return exponent(load(x + j)); });
  }
  V::F exponent(V::F x) const { return V::mul(V::sub(x, top), by); }
  double log_sum() const { return most / temperature + log_of(sum); }
};

/** What a row's target says: a class, that the row has no loss, or nothing sensible. */
struct Class {
  bool ignored, valid;
  int64_t index;

  Class(const Op& op, int64_t row, int64_t classes) : index(op.tensor(1).i32()[row]) {
    ignored = double(index) == op.number(1);
    valid = index >= 0 && index < classes;
  }
};

inline void cross_entropy(const Op& op, const Work& work) {
  Tensor logits = op.tensor(0);
  int64_t n = logits.d[0], v = logits.d[1], begin, end;
  double smoothing = op.number(0);
  float *loss = op.tensor(2).f32(), *lse = op.tensor(3).f32();
  work.share(n, 16, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float* row = logits.f32() + i * v;
    Class target(op, i, v);
    double whole = Softmax(row, v, 1).log_sum();
    lse[i] = float(whole);
    if (target.ignored) loss[i] = 0;
    else if (!target.valid) loss[i] = __builtin_nanf("");
    else {
      double smooth = 0;
      if (smoothing > 0) smooth = smoothing / double(v) * sum_wide(v, [&](auto load, int64_t j) { return load(row + j); });
      loss[i] = float(whole - (1 - smoothing) * double(row[target.index]) - smooth);
    }
  }
}

inline void cross_entropy_grad(const Op& op, const Work& work) {
  Tensor logits = op.tensor(0), dlogits = op.tensor(4);
  int64_t n = logits.d[0], v = logits.d[1], begin, end;
  double smoothing = op.number(0);
  const float *lse = op.tensor(2).f32(), *dloss = op.tensor(3).f32();
  V::F spread = V::set1(float(smoothing / double(v)));
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float* row = logits.f32() + i * v;
    float* to = dlogits.f32() + i * v;
    Class target(op, i, v);
    if (target.ignored) {
      __builtin_memset(to, 0, size_t(v) * 4);
      continue;
    }
    V::F top = V::set1(lse[i]), back = V::set1(target.valid ? dloss[i] : __builtin_nanf(""));
    auto at = [&](auto load, int64_t j) { return V::sub(exp(V::sub(load(row + j), top)), spread); };
    // The wanted class by itself; in memory, since the row may be written over.
    float wanted[V::lanes] = {};
    if (target.valid) V::store(wanted, at([](const float* p) { return V::set1(*p); }, target.index));
    each(to, 0, v, [&](auto load, int64_t j) { return V::mul(back, at(load, j)); });
    if (target.valid) to[target.index] = dloss[i] * (wanted[0] - float(1 - smoothing));
  }
}

inline void kl_divergence(const Op& op, const Work& work) {
  Tensor logits = op.tensor(0);
  int64_t n = logits.d[0], v = logits.d[1], begin, end;
  float *loss = op.tensor(2).f32(), *lse = op.tensor(3).f32();
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float *mine = logits.f32() + i * v, *teacher = op.tensor(1).f32() + i * v;
    Softmax q(mine, v, op.number(0)), p(teacher, v, op.number(0));
    double a = q.log_sum(), b = p.log_sum();
    // Σ p (teacher - mine) / T + a - b, since the sum of all p is 1.
    double sum = sum_wide(v, [&](auto load, int64_t j) {
      V::F wanted = load(teacher + j);
      return V::mul(exp(p.exponent(wanted)), V::mul(V::sub(wanted, load(mine + j)), p.by));
    });
    loss[i] = float(sum / p.sum + (a - b));
    lse[2 * i] = float(a);
    lse[2 * i + 1] = float(b);
  }
}

inline void kl_divergence_grad(const Op& op, const Work& work) {
  Tensor logits = op.tensor(0), dlogits = op.tensor(4);
  int64_t n = logits.d[0], v = logits.d[1], begin, end;
  V::F by = V::set1(float(1 / op.number(0)));
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float *mine = logits.f32() + i * v, *teacher = op.tensor(1).f32() + i * v, *lse = op.tensor(2).f32() + 2 * i;
    V::F a = V::set1(-lse[0]), b = V::set1(-lse[1]), back = V::set1(float(double(op.tensor(3).f32()[i]) / op.number(0)));
    each(dlogits.f32() + i * v, 0, v, [&](auto load, int64_t j) {
      V::F q = exp(V::fma(load(mine + j), by, a)), p = exp(V::fma(load(teacher + j), by, b));
      return V::mul(back, V::sub(q, p));
    });
  }
}

}  // namespace fovea::FOVEA_ISA
