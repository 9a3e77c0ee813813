// The operands of attention within a batch in f32, and their products.
#pragma once
#include "tile.h"

namespace fovea::FOVEA_ISA::within {

inline void scale_all(float* x, int64_t count, float by) {
  each(x, 0, count, [&](auto load, int64_t j) { return V::mul(load(x + j), V::set1(by)); });
}

/** The left side of a product: its rows, its k, and the k that it was packed with. */
struct Left {
  const float* at;
  int64_t rows, k, packed;
};

/** How operands are packed and multiplied: in f32, or rounded to bf16 on tiles of AMX. */
struct Wide {
  static void left(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) { pack_left(x, ld, rows, d, to); }
  static void left_over_rows(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
    pack_left_over_rows(x, ld, rows, d, to);
  }
  static void right(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) { pack_right(x, ld, rows, d, to); }
  static void scaled(const float* x, int64_t ld, int64_t rows, int64_t d, float by, float* to) {
    pack_right(x, ld, rows, d, to);
    scale_all(to, (rows + columns - 1) / columns * columns * d, by);
  }
  /** By `count` columns that `right` packed. */
  static void product(const Left& a, const float* b, int64_t count, float* y, int64_t size, bool add) {
    panels_by(a, b, a.k * columns, count, y, size, add);
  }
  /** By a square of scores: `count` queries, a.k keys. */
  static void product_of_square(const Left& a, const float* scores, float*, int64_t count, float* y, int64_t size, bool add) {
    panels_by(a, scores, square, count, y, size, add);
  }
  /** To what is there, by a square of scores of a.k queries with the `count` keys as columns. */
  static void product_of_turned(const Left& a, const float* scores, float* turned, int64_t count, float* y, int64_t size) {
    turn(scores, square, count, a.k, turned);
    panels_by(a, turned, block * columns, count, y, size, true);
  }

  /** Floats from one panel of a square to the next. */
  static constexpr int64_t square = padded(block) * columns;

 private:
  static void panels_by(const Left& a, const float* b, int64_t b_size, int64_t count, float* y, int64_t size, bool add) {
    for (int64_t p = 0; p * columns < count; p++)
      for (int64_t t = 0; t < tiles_of(a.rows); t++)
        tile(a.at + t * a.packed * width, a.k, b + p * b_size, y + p * size + t * height * columns, add);
  }
};

}  // namespace fovea::FOVEA_ISA::within
