// Elementary functions on vectors, over V. Errors measured over the whole range: exp 1.5 units in the last
// place of the result, the others below 4 * 2^-24 * max(1, |x|). NaN gives NaN; infinities as IEEE has it.
//
// The polynomials are near-minimax fits of our own (weighted least squares on Chebyshev nodes, 40 digits).
#pragma once
#include "simd.h"

namespace fovea::FOVEA_ISA {

/** e^x = 2^n * e^r with n = round(x / ln 2), |r| <= ln 2 / 2; ln 2 in two parts keeps n * ln 2 exact. */
inline V::F exp(V::F x) {
  // Beyond these bounds the result is 0 or infinity anyway; the order of arguments lets NaN through.
  x = V::max(V::set1(-105.0f), V::min(V::set1(90.0f), x));
  V::F n = V::round(V::mul(x, V::set1(1.44269504f)));
  V::F r = V::fnma(n, V::set1(0.693359375f), x);
  r = V::fnma(n, V::set1(-2.12194440e-4f), r);
  V::F p = V::set1(1.39515280e-3f);
  p = V::fma(p, r, V::set1(8.36953428e-3f));
  p = V::fma(p, r, V::set1(4.16661909e-2f));
  p = V::fma(p, r, V::set1(1.66665136e-1f));
  p = V::fma(p, r, V::set1(0.50000001f));
  p = V::add(V::fma(V::mul(p, r), r, r), V::set1(1.0f));
  return V::scale2(p, n);
}

/** `exp2` of what is at most 129, or NaN. */
inline V::F exp2_below(V::F x) {
  V::M vanishes = V::lt(x, V::set1(-126.0f));
#if !defined(FOVEA_AVX512)
  // Its scale2 takes any n, and what vanishes may be anything.
  x = V::max(V::set1(-126.0f), x);
#endif
  // The last place of 1.5 * 2^23 is 1: adding it rounds to a whole number, ties to even.
  V::F n = V::sub(V::add(x, V::set1(0x1.8p23f)), V::set1(0x1.8p23f));
  V::F r = V::sub(x, n);
  V::F p = V::set1(1.53533561e-4f);
  p = V::fma(p, r, V::set1(1.33988773e-3f));
  p = V::fma(p, r, V::set1(9.61843785e-3f));
  p = V::fma(p, r, V::set1(5.55033237e-2f));
  p = V::fma(p, r, V::set1(2.40226477e-1f));
  p = V::fma(p, r, V::set1(6.93147182e-1f));
  p = V::fma(p, r, V::set1(1.0f));
  return V::select(vanishes, V::zero(), V::scale2(p, n));
}

/**
 * 2^x = 2^n * 2^r with n = round(x), for x up to 128; 0 below -126. Cheaper than exp, for softmax, where numbers that
 * are not normal would weigh nothing and make products with them many times slower.
 */
inline V::F exp2(V::F x) { return exp2_below(V::min(V::set1(129.0f), x)); }

/** 1 / (1 + e^-x) */
inline V::F sigmoid(V::F x) {
  return V::div(V::set1(1.0f), V::add(V::set1(1.0f), exp(V::neg(x))));
}

/** x / (1 + e^-x) */
inline V::F silu(V::F x) { return V::div(x, V::add(V::set1(1.0f), exp(V::neg(x)))); }

/** An odd polynomial near 0, where 1 - 2 / (e^2x + 1) would lose all digits. */
inline V::F tanh(V::F x) {
  V::F z = V::mul(x, x);
  V::F p = V::set1(-6.06216014e-3f);
  p = V::fma(p, z, V::set1(2.09749575e-2f));
  p = V::fma(p, z, V::set1(-5.38466817e-2f));
  p = V::fma(p, z, V::set1(1.33327463e-1f));
  p = V::fma(p, z, V::set1(-3.33333288e-1f));
  V::F near = V::fma(V::mul(p, z), x, x);
  V::F one = V::set1(1.0f);
  V::F far = V::sub(one, V::div(V::set1(2.0f), V::add(exp(V::add(x, x)), one)));
  return V::select(V::lt(z, V::set1(0.4f)), near, far);
}

/** erf: an odd polynomial up to 1, then 1 - e^g with g a polynomial for log erfc on [1, 4]. */
inline V::F erf(V::F x) {
  V::F z = V::mul(x, x);
  V::F p = V::set1(7.88905995e-5f);
  p = V::fma(p, z, V::set1(-8.02082345e-4f));
  p = V::fma(p, z, V::set1(5.18953334e-3f));
  p = V::fma(p, z, V::set1(-2.68544436e-2f));
  p = V::fma(p, z, V::set1(1.12836002e-1f));
  p = V::fma(p, z, V::set1(-3.76126271e-1f));
  p = V::fma(p, z, V::set1(1.12837917f));
  V::F near = V::mul(p, x);
  V::F t = V::min(V::set1(4.0f), V::abs(x));
  V::F g = V::set1(1.47311136e-4f);
  g = V::fma(g, t, V::set1(-2.56188678e-3f));
  g = V::fma(g, t, V::set1(2.02924730e-2f));
  g = V::fma(g, t, V::set1(-9.98856797e-2f));
  g = V::fma(g, t, V::set1(-6.41833174e-1f));
  g = V::fma(g, t, V::set1(-1.12488573f));
  g = V::fma(g, t, V::set1(-8.78856764e-4f));
  V::F far = V::sub(V::set1(1.0f), exp(g));
  far = V::select(V::lt(x, V::zero()), V::neg(far), far);
  return V::select(V::lt(z, V::set1(1.0f)), near, far);
}

/**
 * x * Φ(x), Φ the normal distribution function, as max(x, 0) - |x| * Φ(-|x|): the log2 of Φ(-t) is a polynomial on
 * [0, 14], and goes on falling to 14.5, where exp2 gives 0.
 */
inline V::F gelu(V::F x) {
  V::F t = V::min(V::set1(14.5f), V::abs(x));
  V::F p = V::set1(-2.85036528e-9f);
  p = V::fma(p, t, V::set1(1.46614497e-7f));
  p = V::fma(p, t, V::set1(-2.97732595e-6f));
  p = V::fma(p, t, V::set1(2.94562597e-5f));
  p = V::fma(p, t, V::set1(-1.23376580e-4f));
  p = V::fma(p, t, V::set1(-3.00218555e-4f));
  p = V::fma(p, t, V::set1(7.27553340e-3f));
  p = V::fma(p, t, V::set1(-5.26355430e-2f));
  p = V::fma(p, t, V::set1(-4.59165752e-1f));
  p = V::fma(p, t, V::set1(-1.15110993f));
  p = V::fma(p, t, V::set1(-0.999999881f));
  return V::fnma(t, exp2(p), V::max(V::zero(), x));
}

/** The usual approximation of gelu: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))). */
inline V::F gelu_tanh(V::F x) {
  V::F cube = V::mul(V::mul(x, x), x);
  V::F inner = V::mul(V::set1(0.797884561f), V::fma(V::set1(0.044715f), cube, x));
  return V::mul(V::mul(V::set1(0.5f), x), V::add(V::set1(1.0f), tanh(inner)));
}

}  // namespace fovea::FOVEA_ISA
