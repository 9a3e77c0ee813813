// Ops that move values: gather, copy and cast; and rotary positions.
// Their equations are in src/ops/movement.ts and src/ops/attention.ts. An index out of range, which is the
// caller's mistake, never leads outside a tensor.
#pragma once
#include "../kernels.h"
#include "../simd/simd.h"

namespace fovea::FOVEA_ISA {

inline void gather(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), index = op.tensor(1), y = op.tensor(2);
  int64_t d = x.d[1], begin, end;
  if (x.d[0] == 0) return;
  work.share(y.d[0], 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    uint64_t row = uint64_t(int64_t(index.i32()[i]));
    if (row >= uint64_t(x.d[0])) row = 0;
    __builtin_memcpy(y.f32() + i * d, x.f32() + int64_t(row) * d, size_t(d) * 4);
  }
}

/** Bytes of `elements` values, which fill whole blocks. */
inline int64_t format_bytes(DType dtype, int64_t elements) {
  switch (dtype) {
    case DType::f32:
    case DType::i32: return elements * 4;
    case DType::f16:
    case DType::bf16: return elements * 2;
    case DType::q8_0: return elements / 32 * 34;
    case DType::q4_0: return elements / 32 * 18;
    case DType::q4_1: return elements / 32 * 20;
    case DType::q5_0: return elements / 32 * 22;
    case DType::q5_1: return elements / 32 * 24;
    case DType::q4_K: return elements / 256 * 144;
    case DType::q5_K: return elements / 256 * 176;
    case DType::q6_K: return elements / 256 * 210;
    // Has a scale for each row, and is never copied.
    case DType::i8_row: break;
  }
  return 0;
}

inline void copy(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  int64_t begin, end;
  work.share(format_bytes(y.dtype, y.elements()), 4096, begin, end);
  __builtin_memcpy(y.data + begin, x.data + begin, size_t(end - begin));
}

inline void cast(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  int64_t begin, end;
  work.share(y.elements(), 1024, begin, end);
  auto* half = reinterpret_cast<uint16_t*>(x.dtype == DType::bf16 ? x.data : y.data);
  bool narrow = y.dtype == DType::bf16;
  int64_t i = begin;
  for (; i + V::lanes <= end; i += V::lanes) {
    if (narrow) V::store_bf16(half + i, V::load(x.f32() + i));
    else V::store(y.f32() + i, V::load_bf16(half + i));
  }
  int rest = int(end - i);
  if (rest <= 0) return;
  if (narrow) V::store_bf16_tail(half + i, V::load_tail(x.f32() + i, rest), rest);
  else V::store_tail(y.f32() + i, V::load_bf16_tail(half + i, rest), rest);
}

inline void rope(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), cos = op.tensor(1), sin = op.tensor(2), y = op.tensor(3);
  int64_t heads = x.d[1], d = x.d[2], pairs = cos.d[1], begin, end;
  bool interleaved = op.number(0) == 1;
  work.share(x.d[0] * heads, 1, begin, end);
  for (int64_t row = begin; row < end; row++) {
    const float *from = x.f32() + row * d, *c = cos.f32() + row / heads * pairs, *s = sin.f32() + row / heads * pairs;
    float* to = y.f32() + row * d;
    // Plain loops: without contraction into multiply-adds each element has the same bits however the compiler
    // vectorizes.
    if (interleaved)
      for (int64_t i = 0; i < pairs; i++) {
        float a = from[2 * i], b = from[2 * i + 1];
        to[2 * i] = a * c[i] - b * s[i];
        to[2 * i + 1] = b * c[i] + a * s[i];
      }
    else
      for (int64_t i = 0; i < pairs; i++) {
        float a = from[i], b = from[i + pairs];
        to[i] = a * c[i] - b * s[i];
        to[i + pairs] = b * c[i] + a * s[i];
      }
    for (int64_t i = 2 * pairs; i < d; i++) to[i] = from[i];
  }
}

}  // namespace fovea::FOVEA_ISA
