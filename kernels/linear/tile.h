// The innermost products: one panel (or part of its rows) times a tile of tokens, over a range of k, with all
// sums in registers. Whatever the width of the tile, each sum is formed in the same order:
//
//   integer   y = fma(dot of a run, weight scale * activation scale, y), run after run; with a minimum
//             y = fma(min, activation sum, y) after each group
//   float     s = fma(w, x, s) over 256 k from s = 0, then y = y + s
#pragma once
#include "activations.h"

namespace fovea::FOVEA_ISA {

/** k that a float sum runs over before it joins the total: bounds the error of long sums. */
constexpr int64_t float_block = 256;

/** Bytes between what is read and what is asked from memory, unless chosen otherwise. */
constexpr int usual_ahead = 2048;

/** Where a tile's results go: `count` rows of y, `columns` of the 16 of each panel. */
struct Target {
  float* y;
  int64_t ld;
  const int32_t* row;
  int count;
  int columns;
  /** Of the panel, or null. */
  const float* bias;
  /** Whether the range of k is the first and the last of the sum. */
  bool first, last;
  /** Bytes between what is read and what is asked from memory; the same for the second cache, or 0. */
  int ahead, far = 0;

  float* at(int m, int v) const { return y + row[m] * ld + v * V::lanes; }
  FOVEA_INLINE V::F load(int m, int v) const { return load(m, v, first); }
  FOVEA_INLINE void store(int m, int v, V::F f) const { store(m, v, f, last); }

