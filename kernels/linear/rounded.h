// Products with weights of a float format whose operands are first rounded to bf16: the op linear where it asks for
// that. On tiles of AMX (rounded_amx.h) many tokens are several times as fast so; elsewhere the rounded numbers meet in
// plain multiply-adds, and nothing is gained. A sum runs over k in one order, whatever rows go together.
#pragma once
#include "many_rows.h"
#include "pack.h"
#include "rounded_amx.h"

namespace fovea::FOVEA_ISA {

/** Tokens whose activations are rounded at a time. */
constexpr int64_t rounded_tokens = 512;

#if !defined(FOVEA_ISA_AMX)
template <class Fmt> struct Rounding {
  /** Tokens that are few, and those that pass a panel together. */
  static constexpr int64_t few = 0;
  static constexpr int at_once = V::lanes == 16 ? 8 : 4;
  /** Panels of a unit. */
  static constexpr int64_t least = 1, most = 1;

  const Product& p;
  /** Tokens of the chunk. */
  int64_t count;
  /** [tokens, k], and a panel as [k][16]: f32 that are bf16. */
  float *x, *weights;

  static int64_t shared_bytes(const Product& p, int64_t tokens) { return (tokens * p.k * 4 + 63) / 64 * 64; }
  static int64_t own_bytes(const Product& p, int64_t) { return p.k * panel_rows * 4; }

  Rounding(const Product& p, int64_t count, uint8_t* shared, uint8_t* own)
      : p(p), count(count), x(reinterpret_cast<float*>(shared)), weights(reinterpret_cast<float*>(own)) {}

  static void begin() {}
  static void end() {}

  /** Token i of the chunk. */
  void prepare(int64_t i, const float* row) const {
    each(x + i * p.k, 0, p.k, [&](auto load, int64_t j) { return V::to_bf16(load(row + j)); });
  }

  /** Panel p0 of a matrix, which begins at `panel`, times the tokens of the chunk, which begins at `from`. */
  void multiply(const Matrix& matrix, int64_t p0, int64_t, const uint8_t* panel, int64_t from) const {
    for (int64_t k = 0; k < p.k; k++)
      for (int v = 0; v < across; v++)
        V::store(weights + k * panel_rows + v * V::lanes, V::to_bf16(Fmt::weights(panel, k, v)));
    for (int64_t i = 0; i < count; i += at_once) {
      V::F sum[at_once][across];
      const float* row[at_once];
      for (int r = 0; r < at_once; r++) {
        row[r] = x + (i + r < count ? i + r : count - 1) * p.k;
        for (int v = 0; v < across; v++) sum[r][v] = V::zero();
      }
      for (int64_t k = 0; k < p.k; k++)
        for (int v = 0; v < across; v++) {
          const V::F w = V::load(weights + k * panel_rows + v * V::lanes);
          FOVEA_UNROLL(8)
          for (int r = 0; r < at_once; r++) sum[r][v] = V::fma(V::set1(row[r][k]), w, sum[r][v]);
        }
      for (int r = 0; r < at_once && i + r < count; r++)
        for (int v = 0; v < across; v++) {
          const int64_t at = p0 * panel_rows + v * V::lanes, left = matrix.m - at;
          if (left <= 0) break;
          const int n = int(left < V::lanes ? left : V::lanes);
          V::F f = sum[r][v];
          if (matrix.bias) f = V::add(f, V::load_tail(matrix.bias + at, n));
          V::store_tail(matrix.y + (from + i + r) * matrix.m + at, f, n);
        }
    }
  }
};
#endif

/** Where the parts of scratch memory begin. */
template <class Fmt> struct RoundedScratch {
  int64_t shared, packed, own;

  explicit RoundedScratch(const Product& p) {
    const int64_t tokens = p.n < rounded_tokens ? p.n : rounded_tokens;
    shared = Rounding<Fmt>::shared_bytes(p, tokens);
    packed = p.in_rows() ? Rounding<Fmt>::most * Fmt::bytes(p.k) : 0;
    own = packed + Rounding<Fmt>::own_bytes(p, tokens);
  }
  int64_t bytes(int threads) const { return shared + threads * own; }
};

/** A product, its norm before it and what follows behind it. `meet()` is where its threads meet. */
template <class Fmt, class Meet> inline void multiply_rounded(const Product& p, const Work& work, const Meet& meet) {
  using R = Rounding<Fmt>;
  const RoundedScratch<Fmt> scratch(p);
  const int64_t bytes = Fmt::bytes(p.k);
  uint8_t* own = work.scratch + scratch.shared + work.thread * scratch.own;
  const int sides = p.together(), strips = p.count / sides;
  int64_t panels = 0, units = 0;
  for (int i = 0; i < strips; i++) panels += panels_of(p.matrix[i].m);
  // Large units for many activations to pass often while they are near, four of them for each thread; of few tokens
  // small ones, so that the threads end together.
  int64_t size = panels / ((p.n > R::few ? 4 : 16) * work.threads) / R::least * R::least;
  size = size < R::least ? R::least : size > R::most ? R::most : size;
  auto units_of = [&](int strip) { return (panels_of(p.matrix[strip].m) + size - 1) / size; };
  for (int i = 0; i < strips; i++) units += units_of(i);
  const int64_t chunks = (p.n + rounded_tokens - 1) / rounded_tokens;
  R::begin();
  for (int64_t c = 0; c < chunks; c++) {
    const int64_t from = p.n * c / chunks, count = p.n * (c + 1) / chunks - from;
    const R rounding(p, count, work.scratch, own + scratch.packed);
    int64_t begin, end;
    if (c > 0) meet();
    work.share(count, 1, begin, end);
    for (int64_t i = begin; i < end; i++) {
      float* row = p.x + (from + i) * p.k;
      if (p.norm) {
        const float* x = p.norm->rows + (from + i) * p.k;
        scale_row(x, inverse_rms(x, p.k, p.norm->eps), p.norm->weight, 0, p.k, row);
      }
      rounding.prepare(i, row);
    }
    meet();
    Ranges ranges(work, units);
    for (int64_t unit = ranges.take(); unit >= 0; unit = ranges.take()) {
      int strip = 0;
      while (unit >= units_of(strip)) unit -= units_of(strip++);
      const Matrix* matrix = p.matrix + strip * sides;
      const int64_t last = panels_of(matrix->m), p0 = unit * size, p1 = p0 + size < last ? p0 + size : last;
      for (int side = 0; side < sides; side++, matrix++) {
        const uint8_t* panel = matrix->weight.data + p0 * bytes;
        if (p.in_rows()) {
          panel = own;
          for (int64_t i = p0; i < p1; i++) {
            const int64_t row = i * panel_rows, left = matrix->m - row;
            pack_panel<Fmt>(matrix->weight.data + row * row_bytes<Fmt>(p.k), int(left < panel_rows ? left : panel_rows),
                            p.k, own + (i - p0) * bytes);
          }
        }
        rounding.multiply(*matrix, p0, p1, panel, from);
      }
      if (p.after)
        for (int32_t i = int32_t(from); i < from + count; i++) follow(p, &i, 1, p0 * panel_rows, p1 * panel_rows);
    }
  }
  R::end();
}

}  // namespace fovea::FOVEA_ISA
