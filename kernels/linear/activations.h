// Activations as the kernels read them: tiles of `width` tokens, k slowest, so that one step of k finds the
// values of all tokens of a tile side by side. For integer formats rounded to 8 bits in groups of 32.
//
//   float     x [k][width]
//   integer   q [k / 4][width] quads, scale [k / 32][width], start [k / run][width], sum [k / 32][width]
//
// The tiles of AMX take q as [k / 32][width][32], and no start. Formats with a scale for each row have one scale and
// one start for each token, and k filled up with zeros; their tiles of AMX are [k / 64][width][64].
#pragma once
#include "widths.h"

namespace fovea::FOVEA_ISA {

/** Where the parts of a chunk begin; those of the tile at token t lie t times the size for one token on. */
template <class Fmt> struct Activations {
  static constexpr bool integer = Fmt::integer;
  int64_t k;
  V::Act* q;
  float *x, *scale, *sum;
  int32_t* start;

  static int64_t line(int64_t bytes) { return (bytes + 63) / 64 * 64; }

  /** Bytes for `tokens` tokens. */
  static int64_t bytes(int64_t tokens, int64_t k) {
    if constexpr (rowwise<Fmt>) {
      return line(tokens * padded<Fmt>(k) * int64_t(sizeof(V::Act))) + 2 * line(tokens * 4);
    } else if constexpr (Fmt::integer) {
      int64_t groups = tokens * (k / group);
      return line(tokens * k * int64_t(sizeof(V::Act))) + (1 + Fmt::has_min) * line(groups * 4) +
             line(groups * (group / Fmt::run) * 4);
    } else return line(tokens * k * 4);
  }

  Activations(uint8_t* scratch, int64_t tokens, int64_t length) : k(padded<Fmt>(length)) {
    if constexpr (rowwise<Fmt>) {
      q = reinterpret_cast<V::Act*>(scratch);
      scale = reinterpret_cast<float*>(scratch + line(tokens * k * int64_t(sizeof(V::Act))));
      start = reinterpret_cast<int32_t*>(scratch + line(tokens * k * int64_t(sizeof(V::Act))) + line(tokens * 4));
    } else if constexpr (Fmt::integer) {
      int64_t groups = tokens * (k / group);
      q = reinterpret_cast<V::Act*>(scratch);
      scratch += line(tokens * k * int64_t(sizeof(V::Act)));
      scale = reinterpret_cast<float*>(scratch);
      scratch += line(groups * 4);
      start = reinterpret_cast<int32_t*>(scratch);
      scratch += line(groups * (group / Fmt::run) * 4);
      sum = reinterpret_cast<float*>(scratch);
    } else x = reinterpret_cast<float*>(scratch);
  }

  /**
   * Rounds group g of a row to 8 bits: scale max|x| / 127, to nearest even. `tile` is the first token of the
   * tile, `m` the token's place in it. A NaN or an infinity makes the scale NaN, and with it the whole row of
   * the product.
   */
  void quantize(const float* row, int64_t g, int64_t tile, int width, int m) const {
    constexpr int vectors = group / V::lanes;
    V::F value[vectors], top = V::zero(), bad = V::zero();
    for (int i = 0; i < vectors; i++) {
      value[i] = V::load(row + g * group + i * V::lanes);
      top = V::max(top, V::abs(value[i]));
      bad = V::fma(value[i], V::zero(), bad);
    }
    // Moved up when so small that 127 / max would overflow.
    float most = V::reduce_max(top), up = most < 0x1p-100f ? 0x1p100f : 1.0f;
    float inverse = most > 0 ? 127.0f / (most * up) : 0.0f;
    V::Act codes[group];
    V::F all = V::zero();
    for (int i = 0; i < vectors; i++) {
      V::I code = V::to_int(V::mul(V::mul(value[i], V::set1(up)), V::set1(inverse)));
      V::store_act(codes + i * V::lanes, code);
      if (Fmt::has_min) all = V::add(all, V::to_float(code));
    }
    if (is_matrix_tile<Fmt>(width)) __builtin_memcpy(q + tile * k + (g * width + m) * group, codes, sizeof codes);
    else {
      V::Act* to = q + tile * k + (g * group * width + 4 * m);
      for (int t = 0; t < group / 4; t++) __builtin_memcpy(to + 4 * width * t, codes + 4 * t, 4 * sizeof(V::Act));
    }

    constexpr int runs = group / Fmt::run;
    float d = most / 127.0f + V::reduce_add(bad);
    int64_t at = tile * (k / group) + g * width + m;
    scale[at] = d;
    // Whole numbers below 2^24: exact in any order.
    if constexpr (Fmt::has_min) sum[at] = d * V::reduce_add(all);
    if (is_matrix_tile<Fmt>(width)) return;
    for (int r = 0; r < runs; r++) {
      int part = 0;
      for (int i = 0; i < Fmt::run; i++) part += codes[r * Fmt::run + i];
      start[tile * (k / Fmt::run) + (g * runs + r) * width + m] = -dot_zero<Fmt> * part;
    }
  }

  /** As `quantize`, for a whole row of `length` numbers and one scale. */
  void quantize_row(const float* row, int64_t length, int64_t tile, int width, int m) const {
    constexpr int at_once = 4;
    V::F top[at_once], bad[at_once];
    for (int u = 0; u < at_once; u++) top[u] = bad[u] = V::zero();
    auto look = [&](V::F value, int u) FOVEA_FLAT {
      top[u] = V::max(top[u], V::abs(value));
      bad[u] = V::fma(value, V::zero(), bad[u]);
    };
    int64_t i = 0;
    for (; i + at_once * V::lanes <= length; i += at_once * V::lanes)
      unroll<0, at_once>([&](auto u) FOVEA_FLAT { look(V::load(row + i + u.value * V::lanes), u.value); });
    for (; i < length; i += V::lanes) look(load_up_to(row, i, length), 0);
    V::F high = V::max(V::max(top[0], top[1]), V::max(top[2], top[3]));
    V::F odd = V::add(V::add(bad[0], bad[1]), V::add(bad[2], bad[3]));
    float most = V::reduce_max(high), up = most < 0x1p-100f ? 0x1p100f : 1.0f;
    const V::F first = V::set1(up), second = V::set1(most > 0 ? 127.0f / (most * up) : 0.0f);

    constexpr int run = Fmt::run;
    V::I total = V::izero();
    for (int64_t g = 0; g < k / run; g++) {
      V::Act codes[run];
      auto round = [&](auto load) FOVEA_FLAT {
        unroll<0, run / V::lanes>([&](auto u) FOVEA_FLAT {
          V::I code = V::to_int(V::mul(V::mul(load(g * run + u.value * V::lanes), first), second));
          total = V::iadd(total, code);
          V::store_act(codes + u.value * V::lanes, code);
        });
      };
      if ((g + 1) * run <= length) round([&](int64_t at) FOVEA_FLAT { return V::load(row + at); });
      else round([&](int64_t at) FOVEA_FLAT { return load_up_to(row, at, length); });
      if (is_matrix_tile<Fmt>(width)) __builtin_memcpy(q + tile * k + (g * width + m) * run, codes, sizeof codes);
      else {
        V::Act* to = q + tile * k + (g * run * width + 4 * m);
        for (int t = 0; t < run / 4; t++) __builtin_memcpy(to + 4 * width * t, codes + 4 * t, 4 * sizeof(V::Act));
      }
    }
    // Codes of infinities and NaN are any numbers: their sum may wrap, and the scale makes NaN of it.
    int32_t lanes[V::lanes];
    uint32_t sum = 0;
    V::istore(lanes, total);
    for (int32_t lane : lanes) sum += uint32_t(lane);
    scale[tile + m] = most / 127.0f + V::reduce_add(odd);
    start[tile + m] = int32_t(0 - uint32_t(dot_zero<Fmt>) * sum);
  }

  /** The vector at `at` of a row of `length` numbers, zeros behind it. */
  static V::F load_up_to(const float* row, int64_t at, int64_t length) {
    const int64_t left = length - at;
    return left >= V::lanes ? V::load(row + at) : left > 0 ? V::load_tail(row + at, int(left)) : V::zero();
  }

  /** Values [k0, k1) of a row to their places. */
  void spread(const float* row, int64_t k0, int64_t k1, int64_t tile, int width, int m) const {
    float* to = x + tile * k + m;
    for (int64_t i = k0; i < k1; i++) to[i * width] = row[i];
  }
};

}  // namespace fovea::FOVEA_ISA
