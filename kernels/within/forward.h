// One head of a sequence: square by square along its keys, with the softmax of what has been seen so far.
#pragma once
#include "../ops/losses.h"
#include "side.h"

namespace fovea::FOVEA_ISA::within {

/** What a thread needs to attend. */
struct Forward {
  int64_t keys_size, values_size;
  float *keys, *values, *queries, *narrow, *weights, *scores, *sums, *most, *total, *factor;
  int64_t bytes;

  Forward(const Shape& s, uint8_t* memory) {
    Pieces pieces = {memory};
    int64_t blocks = blocks_of(s.longest);
    keys_size = left(block, s.d), values_size = left(s.dv, block);
    keys = pieces.take(blocks * keys_size), values = pieces.take(blocks * values_size);
    queries = pieces.take(block * s.d), scores = pieces.take(square);
    narrow = pieces.take(block * even(s.d) / 2), weights = pieces.take(block * block / 2);
    sums = pieces.take(panels * padded(s.dv) * columns);
    most = pieces.take(block), total = pieces.take(block), factor = pieces.take(block);
    bytes = pieces.taken;
  }
};

/** One step of the softmax of a square: scores become weights, sums of earlier keys are brought to the new maximum. */
inline void soften(const Forward& f, int64_t queries, int64_t keys, int64_t dv, bool first) {
  for (int64_t q = 0; q < queries; q += V::lanes) {
    float* at = f.scores + q / columns * padded(block) * columns + q % columns;
    V::F before = V::load(f.most + q), most = before;
    for (int64_t j = 0; j < keys; j++) most = V::max(most, V::load(at + j * columns));
    V::F sum = V::zero();
    for (int64_t j = 0; j < keys; j++) {
      V::F weight = exp2(V::sub(V::load(at + j * columns), most));
      sum = V::add(sum, weight);
      V::store(at + j * columns, weight);
    }
    V::F factor = exp2(V::sub(before, most));
    V::store(f.most + q, most);
    V::store(f.total + q, V::fma(V::load(f.total + q), factor, sum));
    if (first) continue;
    float* sums = f.sums + q / columns * padded(dv) * columns + q % columns;
    for (int64_t c = 0; c < dv; c++) V::store(sums + c * columns, V::mul(factor, V::load(sums + c * columns)));
  }
}

constexpr double log_2 = 0.6931471805599453;

/** One head of a sequence. */
inline void attend(const Op& op, const Shape& s, const Forward& f, const Sequence& sequence, int64_t head) {
  const int64_t from = sequence.from, n = sequence.rows, g = head / s.group;
  const float* q = op.tensor(0).f32() + from * s.ld_q + head * s.d;
  const float* k = op.tensor(1).f32() + from * s.ld_k + g * s.d;
  const float* v = op.tensor(2).f32() + from * s.ld_v + g * s.dv;
  float *y = op.tensor(4).f32() + from * s.ld_y + head * s.dv, *lse = op.tensor(5).f32() + from * s.heads + head;
  for (int64_t b = 0; b * block < n; b++) {
    int64_t rows = n - b * block < block ? n - b * block : block;
    side(s).left(k + b * block * s.ld_k, s.ld_k, rows, s.d, f.keys + b * f.keys_size);
    side(s).left_over_rows(v + b * block * s.ld_v, s.ld_v, rows, s.dv, f.values + b * f.values_size);
  }
  for (int64_t q0 = 0; q0 < n; q0 += block) {
    int64_t q1 = q0 + block < n ? q0 + block : n, count = q1 - q0, first = s.first(q0), end = s.end(q1, n);
    side(s).scaled(q + q0 * s.ld_q, s.ld_q, count, s.d, s.scale * 1.44269504f, f.queries, f.narrow);
    for (int64_t i = 0; i < block; i++) f.most[i] = -0x1p100f, f.total[i] = 0;
    for (int64_t k0 = first; k0 < end; k0 += block) {
      int64_t k1 = k0 + block < end ? k0 + block : end, b = k0 / block, packed = n - k0 < block ? n - k0 : block;
      side(s).product({f.keys + b * f.keys_size, k1 - k0, s.d, s.d}, s.narrow ? f.narrow : f.queries, count, f.scores,
                      padded(block) * columns, false);
      bend(s, f.scores, padded(block) * columns, q0, q1, k0, k1);
      soften(f, count, k1 - k0, s.dv, k0 == first);
      side(s).product_of_square({f.values + b * f.values_size, s.dv, k1 - k0, packed}, f.scores, f.weights, count, f.sums,
                                padded(s.dv) * columns, k0 > first);
    }
    for (int64_t i = 0; i < count; i++) {
      f.factor[i] = 1 / f.total[i];
      lse[(q0 + i) * s.heads] = float(log_2 * double(f.most[i]) + log_of(double(f.total[i])));
    }
    unpack(f.sums, padded(s.dv) * columns, count, s.dv, f.factor, y + q0 * s.ld_y, s.ld_y);
  }
}

}  // namespace fovea::FOVEA_ISA::within
