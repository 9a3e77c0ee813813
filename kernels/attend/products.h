// The innermost products of attention: some query rows times vectors of keys, and weights times values. Each sum
// is in one accumulator, a score over c = 0, 1, ..., a value over the keys in order, whatever rows and vectors go
// together. What the cache holds is widened to f32 without rounding, in registers.
#pragma once
#include "next.h"

/** Within a larger function the compiler may find no register for a vector of the innermost loop. */
#define FOVEA_APART __attribute__((noinline))

namespace fovea::FOVEA_ISA {

/**
 * scores[r][j] = sum over c of q[r][c] * k[j][c] for R rows, of which q holds the first, and N vectors of keys,
 * which begin at keys[n] (and whose scales at scales[n]).
 */
template <int R, int N, class T>
FOVEA_APART void score_rows(const float* q, int64_t d, const T* const* keys, const uint16_t* const* scales,
                            float* scores) {
  constexpr int L = V::lanes;
  V::F sum[R][N], scale[N];
  const T* k[N];
  FOVEA_UNROLL(4)
  for (int n = 0; n < N; n++) k[n] = keys[n];
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) sum[r][n] = V::zero();
  }
  constexpr int64_t step = T_is_code<T> ? 32 : Attention::part;
  for (int64_t c = 0; c < d;) {
    int64_t end = d - c < step ? d : c + step;
    const float* query = q + c / Attention::part * (Attention::block * Attention::part) + c % Attention::part;
    if constexpr (T_is_code<T>) {
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) scale[n] = V::load_f16(scales[n] + c / 32 * run_keys);
    }
    for (; c < end; c++, query++) {
      V::F x[N];
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) {
        x[n] = widen(k[n] + c * run_keys);
        if constexpr (T_is_code<T>) x[n] = V::mul(x[n], scale[n]);
      }
      FOVEA_UNROLL(12)
      for (int r = 0; r < R; r++) {
        V::F b = V::set1(query[r * Attention::part]);
        FOVEA_UNROLL(4)
        for (int n = 0; n < N; n++) sum[r][n] = V::fma(b, x[n], sum[r][n]);
      }
    }
  }
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) V::store(scores + r * Attention::tile + n * L, sum[r][n]);
  }
}

/** Logarithms of the keys in a run of the cache, and in a piece. */
constexpr int run_bits = 4, piece_bits = 6;
static_assert(1 << run_bits == run_keys && 1 << piece_bits == Attention::piece, "a run of the cache, and a piece");

/**
 * Values of a tile: rows of dv, 2^bits of them at each of `runs`; `scales` [keys][dv / 32] widened, where they have
 * any.
 */
template <class T> struct TileValues {
  const T* const* runs;
  int bits;
  const float* scales;
  int64_t dv;
};

/**
 * The same pointer, which the compiler does not know to be the same: else it keeps the addresses of all rows through
 * the loop, and has no register left for the loop itself.
 */
inline float* anew(float* p) {
  __asm__("" : "+r"(p));
  return p;
}

/**
 * sums[r][0..N vectors) += sum over keys j of [from, to) of weights[r][j] * values[j][c...], in order. Of the
 * last vector only `rest` lanes exist.
 */
template <int R, int N, bool tail, class T>
FOVEA_APART void weigh_rows(const float* weights, int from, int to, const TileValues<T>& values, int64_t c, int rest,
                            float* sums, NextTile& next) {
  constexpr int L = V::lanes;
  int64_t dv = values.dv;
  V::F sum[R][N];
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      const float* s = sums + r * dv + c + n * L;
      sum[r][n] = tail && n == N - 1 ? V::load_tail(s, rest) : V::load(s);
    }
  }
  for (int j = from; j < to;) {
    int run = j >> values.bits, first = run << values.bits, behind = first + (1 << values.bits);
    int end = behind < to ? behind : to;
    if (end > j + run_keys) end = j + run_keys;
    next.ask();
    const T* p = values.runs[run] + (j - first) * dv + c;
    for (; j < end; j++, p += dv) {
      V::F v[N];
      FOVEA_UNROLL(4)
      for (int n = 0; n < N; n++) {
        v[n] = tail && n == N - 1 ? widen(p + n * L, rest) : widen(p + n * L);
        if constexpr (T_is_code<T>) v[n] = V::mul(v[n], V::set1(values.scales[j * (dv / 32) + (c + n * L) / 32]));
      }
      FOVEA_UNROLL(12)
      for (int r = 0; r < R; r++) {
        V::F w = V::set1(weights[r * Attention::tile + j]);
        FOVEA_UNROLL(4)
        for (int n = 0; n < N; n++) sum[r][n] = V::fma(w, v[n], sum[r][n]);
      }
    }
  }
  sums = anew(sums);
  FOVEA_UNROLL(12)
  for (int r = 0; r < R; r++) {
    FOVEA_UNROLL(4)
    for (int n = 0; n < N; n++) {
      float* s = sums + r * dv + c + n * L;
      if (tail && n == N - 1) V::store_tail(s, sum[r][n], rest);
      else V::store(s, sum[r][n]);
    }
  }
}

/** weigh_rows over all dv values. */
template <int R, class T>
inline void weigh(const float* weights, int from, int to, const TileValues<T>& values, float* sums,
                  NextTile& next) {
  constexpr int N = Attention::vectors<R>(), L = V::lanes;
  int64_t c = 0, dv = values.dv;
  if (from >= to) return;
  for (; c + N * L <= dv; c += N * L) weigh_rows<R, N, false>(weights, from, to, values, c, L, sums, next);
  for (; c + L <= dv; c += L) weigh_rows<R, 1, false>(weights, from, to, values, c, L, sums, next);
  if (c < dv)
    for (int r = 0; r < R; r++)
      weigh_rows<1, 1, true>(weights + r * Attention::tile, from, to, values, c, int(dv - c), sums + r * dv,
                             next);
}

/** Calls run(Int<count>), count in [1, Attention::rows]. */
template <class Fn, int last = Attention::rows> inline void with_count(int64_t count, Fn run) {
  if constexpr (last > 1)
    if (count < last) return with_count<Fn, last - 1>(count, run);
  run(Int<last>());
}

}  // namespace fovea::FOVEA_ISA
