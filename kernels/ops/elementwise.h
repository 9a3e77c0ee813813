// Ops that treat each element, or each pair of elements, alone; their equations are in src/ops/elementwise.ts.
#pragma once
#include "../kernels.h"
#include "../simd/math.h"

namespace fovea::FOVEA_ISA {

/** The order of `activations` in src/ops/elementwise.ts. */
enum class Function { silu, gelu, gelu_tanh, quick_gelu, relu, relu2, tanh, sigmoid };

template <Function fn> inline V::F apply(V::F x) {
  if constexpr (fn == Function::silu) return silu(x);
  if constexpr (fn == Function::gelu) return gelu(x);
  if constexpr (fn == Function::gelu_tanh) return gelu_tanh(x);
  if constexpr (fn == Function::quick_gelu) return V::mul(x, sigmoid(V::mul(V::set1(1.702f), x)));
  if constexpr (fn == Function::relu) return V::max(V::zero(), x);
  if constexpr (fn == Function::relu2) return V::mul(V::max(V::zero(), x), V::max(V::zero(), x));
  if constexpr (fn == Function::tanh) return tanh(x);
  if constexpr (fn == Function::sigmoid) return sigmoid(x);
}

/**
 * step(j, load, store) for the vectors from `begin` on and for what is left before `end`: it reads with `load(pointer)`
 * and writes with `store(pointer, vector)`, in this order, so that results may take the places of operands.
 */
template <class Fn> FOVEA_FLAT inline void each_step(int64_t begin, int64_t end, const Fn& step) {
  int64_t j = begin;
  for (; j + V::lanes <= end; j += V::lanes)
    step(j, [](const float* p) FOVEA_FLAT { return V::load(p); }, [](float* p, V::F a) FOVEA_FLAT { V::store(p, a); });
  int rest = int(end - j);
  if (rest > 0)
    step(j, [rest](const float* p) FOVEA_FLAT { return V::load_tail(p, rest); },
         [rest](float* p, V::F a) FOVEA_FLAT { V::store_tail(p, a, rest); });
}

/** y[j] = f(j) for `begin` to `end`, where `f(load, j)` reads its operands with `load(pointer)`. */
template <class Fn> inline void each(float* y, int64_t begin, int64_t end, Fn f) {
  each_step(begin, end, [&](int64_t j, auto load, auto store) FOVEA_FLAT { store(y + j, f(load, j)); });
}

/** As `each`, over this thread's share of `count` elements. */
template <class Fn> inline void each_shared(const Work& work, float* y, int64_t count, Fn f) {
  int64_t begin, end;
  work.share(count, 1024, begin, end);
  each(y, begin, end, f);
}

/** Calls run(Int<index>()), the index of a function as a constant. */
template <class Fn> inline void with_index(int index, Fn run) {
  switch (Function(index)) {
#define FOVEA_CASE(name) \
  case Function::name: return run(Int<int(Function::name)>());
    FOVEA_CASE(silu)
    FOVEA_CASE(gelu)
    FOVEA_CASE(gelu_tanh)
    FOVEA_CASE(quick_gelu)
    FOVEA_CASE(relu)
    FOVEA_CASE(relu2)
    FOVEA_CASE(tanh)
    FOVEA_CASE(sigmoid)
#undef FOVEA_CASE
  }
}

/** Calls `run` with the function that `index` names, as a constant. */
template <class Fn> inline void with_function(int index, Fn run) {
  with_index(index, [&](auto i) { run([](V::F x) FOVEA_FLAT { return apply<Function(decltype(i)::value)>(x); }); });
}

inline void activation(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  with_function(int(op.number(0)), [&](auto fn) {
    each_shared(work, y.f32(), y.elements(), [&](auto load, int64_t j) { return fn(load(x.f32() + j)); });
  });
}

inline void gated(const Op& op, const Work& work) {
  Tensor gate = op.tensor(0), up = op.tensor(1), y = op.tensor(2);
  with_function(int(op.number(0)), [&](auto fn) {
    each_shared(work, y.f32(), y.elements(), [&](auto load, int64_t j) {
      return V::mul(fn(load(gate.f32() + j)), load(up.f32() + j));
    });
  });
}

/** y = fn(a, b); b is of a's shape, one row for all rows, or one number for each. */
template <class Fn> inline void pair(const Op& op, const Work& work, Fn fn) {
  Tensor a = op.tensor(0), b = op.tensor(1), y = op.tensor(2);
  int64_t n = y.d[0], d = y.d[1];
  if (b.d[0] == n && b.d[1] == d) {
    each_shared(work, y.f32(), n * d,
                [&](auto load, int64_t j) { return fn(load(a.f32() + j), load(b.f32() + j)); });
    return;
  }
  int64_t begin, end;
  work.share(n, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    const float* row = a.f32() + i * d;
    if (b.d[1] == d) {
      each(y.f32() + i * d, 0, d, [&](auto load, int64_t j) { return fn(load(row + j), load(b.f32() + j)); });
    } else {
      V::F same = V::set1(b.f32()[i]);
      each(y.f32() + i * d, 0, d, [&](auto load, int64_t j) { return fn(load(row + j), same); });
    }
  }
}

inline void add(const Op& op, const Work& work) {
  pair(op, work, [](V::F a, V::F b) { return V::add(a, b); });
}

inline void mul(const Op& op, const Work& work) {
  pair(op, work, [](V::F a, V::F b) { return V::mul(a, b); });
}

inline void scale(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  V::F factor = V::set1(float(op.number(0)));
  each_shared(work, y.f32(), y.elements(),
              [&](auto load, int64_t j) { return V::mul(factor, load(x.f32() + j)); });
}

/** cap * tanh(x / cap) */
inline V::F capped(V::F x, V::F cap, V::F inverse) { return V::mul(cap, tanh(V::mul(x, inverse))); }

inline void softcap(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  V::F cap = V::set1(float(op.number(0))), inverse = V::set1(float(1 / op.number(0)));
  each_shared(work, y.f32(), y.elements(),
              [&](auto load, int64_t j) { return capped(load(x.f32() + j), cap, inverse); });
}

}  // namespace fovea::FOVEA_ISA
