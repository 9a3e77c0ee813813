// How many tokens an innermost product takes at once. Knows formats and registers; the choice has no influence
// on any sum.
#pragma once
#include "../tuning.h"
#include "formats.h"

namespace fovea::FOVEA_ISA {

/** WebAssembly is mostly run by engines that keep 15 vectors in registers. */
#if defined(__wasm__)
constexpr bool wasm = true;
#else
constexpr bool wasm = false;
#endif

/** Tokens in the widest tile: as many sums as the registers hold. Sixteen is a tile of AMX (`amx_tile.h`). */
#if defined(FOVEA_ISA_AMX)
template <class Fmt> constexpr bool matrix_tiles = Fmt::integer;
#else
template <class Fmt> constexpr bool matrix_tiles = false;
#endif
template <class Fmt>
constexpr int widest = matrix_tiles<Fmt> ? 16 : V::lanes == 16 ? 12 : V::lanes == 8 || wasm ? 6 : 4;

/** Between the widest tile and single rows; compilers need seconds for each width, so there are few. 0 for none. */
constexpr int between = V::lanes == 16 ? 8 : 0;
constexpr int middle = V::lanes == 16 ? 4 : V::lanes == 8 || wasm ? 2 : 1;

template <class Fmt> constexpr bool is_matrix_tile(int width) { return matrix_tiles<Fmt> && width == widest<Fmt>; }

/**
 * Width of the first tile of so many rows: some padding beats a second pass over the weights. `tiles` is one of
 * Choice::Tiles.
 */
template <class Fmt> constexpr int width_for(int64_t rows, int tiles) {
  int64_t few = matrix_tiles<Fmt> ? between : 2 * widest<Fmt> / 3;
  if (tiles == Choice::widest_first) few = middle;
  if (tiles > Choice::widest_first) few = rows;
  if (tiles == Choice::at_most_middle && rows > middle) return middle;
  return rows > few ? widest<Fmt> : between && rows > middle ? between : 2 * rows > middle ? middle : int(rows);
}

}  // namespace fovea::FOVEA_ISA
