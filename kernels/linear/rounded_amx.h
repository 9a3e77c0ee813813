// Products of operands that are rounded to bf16 on tiles of AMX: the totals of 32 tokens by two panels stay in tiles
// while k runs through. A tile of weights is made of a panel in registers, once for all tokens of a chunk. The order of
// a sum is that of dense/amx.h: within 32 k those of even place, those of odd place, then both to the total.
#pragma once
#include "tiles.h"

#if defined(FOVEA_ISA_AMX)
#include "../simd/amx.h"

namespace fovea::FOVEA_ISA {

template <class Fmt> struct Rounding {
  static constexpr int64_t side = amx::side, depth = 32, tile = side * depth;
  /** Tokens that are few: two tiles. */
  static constexpr int64_t few = 2 * side;
  /** Panels of a unit. */
  static constexpr int64_t least = 2, most = 16;
  /** Steps of 32 k for which all tokens pass a pair of panels: its tiles and those of 64 tokens fit the first cache. */
  static constexpr int64_t deep = 8;
  /** Sums of two tiles of tokens by two panels. */
  static constexpr int64_t sums = 4 * side * side;

  const Product& p;
  /** Tokens of the chunk. */
  int64_t count;
  /** [blocks of `deep` steps][tiles of 16 tokens][deep][16][32 k]. */
  uint16_t* x;
  /** [deep][2 panels][16 pairs of k][16 rows][2]. */
  uint16_t* weights;
  float* kept;

  static int64_t steps(const Product& p) { return (p.k + depth - 1) / depth; }
  static int64_t tiles(int64_t tokens) { return (tokens + side - 1) / side; }
  static int64_t shared_bytes(const Product& p, int64_t tokens) {
    return tiles(tokens) * ((steps(p) + deep - 1) / deep * deep) * tile * 2;
  }
  static int64_t own_bytes(const Product&, int64_t tokens) {
    return 2 * deep * tile * 2 + most / 2 * ((tiles(tokens) + 1) / 2) * sums * 4;
  }

  Rounding(const Product& p, int64_t count, uint8_t* shared, uint8_t* own)
      : p(p), count(count), x(reinterpret_cast<uint16_t*>(shared)), weights(reinterpret_cast<uint16_t*>(own)),
        kept(reinterpret_cast<float*>(own + 2 * deep * tile * 2)) {}

  static void begin() { amx::begin(64); }
  static void end() { amx::end(); }

  /** Token i of the chunk. */
  void prepare(int64_t i, const float* row) const {
    for (int64_t k = 0; k < p.k; k += depth) {
      const int64_t left = p.k - k;
      const __mmask32 there = left < depth ? (1u << left) - 1 : ~0u;
      const __m512 low = _mm512_maskz_loadu_ps(__mmask16(there), row + k);
      const __m512 high = _mm512_maskz_loadu_ps(__mmask16(there >> 16), row + k + 16);
      _mm512_store_si512(place(k / depth, i / side) + i % side * depth, __m512i(_mm512_cvtne2ps_pbh(high, low)));
    }
  }

  /** Panels [p0, p1) of a matrix, which begin at `panel`, times the tokens of the chunk, which begins at `from`. */
  void multiply(const Matrix& matrix, int64_t p0, int64_t p1, const uint8_t* panel, int64_t from) const {
    const int64_t all = steps(p), tall = tiles(count), bytes = Fmt::bytes(p.k);
    if (count <= few) return multiply_few(matrix, p0, p1, panel, from);
    for (int64_t s0 = 0, s1 = -1; s1 < all; s0 = s1) {
      s1 = s0 + deep < all ? s0 + deep : all;
      float* y = kept;
      for (int64_t i = p0; i < p1; i += 2) {
        const int64_t wide = i + 1 < p1 ? 2 : 1;
        for (int64_t j = 0; j < wide; j++) make(panel + (i + j - p0) * bytes, bytes, s0, s1, weights + j * tile);
        for (int64_t t = 0; t < tall; t += 2, y += sums) {
          if (t + 1 < tall) square<2>(place(s0, t), s1 - s0, s0 == 0, y);
          else square<1>(place(s0, t), s1 - s0, s0 == 0, y);
          if (s1 < all) continue;
          for (int64_t r = 0; r < 2 * side && t * side + r < count; r++)
            write(matrix, from + t * side + r, i, wide, square_of(y, r));
        }
      }
    }
  }

 private:
  uint16_t* place(int64_t s, int64_t t) const {
    return x + ((s / deep * tiles(count) + t) * deep + s % deep) * tile;
  }

  /** The same for few tokens. A product waits for two more steps, which leaves time to the memory. */
  void multiply_few(const Matrix& matrix, int64_t p0, int64_t p1, const uint8_t* panel, int64_t from) const {
    constexpr int64_t late = 2, places = 4;
    const int64_t all = steps(p), bytes = Fmt::bytes(p.k);
    for (int64_t i = p0; i < p1; i += 2) {
      const int64_t wide = i + 1 < p1 ? 2 : 1;
      const uint8_t* own = panel + (i - p0) * bytes;
      amx::zero<0>(), amx::zero<1>(), amx::zero<2>(), amx::zero<3>();
      for (int64_t s = 0; s < all + late; s++) {
        if (s < all)
          for (int64_t j = 0; j < wide; j++)
            make(own + j * bytes, bytes, s, s + 1, weights + (s % places * 2 + j) * tile);
        if (s < late) continue;
        const uint16_t *a = place(s - late, 0), *b = weights + (s - late) % places * 2 * tile;
        if (count > side) step<2>(a, b);
        else step<1>(a, b);
      }
      store<2>(kept);
      for (int64_t r = 0; r < count; r++) write(matrix, from + r, i, wide, square_of(kept, r));
    }
  }

  /** Steps [s0, s1) of a panel, every second tile from `to` on; what is missing of k becomes zeros. */
  FOVEA_FLAT void make(const uint8_t* panel, int64_t bytes, int64_t s0, int64_t s1, uint16_t* to) const {
    // Words of an even k, then of the odd one, to pairs.
    alignas(64) static constexpr uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                       8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i pairs = _mm512_load_si512(order);
    for (int64_t s = s0; s < s1; s++, to += 2 * tile) {
      const int64_t k0 = s * depth;
      // The pair of panels that follows in memory.
      for (int64_t at = Fmt::bytes(k0), end = Fmt::bytes(k0 + depth); at < end; at += 64)
        V::prefetch_far(panel + 2 * bytes + at);
      for (int64_t i = 0; i < depth; i += 2) {
        const int64_t k = k0 + i;
        __m512i both;
        if constexpr (is_bf16<Fmt>) {
          const __mmask32 there = k + 1 < p.k ? ~0u : k < p.k ? 0xffffu : 0u;
          both = _mm512_maskz_loadu_epi16(there, panel + k * panel_rows * 2);
        } else {
          const V::F even = k < p.k ? Fmt::weights(panel, k, 0) : V::zero();
          const V::F odd = k + 1 < p.k ? Fmt::weights(panel, k + 1, 0) : V::zero();
          both = __m512i(_mm512_cvtne2ps_pbh(odd, even));
        }
        _mm512_store_si512(to + side * i, _mm512_permutexvar_epi16(pairs, both));
      }
    }
  }

  /** `rows` tiles of tokens by two panels: added to y [rows][2][16, 16], from zero when `fresh`. */
  template <int rows> FOVEA_FLAT void square(const uint16_t* a, int64_t count, bool fresh, float* y) const {
    constexpr int64_t below = deep * tile;
    if (fresh) {
      amx::zero<0>(), amx::zero<1>();
      if (rows == 2) amx::zero<2>(), amx::zero<3>();
    } else {
      amx::load_rows<0>(y, 64), amx::load_rows<1>(y + 256, 64);
      if (rows == 2) amx::load_rows<2>(y + 512, 64), amx::load_rows<3>(y + 768, 64);
    }
    const uint16_t* b = weights;
    for (int64_t s = 0; s < count; s++, a += tile, b += 2 * tile) {
      // The tiles of tokens that follow.
      if (rows == 2)
        for (int64_t i = 0; i < tile; i += depth) {
          V::prefetch(a + 2 * below + i);
          V::prefetch(a + 3 * below + i);
        }
      step<rows>(a, b);
    }
    store<rows>(y);
  }

  template <int rows> static FOVEA_FLAT void step(const uint16_t* a, const uint16_t* b) {
    amx::load_rows<4>(a, 64), amx::load_rows<6>(b, 64), amx::load_rows<7>(b + tile, 64);
    if (rows == 2) amx::load_rows<5>(a + deep * tile, 64);
    amx::dot_bf16<0, 4, 6>(), amx::dot_bf16<1, 4, 7>();
    if (rows == 2) amx::dot_bf16<2, 5, 6>(), amx::dot_bf16<3, 5, 7>();
  }
  template <int rows> static FOVEA_FLAT void store(float* y) {
    amx::store_rows<0>(y, 64), amx::store_rows<1>(y + 256, 64);
    if (rows == 2) amx::store_rows<2>(y + 512, 64), amx::store_rows<3>(y + 768, 64);
  }

  /** Where the sums of token r lie among those of two tiles. */
  static const float* square_of(const float* y, int64_t r) { return y + r / side * 2 * side * side + r % side * side; }

  /** Sums of a token by `wide` panels from panel i on, 16 by 16 apart. */
  static FOVEA_FLAT void write(const Matrix& matrix, int64_t token, int64_t i, int64_t wide, const float* sums) {
    for (int64_t j = 0; j < wide; j++) {
      const int64_t at = (i + j) * panel_rows, left = matrix.m - at;
      const int n = int(left < panel_rows ? left : panel_rows);
      V::F f = V::load(sums + j * side * side);
      if (matrix.bias) f = V::add(f, V::load_tail(matrix.bias + at, n));
      V::store_tail(matrix.y + token * matrix.m + at, f, n);
    }
  }
};

}  // namespace fovea::FOVEA_ISA
#endif
