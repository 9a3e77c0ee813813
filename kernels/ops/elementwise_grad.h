// The derivatives of activations, times what comes back; their equations are in src/ops/elementwise-grad.ts.
#pragma once
#include "elementwise.h"

namespace fovea::FOVEA_ISA {

/** The derivative of x * sigmoid(x). */
inline V::F silu_slope(V::F x) {
  V::F one = V::set1(1.0f), s = sigmoid(x);
  return V::mul(s, V::fma(x, V::sub(one, s), one));
}

/** Φ(x) + x φ(x) */
inline V::F gelu_slope(V::F x) {
  V::F whole = V::mul(V::set1(0.5f), V::add(V::set1(1.0f), erf(V::mul(x, V::set1(0.707106781f)))));
  V::F bell = V::mul(V::set1(0.398942280f), exp(V::mul(V::mul(V::set1(-0.5f), x), x)));
  return V::fma(x, bell, whole);
}

inline V::F gelu_tanh_slope(V::F x) {
  V::F half = V::set1(0.5f), one = V::set1(1.0f), root = V::set1(0.797884561f), square = V::mul(x, x);
  V::F t = tanh(V::mul(root, V::fma(V::set1(0.044715f), V::mul(square, x), x)));
  V::F inner = V::mul(root, V::fma(V::set1(3 * 0.044715f), square, one));
  V::F bend = V::mul(V::mul(half, x), V::mul(V::sub(one, V::mul(t, t)), inner));
  return V::fma(half, V::add(one, t), bend);
}

template <Function fn> inline V::F slope(V::F x) {
  V::F one = V::set1(1.0f), zero = V::zero();
  if constexpr (fn == Function::silu) return silu_slope(x);
  if constexpr (fn == Function::gelu) return gelu_slope(x);
  if constexpr (fn == Function::gelu_tanh) return gelu_tanh_slope(x);
  if constexpr (fn == Function::quick_gelu) return silu_slope(V::mul(V::set1(1.702f), x));
  // Not a number where x is not.
  if constexpr (fn == Function::relu) return V::select(V::le(x, zero), zero, V::select(V::lt(zero, x), one, x));
  if constexpr (fn == Function::relu2) return V::mul(V::set1(2.0f), V::max(zero, x));
  if constexpr (fn == Function::tanh) {
    V::F t = tanh(x);
    return V::mul(V::sub(one, t), V::add(one, t));
  }
  if constexpr (fn == Function::sigmoid) {
    V::F s = sigmoid(x);
    return V::mul(s, V::sub(one, s));
  }
}

/** Calls `run` with the function that `index` names and its derivative, as constants. */
template <class Fn> inline void with_slope(int index, Fn run) {
  with_index(index, [&](auto i) {
    constexpr Function fn = Function(decltype(i)::value);
    run([](V::F x) FOVEA_FLAT { return apply<fn>(x); }, [](V::F x) FOVEA_FLAT { return slope<fn>(x); });
  });
}

inline void activation_grad(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), dy = op.tensor(1), dx = op.tensor(2);
  with_slope(int(op.number(0)), [&](auto, auto slope) {
    each_shared(work, dx.f32(), dx.elements(), [&](auto load, int64_t j) {
      return V::mul(load(dy.f32() + j), slope(load(x.f32() + j)));
    });
  });
}

inline void gated_grad(const Op& op, const Work& work) {
  const float *gate = op.tensor(0).f32(), *up = op.tensor(1).f32(), *dy = op.tensor(2).f32();
  Tensor dgate = op.tensor(3);
  float *to = dgate.f32(), *dup = op.tensor(4).f32();
  int64_t begin, end;
  work.share(dgate.elements(), 1024, begin, end);
  with_slope(int(op.number(0)), [&](auto fn, auto slope) {
    each_step(begin, end, [&](int64_t j, auto load, auto store) FOVEA_FLAT {
      // All is read before anything is written.
      V::F x = load(gate + j), other = load(up + j), back = load(dy + j);
      store(to + j, V::mul(V::mul(back, other), slope(x)));
      store(dup + j, V::mul(back, fn(x)));
    });
  });
}

}  // namespace fovea::FOVEA_ISA
