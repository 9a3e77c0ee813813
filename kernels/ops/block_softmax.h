// Maxima and sums of exponentials of blocks of a row; the equations are in src/ops/block-softmax.ts.
#pragma once
#include "../kernels.h"
#include "../simd/math.h"

namespace fovea::FOVEA_ISA {

constexpr int64_t softmax_block = 64;

/** The largest of a whole block; NaN where one is. */
inline float largest_of_block(const float* x) {
  // The maximum of NaN and a number differs between instruction sets, so NaN is looked for apart.
  V::F most = V::load(x), strange = V::zero();
  FOVEA_UNROLL(16)
  for (int64_t j = 0; j < softmax_block; j += V::lanes) {
    V::F a = V::load(x + j);
    most = V::max(most, a);
    strange = V::select(V::eq(a, a), strange, V::set1(1.0f));
  }
  return V::any(V::lt(V::zero(), strange)) ? __builtin_nanf("") : V::reduce_max(most);
}

/** The sum of e^(scale * (x - most)) over a whole block. */
inline float exponentials_of_block(const float* x, float most, float scale) {
  V::F top = V::set1(most), by = V::set1(scale * 1.44269504f), sum = V::zero();
  FOVEA_UNROLL(16)
  for (int64_t j = 0; j < softmax_block; j += V::lanes)
    sum = V::add(sum, exp2(V::mul(V::sub(V::load(x + j), top), by)));
  return V::reduce_add(sum);
}

inline void block_softmax(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), scales = op.tensor(1), y = op.tensor(2);
  int64_t d = x.d[1], sums = scales.d[1], blocks = y.d[2], begin, end;
  work.share(x.d[0] * blocks, 16, begin, end);
  if (begin >= end) return;
  int64_t i = begin / blocks, b = begin % blocks;
  for (int64_t part = begin; part < end; part++, b++) {
    if (b == blocks) i++, b = 0;
    int64_t rest = d - b * softmax_block;
    const float* from = x.f32() + i * d + b * softmax_block;
    float* to = y.f32() + i * (1 + sums) * blocks + b;
    float filled[softmax_block];
    if (rest < softmax_block) {
      // What is behind the end weighs nothing.
      for (int64_t j = 0; j < softmax_block; j++) filled[j] = j < rest ? from[j] : -__builtin_inff();
      from = filled;
    }
    float most = largest_of_block(from);
    *to = most;
    for (int64_t t = 0; t < sums; t++) {
      float scale = scales.f32()[i * sums + t];
      bool wanted = scale != 0 && most > -__builtin_inff();
      to[(1 + t) * blocks] = wanted ? exponentials_of_block(from, most, scale) : 0;
    }
  }
}

}  // namespace fovea::FOVEA_ISA