  FOVEA_INLINE V::F load(int m, int v, bool zero) const {
    int n = columns - v * V::lanes;
    if (zero || m >= count || n <= 0) return V::zero();
    return n >= V::lanes ? V::load(at(m, v)) : V::load_tail(at(m, v), n);
  }
  FOVEA_INLINE void store(int m, int v, V::F f, bool with_bias) const {
    int n = columns - v * V::lanes;
    if (m >= count || n <= 0) return;
    if (n >= V::lanes) {
      if (with_bias && bias) f = V::add(f, V::load(bias + v * V::lanes));
      V::store(at(m, v), f);
    } else {
      if (with_bias && bias) f = V::add(f, V::load_tail(bias + v * V::lanes, n));
      V::store_tail(at(m, v), f, n);
    }
  }
};

#if !defined(__wasm__)
/** Vectors across a panel that a tile of several tokens takes at once. */
template <class Fmt> constexpr int parts_of_tile() { return 1; }

/** Groups [g0, g1) of parts [v0, v0 + parts) of a panel, times the tile of `width` tokens from `tile` on. */
template <class Fmt, int width, int parts>
inline void integer_tile(const uint8_t* panel, int v0, int64_t g0, int64_t g1, const Activations<Fmt>& x,
                         int64_t tile, const Target& target) {
  using Codes = typename Fmt::Codes;
  constexpr int runs = group / Fmt::run, quads = 8 / runs;
  V::F y[width][parts];
  unroll<0, width>([&](auto m) FOVEA_FLAT {
    unroll<0, parts>([&](auto v) FOVEA_FLAT { y[m.value][v.value] = target.load(m.value, v0 + v.value); });
  });
  const V::Act* q = x.q + tile * x.k + g0 * group * width;
  const float* scale = x.scale + tile * (x.k / group) + g0 * width;
  const float* sum = Fmt::has_min ? x.sum + tile * (x.k / group) + g0 * width : nullptr;
  const int32_t* start = x.start + tile * (x.k / Fmt::run) + g0 * runs * width;
  for (int64_t g = g0; g < g1; g++) {
    Fmt w(panel, g);
    // About as many lines ahead as the memory has under way.
    for (int line = 0; line < Codes::bytes / 64 + 1; line++) {
      V::prefetch(w.codes + target.ahead + 64 * line);
      if (width > 1 && target.far) V::prefetch_far(w.codes + target.far + 64 * line);
    }
    unroll<0, runs>([&](auto r) FOVEA_FLAT {
      V::Acc dots[width][parts];
      unroll<0, width>([&](auto m) FOVEA_FLAT {
        unroll<0, parts>([&](auto v) FOVEA_FLAT {
          dots[m.value][v.value] = V::acc(start[r.value * width + m.value]);
        });
      });
      unroll<r.value * quads, (r.value + 1) * quads>([&](auto t) FOVEA_FLAT {
        V::B code[parts];
        unroll<0, parts>([&](auto v) FOVEA_FLAT {
          code[v.value] = Codes::template code<t.value>(w.codes, v0 + v.value);
        });
        unroll<0, width>([&](auto m) FOVEA_FLAT {
          V::X four = V::quad(q + 4 * (t.value * width + m.value));
          unroll<0, parts>([&](auto v) FOVEA_FLAT {
            dots[m.value][v.value] = Codes::dot(dots[m.value][v.value], code[v.value], four);
          });
        });
      });
      unroll<0, parts>([&](auto v) FOVEA_FLAT {
        V::F s = w.scale(r.value, v0 + v.value);
        unroll<0, width>([&](auto m) FOVEA_FLAT {
          V::F& to = y[m.value][v.value];
          to = V::fma(V::to_float(V::sum(dots[m.value][v.value])), V::mul(s, V::set1(scale[m.value])), to);
        });
      });
    });
    if constexpr (Fmt::has_min)
      unroll<0, parts>([&](auto v) FOVEA_FLAT {
        V::F least = w.min(v0 + v.value);
        unroll<0, width>([&](auto m) FOVEA_FLAT {
          V::F& to = y[m.value][v.value];
          to = V::fma(least, V::set1(sum[m.value]), to);
        });
      });
    q += group * width;
    scale += width;
    sum += Fmt::has_min ? width : 0;
    start += runs * width;
  }
  unroll<0, width>([&](auto m) FOVEA_FLAT {
    unroll<0, parts>([&](auto v) FOVEA_FLAT { target.store(m.value, v0 + v.value, y[m.value][v.value]); });
  });
}

#endif

/** Columns of panels of floats: column k of vectors [v0, v0 + parts), vector v being of the panel at from[v]. */
template <class Fmt> struct ColumnOf {
  template <int parts>
  FOVEA_FLAT void load(const uint8_t* const (&from)[parts], int64_t k, int v0, V::F (&w)[parts]) const {
    unroll<0, parts>([&](auto v) FOVEA_FLAT {
      w[v.value] = Fmt::weights(from[v.value], k, (v0 + v.value) % across);
    });
  }
};
#if defined(__wasm__)
template <> struct ColumnOf<F16> {
  Halves halves;
  template <int parts>
  FOVEA_FLAT void load(const uint8_t* const (&from)[parts], int64_t k, int v0, V::F (&w)[parts]) const {
    halves.load(from[0] + k * 32, v0, w);
  }
};
#endif

/**
 * Vectors [v0, v0 + parts) of panels that lie `stride` bytes apart, from the k at which `panel` and x begin,
 * `count` of them, times a tile. Meanwhile the second cache is asked for `next_bytes` a k from `next` on, for as
 * many panels, unless that is null.
 */
template <class Fmt, int width, int parts>
inline void float_tile(const uint8_t* panel, int64_t stride, int v0, int64_t count, const float* x,
                       const Target& target, const uint8_t* next, int64_t next_stride, int64_t next_bytes) {
  const uint8_t* from[parts];
  unroll<0, parts>([&](auto v) FOVEA_FLAT { from[v.value] = panel + (v0 + v.value) / across * stride; });
  const ColumnOf<Fmt> columns;
  int64_t k = 0;
  do {
    V::F s[width][parts];
    unroll<0, width>([&](auto m) FOVEA_FLAT {
      unroll<0, parts>([&](auto v) FOVEA_FLAT { s[m.value][v.value] = V::zero(); });
    });
    const bool first = target.first && k == 0;
    int64_t end = k + float_block < count ? k + float_block : count;
    for (; k < end; k++, x += width) {
      const int64_t ahead = k * panel_rows * Fmt::width + target.ahead;
      if (width <= middle && (Fmt::width == 4 || k % 2 == 0))
        for (int v = 0; v < parts; v += across) V::prefetch(from[v] + ahead);
      if (width > middle && next)
        for (int v = 0; v < parts; v += across) V::prefetch_far(next + v / across * next_stride + k * next_bytes);
      V::F w[parts];
      columns.load(from, k, v0, w);
      unroll<0, width>([&](auto m) FOVEA_FLAT {
        V::F one = V::set1(x[m.value]);
        unroll<0, parts>([&](auto v) FOVEA_FLAT {
          s[m.value][v.value] = V::fma(w[v.value], one, s[m.value][v.value]);
        });
      });
    }
    const bool last = target.last && k == count;
    // Engines of WebAssembly would ask for each vector whether it is whole.
    if (wasm && target.count >= width && target.columns >= (v0 + parts) * V::lanes)
      unroll<0, width>([&](auto m) FOVEA_FLAT {
        float* y = target.at(m.value, v0);
        unroll<0, parts>([&](auto v) FOVEA_FLAT {
          V::F sum = V::add(first ? V::zero() : V::load(y + v.value * V::lanes), s[m.value][v.value]);
          if (last && target.bias) sum = V::add(sum, V::load(target.bias + (v0 + v.value) * V::lanes));
          V::store(y + v.value * V::lanes, sum);
        });
      });
    else
      unroll<0, width>([&](auto m) FOVEA_FLAT {
        unroll<0, parts>([&](auto v) FOVEA_FLAT {
          V::F y = target.load(m.value, v0 + v.value, first);
          target.store(m.value, v0 + v.value, V::add(y, s[m.value][v.value]), last);
        });
      });
  } while (k < count);
}

}  // namespace fovea::FOVEA_ISA

#if defined(__wasm__)
#include "wasm_tile.h"
#endif
