// How large the squares, tiles and panels of attention within a batch are, and how a thread deals its memory. Knows
// registers; no op.
#pragma once
#include "../simd/simd.h"

namespace fovea::FOVEA_ISA::within {

/** Queries and keys of a square. */
constexpr int64_t block = 64;

/** Rows of a tile, places for them, and columns of a panel: as many sums as the registers hold. */
constexpr int height = V::lanes == 16 ? 13 : 6;
constexpr int64_t width = (height + V::lanes - 1) / V::lanes * V::lanes, columns = 2 * V::lanes;

constexpr int64_t tiles_of(int64_t rows) { return (rows + height - 1) / height; }
constexpr int64_t blocks_of(int64_t rows) { return (rows + block - 1) / block; }
/** In whole panels of AMX. */
constexpr int64_t even(int64_t x) { return (x + 31) / 32 * 32; }
/** Rows of a result: those of whole tiles (of AMX too), and of whole squares of a transpose. */
constexpr int64_t padded(int64_t rows) {
  return (tiles_of(rows) * height > even(rows) ? tiles_of(rows) * height : even(rows)) + V::lanes;
}
/** Floats of a block's rows, or of a block of queries, packed for products over k: in f32, or in bf16 for AMX. */
constexpr int64_t left(int64_t rows, int64_t k) {
  return tiles_of(rows) * width * k > even(rows) * even(k) / 2 ? tiles_of(rows) * width * k : even(rows) * even(k) / 2;
}

constexpr int64_t panels = block / columns;
constexpr int64_t square = panels * padded(block) * columns;

/** Memory of a thread, taken piece by piece. */
struct Pieces {
  uint8_t* at;
  int64_t taken = 0;
  float* take(int64_t floats) {
    float* piece = reinterpret_cast<float*>(at + taken);
    taken += (floats * 4 + 63) / 64 * 64;
    return piece;
  }
};

}  // namespace fovea::FOVEA_ISA::within
