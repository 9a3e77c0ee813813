// The innermost product of the dense kernels: a tile of rows of a times a few vectors of columns of b over at
// most `dense_step` k, all sums in registers. Every element is formed in one order, whatever the tile:
//
//   s = fma(b, a, s) over 256 k from s = 0, then y = y + s
//
// which is the order of the float formats in linear/tile.h.
#pragma once
#include "../linear/widths.h"

namespace fovea::FOVEA_ISA {

/** k that a sum runs over before it joins the total: bounds the error of long sums, and what lies in the caches. */
constexpr int64_t dense_step = 256;

/** Rows of the tallest tile, and vectors in its width: as many sums as the registers hold. */
#if defined(__ARM_NEON)
constexpr int tallest = 8, dense_vectors = 3;
#else
constexpr int tallest = V::lanes == 16 ? 14 : V::lanes == 8 || wasm ? 6 : 4, dense_vectors = 2;
#endif

/** Columns of a panel of b, and places for the rows of a packed tile of a: whole vectors. */
constexpr int dense_columns = dense_vectors * V::lanes;
constexpr int dense_rows = (tallest + V::lanes - 1) / V::lanes * V::lanes;

/** Whether the vectors of a panel's columns lie side by side in panels of weights too: then one place will do. */
constexpr bool dense_adjacent = panel_rows % dense_columns == 0;

/** k between requests for memory. */
constexpr int dense_stride = 16;

/** k that b and a are asked for ahead, from the second cache to the first. */
constexpr int dense_near = 8, dense_near_a = 16;

/** Columns of b as f32: where each vector of them begins, and the floats from one k to the next. */
struct Columns {
  const float* at[dense_vectors];
  int64_t step;
};

/** The part of the result that a tile adds to: `rows` by `columns` elements at y, and what they begin with. */
struct Sums {
  float* y;
  /** y itself, c, or null for zeros; with the same distance between rows. */
  const float* start;
  /** A row that is added to the finished sums, or null. */
  const float* bias;
  int64_t ld;
  int rows, columns;

  template <bool whole> V::F load(int r, int v) const {
    const float* from = start + r * ld + v * V::lanes;
    int n = whole ? V::lanes : columns - v * V::lanes;
    if (!start || r >= rows || n <= 0) return V::zero();
    return n >= V::lanes ? V::load(from) : V::load_tail(from, n);
  }
  template <bool whole> V::F last(int v) const {
    int n = whole ? V::lanes : columns - v * V::lanes;
    if (n <= 0) return V::zero();
    return n >= V::lanes ? V::load(bias + v * V::lanes) : V::load_tail(bias + v * V::lanes, n);
  }
  template <bool whole> void store(int r, int v, V::F f) const {
    float* to = y + r * ld + v * V::lanes;
    int n = whole ? V::lanes : columns - v * V::lanes;
    if (r >= rows || n <= 0) return;
    if (n >= V::lanes) V::store(to, f);
    else V::store_tail(to, f, n);
  }
};

/** Memory that will be read soon: rows of `run` lines, `step` bytes apart. Asked for piece by piece. */
struct Ahead {
  const uint8_t* at;
  int64_t step, run, left, line, each;

  /** Asks for the next `each` lines, for the second cache. */
  void ask() {
    for (int64_t i = 0; i < each && left > 0; i++, left--) {
      __builtin_prefetch(at + 64 * line, 0, 2);
      if (++line == run) line = 0, at += step;
    }
  }
};

/** a is [count][dense_rows], of which `height` are taken; `count` is at most `dense_step`. */
template <int height>
inline void dense_tile(const float* a, Columns b, int64_t count, const Sums& sums, Ahead& ahead) {
  V::F s[height][dense_vectors];
  unroll<0, height>([&](auto r) FOVEA_FLAT {
    unroll<0, dense_vectors>([&](auto v) FOVEA_FLAT { s[r.value][v.value] = V::zero(); });
  });
  const float *y = sums.y, *end = sums.y + sums.rows * sums.ld;
  constexpr int last_vector = dense_vectors - 1, streams = dense_adjacent ? 1 : dense_vectors;
  const float* from[streams];
  unroll<0, streams>([&](auto v) FOVEA_FLAT { from[v.value] = b.at[v.value]; });
  auto at = [&](auto v) FOVEA_FLAT { return dense_adjacent ? from[0] + v.value * V::lanes : from[v.value % streams]; };
  for (int64_t k = 0; k < count;) {
    // All at once the lines of y would keep those of b waiting.
    if (y < end) {
      V::prefetch(y);
      V::prefetch(y + dense_columns - 1);
      y += sums.ld;
    }
    ahead.ask();
    for (int64_t to = k + dense_stride < count ? k + dense_stride : count; k < to; k++, a += dense_rows) {
      V::prefetch(a + dense_near_a * dense_rows);
      V::prefetch(from[0] + dense_near * b.step);
      V::prefetch(at(Int<last_vector>{}) + dense_near * b.step + V::lanes - 1);
      V::F w[dense_vectors];
      unroll<0, dense_vectors>([&](auto v) FOVEA_FLAT { w[v.value] = V::load(at(v)); });
      unroll<0, streams>([&](auto v) FOVEA_FLAT { from[v.value] += b.step; });
      unroll<0, height>([&](auto r) FOVEA_FLAT {
        V::F one = V::set1(a[r.value]);
        unroll<0, dense_vectors>([&](auto v) FOVEA_FLAT {
          s[r.value][v.value] = V::fma(w[v.value], one, s[r.value][v.value]);
        });
      });
    }
  }
  auto join = [&](auto whole, auto biased) FOVEA_FLAT {
    V::F last[dense_vectors];
    if constexpr (biased.value != 0)
      unroll<0, dense_vectors>([&](auto v) FOVEA_FLAT { last[v.value] = sums.template last<whole.value != 0>(v.value); });
    unroll<0, height>([&](auto r) FOVEA_FLAT {
      unroll<0, dense_vectors>([&](auto v) FOVEA_FLAT {
        V::F sum = V::add(sums.template load<whole.value != 0>(r.value, v.value), s[r.value][v.value]);
        if constexpr (biased.value != 0) sum = V::add(sum, last[v.value]);
        sums.template store<whole.value != 0>(r.value, v.value, sum);
      });
    });
  };
  if (sums.columns < dense_columns) {
    if (sums.bias) join(Int<0>{}, Int<1>{});
    else join(Int<0>{}, Int<0>{});
  } else if (sums.bias) join(Int<1>{}, Int<1>{});
  else join(Int<1>{}, Int<0>{});
}

}  // namespace fovea::FOVEA_ISA
