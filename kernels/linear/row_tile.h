// The innermost products of formats with one scale for each row: all of k as one exact integer, which meets the
// scales once,
//
//   y = float(dot) * (weight scale * activation scale)
//
// Integers may be added in any order, so this is free to use as many sums as an instruction set likes: a row has
// the same bits in every tile.
#pragma once
#include "tile.h"
#include "tiles.h"
#if defined(FOVEA_ISA_AMX)
#include "../simd/amx.h"
#endif

namespace fovea::FOVEA_ISA {

#if !defined(__wasm__)
template <class Codes, int width> FOVEA_FLAT inline V::Acc dot_of(V::Acc a, V::B w, V::X x) {
  return Codes::dot(a, w, x);
}
#endif

/** Parts [v0, v0 + parts) of a panel, whose results are parts from `to` on, times the tile of `width` tokens from `tile` on. */
template <class Fmt, int width, int parts>
inline void row_tile(const uint8_t* panel, int v0, const Activations<Fmt>& x, int64_t tile, const Target& target,
                     int to) {
  using Codes = typename Fmt::Codes;
  // One token's sums would wait for each other.
  constexpr int chains = width * parts < 4 ? 4 : 1, quads = wasm ? 4 : 8;
  V::Acc dots[chains][width][parts];
  unroll<0, width>([&](auto m) FOVEA_FLAT {
    V::Acc start = V::acc(x.start[tile + m.value]), zero = V::acc(0);
    unroll<0, chains>([&](auto c) FOVEA_FLAT {
      unroll<0, parts>([&](auto v) FOVEA_FLAT { dots[c.value][m.value][v.value] = c.value ? zero : start; });
    });
  });
  const V::Act* q = x.q + tile * x.k;
  const uint8_t* codes = Fmt::codes(panel) + v0 * 4 * V::lanes;
  for (int64_t k = 0; k < x.k; k += 4 * quads, q += 4 * quads * width, codes += 64 * quads) {
    for (int line = 0; line < quads; line++) V::prefetch(codes + target.ahead + 64 * line);
    unroll<0, quads>([&](auto t) FOVEA_FLAT {
      V::B code[parts];
      unroll<0, parts>([&](auto v) FOVEA_FLAT { code[v.value] = part(codes + 64 * t.value, v.value); });
      unroll<0, width>([&](auto m) FOVEA_FLAT {
        V::X four = V::quad(q + 4 * (t.value * width + m.value));
        unroll<0, parts>([&](auto v) FOVEA_FLAT {
          V::Acc& dot = dots[t.value % chains][m.value][v.value];
          dot = dot_of<Codes, width>(dot, code[v.value], four);
        });
      });
    });
  }
  unroll<0, parts>([&](auto v) FOVEA_FLAT {
    V::F s = Fmt::scale(panel, v0 + v.value);
    unroll<0, width>([&](auto m) FOVEA_FLAT {
      V::I dot = V::sum(dots[0][m.value][v.value]);
      unroll<1, chains>([&](auto c) FOVEA_FLAT { dot = V::iadd(dot, V::sum(dots[c.value][m.value][v.value])); });
      V::F by = V::mul(s, V::set1(x.scale[tile + m.value]));
      target.store(m.value, to + v.value, V::mul(V::to_float(dot), by));
    });
  });
}

#if defined(FOVEA_ISA_AMX)

/**
 * `panels` panels that lie `stride` bytes apart times `tiles` tiles of 16 tokens from `tile` on: up to four results,
 * so that what is loaded is used twice. Meanwhile the second cache is asked for `ask` lines from `next` on.
 */
template <class Fmt, int tiles, int panels>
inline void amx_row_tile(const uint8_t* panel, int64_t stride, const Activations<Fmt>& x, int64_t tile,
                         const Target& target, const uint8_t* next, int64_t ask) {
  constexpr int side = amx::side, run = Fmt::run;
  alignas(64) int32_t dots[tiles][panels][side * side];
  unroll<0, tiles * panels>([&](auto i) FOVEA_FLAT { amx::zero<i.value>(); });
  const V::Act* q = x.q + tile * x.k;
  const uint8_t* codes = Fmt::codes(panel);
  const int64_t steps = x.k / run, each = (ask + steps - 1) / (steps ? steps : 1);
  for (int64_t step = 0; step < steps; step++, q += side * run, codes += panel_rows * run) {
    for (int64_t line = 0; line < each; line++, next += 64) V::prefetch_far(next);
    unroll<0, tiles>([&](auto t) FOVEA_FLAT { amx::load<4 + t.value, side * run>(q + t.value * side * x.k, run); });
    unroll<0, panels>([&](auto p) FOVEA_FLAT {
      amx::load<6 + p.value, panel_rows * run>(codes + p.value * stride, 64);
      unroll<0, tiles>([&](auto t) FOVEA_FLAT { amx::dot<t.value * panels + p.value, 4 + t.value, 6 + p.value>(); });
    });
  }
  unroll<0, tiles>([&](auto t) FOVEA_FLAT {
    unroll<0, panels>([&](auto p) FOVEA_FLAT { amx::store<t.value * panels + p.value>(dots[t.value][p.value]); });
  });
  V::F s[panels];
  unroll<0, panels>([&](auto p) FOVEA_FLAT { s[p.value] = Fmt::scale(panel + p.value * stride, 0); });
  for (int m = 0; m < tiles * side && m < target.count; m++) {
    V::F by = V::set1(x.scale[tile + m]);
    unroll<0, panels>([&](auto p) FOVEA_FLAT {
      V::F dot = V::to_float(V::iload(dots[m / side][p.value] + m % side * side));
      target.store(m, p.value, V::mul(dot, V::mul(s[p.value], by)));
    });
  }
}

/** Tiles of 16 tokens, two at a time, times up to two panels; `next` has as many bytes as these panels. */
template <class Fmt>
inline void amx_row_tiles(const uint8_t* panel, const Tile* tile, int tiles, const int32_t* row,
                          const Activations<Fmt>& x, Target& target, int64_t stride, const uint8_t* next) {
  const bool two = target.columns > panel_rows;
  const int64_t lines = next ? stride / 64 * (two ? 2 : 1) : 0, share = (lines + (tiles + 1) / 2 - 1) / ((tiles + 1) / 2);
  for (int i = 0; i < tiles; i += 2, next += 64 * share) {
    const bool pair = i + 1 < tiles;
    target.row = row + tile[i].first, target.count = tile[i].count + (pair ? tile[i + 1].count : 0);
    auto run = [&](auto tokens, auto panels) {
      amx_row_tile<Fmt, tokens.value, panels.value>(panel, stride, x, tile[i].at, target, next, share);
    };
    if (pair && two) run(Int<2>(), Int<2>());
    else if (pair) run(Int<2>(), Int<1>());
    else if (two) run(Int<1>(), Int<2>());
    else run(Int<1>(), Int<1>());
  }
}

#endif

}  // namespace fovea::FOVEA_ISA
