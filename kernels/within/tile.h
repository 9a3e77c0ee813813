// The innermost product of attention within a batch, and how rows become what it reads and its results rows again.
#pragma once
#include "../dense/pack.h"
#include "../ops/elementwise.h"
#include "sizes.h"

namespace fovea::FOVEA_ISA::within {

/** Rows of a tile times a panel: y [rows][columns] = (y or 0) + a [k][width] · b [k][columns]. */
inline void tile(const float* a, int64_t k, const float* b, float* y, bool add) {
  V::F s[height][2];
  unroll<0, height>([&](auto r) FOVEA_FLAT {
    unroll<0, 2>([&](auto v) FOVEA_FLAT {
      s[r.value][v.value] = add ? V::load(y + r.value * columns + v.value * V::lanes) : V::zero();
    });
  });
  for (; k > 0; k--, a += width, b += columns) {
    V::F first = V::load(b), second = V::load(b + V::lanes);
    unroll<0, height>([&](auto r) FOVEA_FLAT {
      V::F one = V::set1(a[r.value]);
      s[r.value][0] = V::fma(first, one, s[r.value][0]);
      s[r.value][1] = V::fma(second, one, s[r.value][1]);
    });
  }
  unroll<0, height>([&](auto r) FOVEA_FLAT {
    unroll<0, 2>([&](auto v) FOVEA_FLAT { V::store(y + r.value * columns + v.value * V::lanes, s[r.value][v.value]); });
  });
}

/** Rows, `ld` floats apart, as the left side of products over their components, or over the rows themselves. */
inline void pack_left(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
  pack_across<FromF32>(x, ld, d, rows, {to, d * width, int(width), height});
}
inline void pack_left_over_rows(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
  pack_lines<FromF32>(x, ld, rows, d, {to, rows * width, int(width), height});
}
/** Rows as the columns of panels [d][columns]. */
inline void pack_right(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
  pack_across<FromF32>(x, ld, d, rows, {to, d * columns, int(columns), int(columns)});
}

/** Panels [d][columns], `size` floats apart, as `rows` rows of d, `ld` floats apart, each times its factor. */
inline void unpack(const float* panels, int64_t size, int64_t rows, int64_t d, const float* factor, float* y, int64_t ld) {
  for (int64_t r = 0; r < rows; r += V::lanes) {
    const float* from = panels + r / columns * size + r % columns;
    V::F by = factor ? V::load(factor + r) : V::set1(1.0f);
    for (int64_t c = 0; c < d; c += V::lanes) {
      V::F square[V::lanes];
      for (int i = 0; i < V::lanes; i++) square[i] = V::mul(by, V::load(from + (c + i) * columns));
      transpose(square);
      int64_t n = d - c < V::lanes ? d - c : V::lanes;
      for (int i = 0; i < V::lanes && r + i < rows; i++) V::store_tail(y + (r + i) * ld + c, square[i], int(n));
    }
  }
}

/** Panels of queries [rows][columns] as panels of the rows [queries][columns]; rows are zeros up to whole panels. */
inline void turn(const float* panels, int64_t size, int64_t rows, int64_t queries, float* to) {
  for (int64_t q = 0; q < queries; q += V::lanes)
    for (int64_t r = 0; r < (rows + columns - 1) / columns * columns; r += V::lanes) {
      V::F square[V::lanes];
      for (int i = 0; i < V::lanes; i++) square[i] = V::load(panels + q / columns * size + (r + i) * columns + q % columns);
      transpose(square);
      float* out = to + r / columns * block * columns + r % columns;
      for (int i = 0; i < V::lanes; i++) V::store(out + (q + i) * columns, square[i]);
    }
}

}  // namespace fovea::FOVEA_ISA::within
