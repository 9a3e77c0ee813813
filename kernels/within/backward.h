// The derivative for a head of keys with all that share it, from the results of the forward direction.
#pragma once
#include "../ops/norm.h"
#include "forward.h"

namespace fovea::FOVEA_ISA::within {

/** What a thread needs for the derivative. */
struct Backward {
  int64_t keys_size, across_size, values_size;
  float *keys, *across, *values, *dkeys, *dvalues;
  float *queries, *queries_across, *back, *back_across, *dqueries;
  float *scores, *slopes, *turned, *top, *delta, *narrow;
  int64_t bytes;

  Backward(const Shape& s, uint8_t* memory) {
    Pieces pieces = {memory};
    int64_t blocks = blocks_of(s.longest);
    keys_size = left(block, s.d), across_size = left(s.d, block), values_size = left(block, s.dv);
    keys = pieces.take(blocks * keys_size), across = pieces.take(blocks * across_size);
    values = pieces.take(blocks * values_size);
    dkeys = pieces.take(blocks * panels * padded(s.d) * columns);
    dvalues = pieces.take(blocks * panels * padded(s.dv) * columns);
    narrow = pieces.take(block * even(s.d) / 2);
    queries = pieces.take(block * s.d), queries_across = pieces.take(left(s.d, block));
    back = pieces.take(block * even(s.dv)), back_across = pieces.take(left(s.dv, block));
    dqueries = pieces.take(panels * padded(s.d) * columns);
    scores = pieces.take(square), slopes = pieces.take(square), turned = pieces.take(block * block);
    top = pieces.take(block), delta = pieces.take(block);
    bytes = pieces.taken;
  }
};

/** Scores become weights, and what comes back to the weights what comes back to the scores. */
inline void slope_of(const Shape& s, const Backward& f, int64_t queries, int64_t keys) {
  constexpr float log2_e = 1.44269504f;
  V::F scale = V::set1(s.scale), one = V::set1(1.0f), zero = V::zero();
  V::F inverse = V::set1(s.softcap != 0 ? 1 / (s.softcap * log2_e) : 0);
  int64_t whole = (keys + columns - 1) / columns * columns;
  for (int64_t q = 0; q < queries; q += V::lanes) {
    int64_t start = q / columns * padded(block) * columns + q % columns;
    float *scores = f.scores + start, *slopes = f.slopes + start;
    V::F top = V::load(f.top + q), delta = V::load(f.delta + q);
    for (int64_t j = 0; j < keys; j++) {
      V::F score = V::load(scores + j * columns), weight = exp2(V::sub(score, top));
      V::F t = V::mul(V::mul(scale, weight), V::sub(V::load(slopes + j * columns), delta));
      if (s.softcap != 0) {
        V::F bent = V::mul(score, inverse);
        // What is hidden has no slope: its score is minus infinity.
        t = V::select(V::lt(zero, weight), V::mul(t, V::fnma(bent, bent, one)), zero);
      }
      V::store(scores + j * columns, weight);
      V::store(slopes + j * columns, t);
    }
    for (int64_t j = keys; j < whole; j++) V::store(scores + j * columns, zero), V::store(slopes + j * columns, zero);
  }
}

/** One head of keys of a sequence, with all heads that share it. */
inline void attend_grad(const Op& op, const Shape& s, const Backward& f, const Sequence& sequence, int64_t g) {
  const int64_t from = sequence.from, n = sequence.rows, size = padded(block) * columns;
  const int64_t size_d = padded(s.d) * columns, size_dv = padded(s.dv) * columns;
  const float* k = op.tensor(1).f32() + from * s.ld_k + g * s.d;
  const float* v = op.tensor(2).f32() + from * s.ld_v + g * s.dv;
  for (int64_t b = 0; b * block < n; b++) {
    int64_t rows = n - b * block < block ? n - b * block : block;
    side(s).left(k + b * block * s.ld_k, s.ld_k, rows, s.d, f.keys + b * f.keys_size);
    side(s).left_over_rows(k + b * block * s.ld_k, s.ld_k, rows, s.d, f.across + b * f.across_size);
    side(s).left(v + b * block * s.ld_v, s.ld_v, rows, s.dv, f.values + b * f.values_size);
  }
  __builtin_memset(f.dkeys, 0, size_t(blocks_of(n) * panels * size_d) * 4);
  __builtin_memset(f.dvalues, 0, size_t(blocks_of(n) * panels * size_dv) * 4);
  for (int64_t head = g * s.group; head < (g + 1) * s.group; head++) {
    const float* q = op.tensor(0).f32() + from * s.ld_q + head * s.d;
    const float *y = op.tensor(4).f32() + from * s.ld_y + head * s.dv, *lse = op.tensor(5).f32() + from * s.heads + head;
    const float* dy = op.tensor(6).f32() + from * s.ld_y + head * s.dv;
    float* dq = op.tensor(7).f32() + from * s.ld_q + head * s.d;
    for (int64_t q0 = 0; q0 < n; q0 += block) {
      int64_t q1 = q0 + block < n ? q0 + block : n, count = q1 - q0, first = s.first(q0), end = s.end(q1, n);
      side(s).scaled(q + q0 * s.ld_q, s.ld_q, count, s.d, s.scale * 1.44269504f, f.queries, f.narrow);
      side(s).left_over_rows(q + q0 * s.ld_q, s.ld_q, count, s.d, f.queries_across);
      side(s).right(dy + q0 * s.ld_y, s.ld_y, count, s.dv, f.back);
      side(s).left_over_rows(dy + q0 * s.ld_y, s.ld_y, count, s.dv, f.back_across);
      for (int64_t i = 0; i < block; i++) {
        const float *a = dy + (q0 + i) * s.ld_y, *b = y + (q0 + i) * s.ld_y;
        f.delta[i] = i < count ? sum_row(s.dv, [&](auto load, int64_t j) { return V::mul(load(a + j), load(b + j)); }) : 0;
        // Missing queries have no weight.
        f.top[i] = i < count ? float(double(lse[(q0 + i) * s.heads]) / log_2) : 0x1p100f;
      }
      for (int64_t k0 = first; k0 < end; k0 += block) {
        int64_t k1 = k0 + block < end ? k0 + block : end, keys = k1 - k0, b = k0 / block;
        int64_t packed = n - k0 < block ? n - k0 : block;
        side(s).product({f.keys + b * f.keys_size, keys, s.d, s.d}, s.narrow ? f.narrow : f.queries, count, f.scores, size,
                        false);
        side(s).product({f.values + b * f.values_size, keys, s.dv, s.dv}, f.back, count, f.slopes, size, false);
        bend(s, f.scores, size, q0, q1, k0, k1);
        slope_of(s, f, count, keys);
        side(s).product_of_square({f.across + b * f.across_size, s.d, keys, packed}, f.slopes, f.turned, count, f.dqueries,
                                  size_d, k0 > first);
        side(s).product_of_turned({f.queries_across, s.d, count, count}, f.slopes, f.turned, keys,
                                  f.dkeys + b * panels * size_d, size_d);
        side(s).product_of_turned({f.back_across, s.dv, count, count}, f.scores, f.turned, keys,
                                  f.dvalues + b * panels * size_dv, size_dv);
      }
      unpack(f.dqueries, size_d, count, s.d, nullptr, dq + q0 * s.ld_q, s.ld_q);
    }
  }
  float* dk = op.tensor(8).f32() + from * s.ld_k + g * s.d;
  float* dv = op.tensor(9).f32() + from * s.ld_v + g * s.dv;
  unpack(f.dkeys, size_d, n, s.d, nullptr, dk, s.ld_k);
  unpack(f.dvalues, size_dv, n, s.dv, nullptr, dv, s.ld_v);
}

}  // namespace fovea::FOVEA_ISA::within
