// How the key-value cache lies in memory (src/ops/attention.ts defines it), widening to f32 without rounding,
// and the write into it.
#pragma once
#include "../kernels.h"
#include "../simd/simd.h"
#include "movement.h"

namespace fovea::FOVEA_ISA {

/** Keys that lie together, transposed: a page holds whole runs. */
constexpr int run_keys = 16;

/** A code of q8_0. */
using Code = int8_t;
template <class T> constexpr bool T_is_code = sizeof(T) == 1;

inline int64_t element_bytes(DType dtype) { return dtype == DType::f32 ? 4 : dtype == DType::f16 ? 2 : 1; }

/** Calls run(T()) with the type that a cache of this dtype consists of. */
template <class Fn> inline void with_cached(DType dtype, Fn run) {
  if (dtype == DType::f32) return run(float());
  if (dtype == DType::f16) return run(uint16_t());
  run(Code());
}

inline V::F widen(const float* p) { return V::load(p); }
inline V::F widen(const uint16_t* p) { return V::load_f16(p); }
inline V::F widen(const Code* p) { return V::load_s8(reinterpret_cast<const uint8_t*>(p)); }
inline V::F widen(const float* p, int n) { return V::load_tail(p, n); }
inline V::F widen(const uint16_t* p, int n) { return V::load_f16_tail(p, n); }
/** Rows of codes fill whole groups. */
inline V::F widen(const Code* p, int) { return widen(p); }

/** A run of keys. The products of codes and f16 scales are exact. */
template <class T> inline void widen_keys(const T* from, const uint16_t* scales, int64_t d, float* to) {
  constexpr int L = V::lanes;
  for (int64_t c = 0; c < d; c++)
    for (int i = 0; i < run_keys; i += L) {
      V::F x = widen(from + c * run_keys + i);
      if constexpr (T_is_code<T>) x = V::mul(x, V::load_f16(scales + c / 32 * run_keys + i));
      V::store(to + c * run_keys + i, x);
    }
}

/** The scales of a run of values. */
inline void widen_scales(const uint16_t* from, int64_t groups, float* to) {
  for (int64_t i = 0; i < run_keys * groups; i += V::lanes) V::store(to + i, V::load_f16(from + i));
}

/** A run of values; `scales` are widened. */
template <class T> inline void widen_values(const T* from, const float* scales, int64_t dv, float* to) {
  constexpr int L = V::lanes;
  int64_t count = run_keys * dv;
  // Sixteen rows are a whole number of vectors.
  for (int64_t i = 0; i < count; i += L) {
    V::F x = widen(from + i);
    if constexpr (T_is_code<T>) x = V::mul(x, V::set1(scales[i / 32]));
    V::store(to + i, x);
  }
}

/** Rounds 32 numbers to codes and gives the f16 of their scale; the rule is in src/ops/attention.ts. */
inline uint16_t write_codes(const float* x, int8_t* codes) {
  constexpr int L = V::lanes;
  V::F top = V::zero(), bad = V::zero();
  for (int i = 0; i < 32; i += L) {
    V::F v = V::load(x + i);
    top = V::max(top, V::abs(v));
    bad = V::fma(v, V::zero(), bad);
  }
  float scale = V::reduce_max(top) / 127.0f + V::reduce_add(bad);
  uint16_t half = scale == scale ? f16_of(scale) : 0x7e00;
  float d = float_of_f16(half);
  int32_t rounded[32];
  for (int i = 0; i < 32; i += L) V::istore(rounded + i, V::to_int(V::div(V::load(x + i), V::set1(d))));
  // Nothing is divided by 0, and what is not finite makes its group NaN by the scale alone.
  bool usable = d > 0 && d <= 65504.0f;
  for (int i = 0; i < 32; i++)
    codes[i] = usable ? int8_t(rounded[i] < -127 ? -127 : rounded[i] > 127 ? 127 : rounded[i]) : 0;
  return half;
}

/** Writes row `at` of a head's page; keys are transposed in their run. */
template <bool transposed> inline void write_row(const Tensor& cache, int64_t head, int64_t at, const float* x) {
  int64_t page = cache.d[2], d = cache.d[3];
  uint8_t* base = cache.data + head * format_bytes(cache.dtype, page * d);
  // Keys: component c of position j of a run at 16 c + j.
  int64_t first = transposed ? at / run_keys * run_keys * d + at % run_keys : at * d;
  constexpr int64_t step = transposed ? run_keys : 1;
  if (cache.dtype == DType::f32) {
    float* to = reinterpret_cast<float*>(base) + first;
    for (int64_t c = 0; c < d; c++) to[c * step] = x[c];
  } else if (cache.dtype == DType::f16) {
    uint16_t *to = reinterpret_cast<uint16_t*>(base) + first, halves[V::lanes];
    for (int64_t c = 0; c < d; c += V::lanes) {
      int n = d - c < V::lanes ? int(d - c) : V::lanes;
      V::store_f16(halves, V::load_tail(x + c, n));
      for (int i = 0; i < n; i++) to[(c + i) * step] = halves[i];
    }
  } else {
    int8_t *to = reinterpret_cast<int8_t*>(base) + first, codes[32];
    int64_t groups = d / 32, scale = transposed ? at / run_keys * run_keys * groups + at % run_keys : at * groups;
    uint16_t* scales = reinterpret_cast<uint16_t*>(base + page * d) + scale;
    for (int64_t g = 0; g < groups; g++) {
      scales[g * step] = write_codes(x + 32 * g, codes);
      for (int64_t i = 0; i < 32; i++) to[(32 * g + i) * step] = codes[i];
    }
  }
}

inline void cache_write(const Op& op, const Work& work) {
  Tensor k = op.tensor(0), v = op.tensor(1), slots = op.tensor(2), keys = op.tensor(3), values = op.tensor(4);
  int64_t heads = k.d[1], page = keys.d[2], begin, end;
  work.share(k.d[0] * heads, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    int64_t slot = slots.i32()[i / heads];
    if (slot < 0 || slot >= keys.d[0] * page) continue;
    int64_t head = slot / page * heads + i % heads;
    write_row<true>(keys, head, slot % page, k.f32() + i * k.d[2]);
    write_row<false>(values, head, slot % page, v.f32() + i * v.d[2]);
  }
}

}  // namespace fovea::FOVEA_ISA
