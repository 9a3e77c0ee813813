// The innermost integer product on tiles of AMX: 16 tokens times a panel of 16 rows. A run of codes is one
// product of tiles, exact in 32 bits; its scaling is that of `integer_tile`, operation by operation, so a row
// has the same bits whichever of the two it goes through.
//
// A product starts from the bits of 1.5 * 2^23 as f32, to which whole numbers below 2^22 add up exactly: its results
// are floats already. Where tiles are in use the processor converts and multiplies on one port only, but adds on both.
#pragma once
#include "tile.h"

#if defined(FOVEA_ISA_AMX)
#include "../simd/amx.h"

namespace fovea::FOVEA_ISA {

/** What every product starts from. */
struct alignas(64) StartOfDots {
  static constexpr float value = 0x1.8p23f;
  int32_t bits[amx::side * amx::side];
  constexpr StartOfDots() : bits() {
    for (int32_t& b : bits) b = 0x4b400000;
  }
};
inline constexpr StartOfDots start_of_dots;
static_assert(group * 128 * 128 < 1 << 22);

/** Groups [g0, g0 + groups) of a panel as signed bytes in quads, with their scales and minimums as f32. */
template <class Fmt> struct Signed {
  static constexpr int runs = group / Fmt::run;
  static constexpr int scale_bytes = (runs + Fmt::has_min) * 64;
  int64_t g0;
  uint8_t *codes_, *scales_;

  static constexpr int64_t bytes(int64_t groups) { return groups * (scale_bytes + 512); }

  Signed() = default;
  Signed(const uint8_t* panel, int64_t first, int64_t groups, int ahead, uint8_t* memory)
      : g0(first), codes_(memory + groups * scale_bytes), scales_(memory) {
    for (int64_t g = g0; g < g0 + groups; g++) {
      Fmt w(panel, g);
      for (int line = 0; line < Fmt::Codes::bytes / 64 + 1; line++)
        V::prefetch(w.codes + ahead + 64 * line);
      for (int r = 0; r < runs; r++) V::store(scale_at(g) + 16 * r, w.scale(r, 0));
      if constexpr (Fmt::has_min) V::store(scale_at(g) + 16 * runs, w.min(0));
      uint8_t* to = codes_ + (g - g0) * 512;
      unroll<0, 8>([&](auto t) FOVEA_FLAT {
        V::B code = Fmt::Codes::template code<t.value>(w.codes, 0);
        _mm512_store_si512(to + 64 * t.value, _mm512_sub_epi8(code, V::bset1(Fmt::zero)));
      });
    }
  }

  float* scale_at(int64_t g) const { return reinterpret_cast<float*>(scales_ + (g - g0) * scale_bytes); }
  const uint8_t* codes(int64_t g) const { return codes_ + (g - g0) * 512; }
};

/**
 * Groups [g0, g1) of a panel times the tile of 16 tokens from `tile` on, of which `rows` are wanted. Meanwhile
 * the weights at `next`, as many as these, are brought to the second cache, and the places of the results of
 * `following`, a line at a time: misses that come all at once would hold up everything else.
 */
template <class Fmt, int rows>
inline void amx_tile(const Signed<Fmt>& w, int64_t g0, int64_t g1, const Activations<Fmt>& x, int64_t tile,
                     const Target& target, const uint8_t* next, const Target& following) {
  constexpr int runs = group / Fmt::run, side = amx::side;
  V::F y[rows];
  unroll<0, rows>([&](auto m) FOVEA_FLAT { y[m.value] = target.load(m.value, 0); });
  const V::Act* q = x.q + tile * x.k + g0 * group * side;
  const float* scale = x.scale + tile * (x.k / group) + g0 * side;
  const float* sum = Fmt::has_min ? x.sum + tile * (x.k / group) + g0 * side : nullptr;
  alignas(64) int32_t dots[2][side * side];
  const V::F zero = V::set1(StartOfDots::value);

  constexpr int lines = int((Fmt::bytes(256) / 8 + 63) / 64);
  auto multiply = [&](int64_t g, auto r, auto into) FOVEA_FLAT {
    if (r.value == 0 && g - g0 < following.count) V::prefetch(following.at(int(g - g0), 0));
    if (next && r.value == 0) {
      for (int i = 0; i < lines; i++) _mm_prefetch(next + 64 * i, _MM_HINT_T1);
      next += Fmt::bytes(256) / 8;
    }
    amx::load<4 + into.value, side * group>(q + (g - g0) * group * side + r.value * Fmt::run, group);
    amx::load<6 + into.value, 64 * Fmt::run / 4>(w.codes(g) + r.value * Fmt::run / 4 * 64, 64);
    amx::load<into.value, sizeof(StartOfDots)>(start_of_dots.bits, 64);
    amx::dot<into.value, 4 + into.value, 6 + into.value>();
    amx::store<into.value>(dots[into.value]);
  };
  auto add = [&](int64_t g, auto r, auto from) FOVEA_FLAT {
    V::F s = V::load(w.scale_at(g) + 16 * r.value);
    const float* by = scale + (g - g0) * side;
    unroll<0, rows>([&](auto m) FOVEA_FLAT {
      V::F dot = V::sub(V::from_bits(V::iload(dots[from.value] + side * m.value)), zero);
      y[m.value] = V::fma(dot, V::mul(s, V::set1(by[m.value])), y[m.value]);
    });
    if constexpr (Fmt::has_min) {
      V::F least = V::load(w.scale_at(g) + 16 * runs);
      const float* of = sum + (g - g0) * side;
      unroll<0, rows>([&](auto m) FOVEA_FLAT { y[m.value] = V::fma(least, V::set1(of[m.value]), y[m.value]); });
    }
  };
  // The product of a run is under way while the one before it is scaled.
  if constexpr (runs == 2) {
    multiply(g0, Int<0>(), Int<0>());
    for (int64_t g = g0; g < g1; g++) {
      multiply(g, Int<1>(), Int<1>());
      add(g, Int<0>(), Int<0>());
      if (g + 1 < g1) multiply(g + 1, Int<0>(), Int<0>());
      add(g, Int<1>(), Int<1>());
    }
  } else {
    multiply(g0, Int<0>(), Int<0>());
    for (int64_t g = g0; g < g1; g += 2) {
      if (g + 1 < g1) multiply(g + 1, Int<0>(), Int<1>());
      add(g, Int<0>(), Int<0>());
      if (g + 1 == g1) break;
      if (g + 2 < g1) multiply(g + 2, Int<0>(), Int<0>());
      add(g + 1, Int<0>(), Int<1>());
    }
  }
  unroll<0, rows>([&](auto m) FOVEA_FLAT { target.store(m.value, 0, y[m.value]); });
}

}  // namespace fovea::FOVEA_ISA
#endif
