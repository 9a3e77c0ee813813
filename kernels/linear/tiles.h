// Which rows of a product go together: rows sorted by their matrix, cut into tiles, tiles into chunks whose
// activations fit a bounded scratch memory. Knows no formats. The cut has no influence on any sum.
#pragma once
#include "widths.h"

namespace fovea::FOVEA_ISA {

/** Tokens (padding included) whose activations are prepared at a time: their slice of k fits the L2 cache. */
constexpr int64_t chunk_tokens = 528;

/** One of the matrices that a product multiplies by, [m, k] or [e, m, k], and what belongs to it. */
struct Matrix {
  Tensor weight;
  int64_t m;
  /** [m] or [e, m], or null. */
  const float* bias;
  float* y;
};

/** RMS norm of rows on their way into a product: x is then written, not read. */
struct Norm {
  const float *rows, *weight;
  float eps;
};

/** What is done with each element of a product behind it: fn(a) * b of two results, or fn(a) or a + other of one. */
struct After {
  enum What { gate, activation, sum } what;
  float* y;
  int fn;
  const float* other;
};

/**
 * The products `y[row] = weight[expert of row] · x[row / share] + bias` by up to four matrices of one format, or
 * by a stack of `e` of them.
 */
struct Product {
  static constexpr int most = 4;

  float* x;
  int64_t n, share, k, e;
  const int32_t* experts;
  Matrix matrix[most];
  int count;
  const Norm* norm;
  const After* after;
  /** Whether activations and weights are first rounded to bf16. */
  bool rounded;

  /** Matrices whose equal columns are needed at the same time. */
  int together() const { return after && after->what == After::gate ? 2 : 1; }
  DType dtype() const { return matrix[0].weight.dtype; }
  bool in_rows() const { return matrix[0].weight.layout == Layout::rows; }
  int64_t multiplications() const {
    int64_t rows = 0;
    for (int i = 0; i < count; i++) rows += matrix[i].m;
    return n * rows * k;
  }
};

/** What choices are known by. */
inline ProductShape shape_of(const Product& p, int threads) {
  ProductShape s;
  for (int i = 0; i < p.count; i++) s.m += p.matrix[i].m;
  s.k = p.k, s.dtype = int32_t(p.dtype()), s.experts = p.experts ? int32_t(p.e) : 0, s.gated = p.together() > 1;
  s.threads = threads, s.rows = row_class(p.n);
  // Matrices in rows are packed on the way: nothing of this is theirs.
  if (p.in_rows()) s.m = 0;
  return s;
}

/** `count` rows, from place `first` of the sorted rows on, as a tile that begins at token `at` of the chunk. */
struct Tile {
  int64_t at;
  int32_t first, count, width, expert;
};

/** A chunk: its tiles, and the runs of tiles that share a matrix. Every thread makes its own. */
struct Chunk {
  int64_t tokens;
  int tiles, runs;
  bool wide;
};

template <class Fmt> struct Tiles {
  const Product& product;
  /** Of Choice::Tiles. */
  int choice;
  /** Rows sorted by expert, stably. */
  int32_t* row;
  /** End of each expert's part in `row`. */
  int32_t* end;
  Tile* tile;
  /** Run i is tiles [run[i], run[i + 1]). */
  int32_t* run;

  /** Tokens in a chunk of n rows: chunks are about equal, and few rows fit one, whatever their padding. */
  static int64_t capacity(int64_t n) {
    int64_t chunks = (n + chunk_tokens - 1) / chunk_tokens;
    constexpr int w = widest<Fmt>;
    return n < 64 ? 4 * n : ((n + chunks - 1) / chunks + w - 1) / w * w;
  }

  static int64_t bytes(int64_t n, int64_t e) {
    int64_t tiles = capacity(n);
    return ((n + e + 1 + tiles + 1) * 4 + tiles * int64_t(sizeof(Tile)) + 63) / 64 * 64;
  }

  Tiles(const Product& p, int choice, uint8_t* scratch) : product(p), choice(choice) {
    int64_t tiles = capacity(p.n);
    tile = reinterpret_cast<Tile*>(scratch);
    row = reinterpret_cast<int32_t*>(scratch + tiles * int64_t(sizeof(Tile)));
    end = row + p.n;
    run = end + p.e + 1;
    for (int64_t i = 0; i <= p.e; i++) end[i] = 0;
    for (int64_t i = 0; i < p.n; i++) end[expert(i) + 1]++;
    for (int64_t i = 1; i <= p.e; i++) end[i] += end[i - 1];
    for (int64_t i = 0; i < p.n; i++) row[end[expert(i)]++] = int32_t(i);
  }

  /** An expert that does not exist is taken for the first: memory outside is never read. */
  int64_t expert(int64_t i) const {
    if (!product.experts) return 0;
    int64_t e = product.experts[i];
    return e >= 0 && e < product.e ? e : 0;
  }

  /** The rows from place `from` on that fit; `from` moves behind them. */
  Chunk next(int64_t& from) const {
    Chunk c = {0, 0, 0, false};
    int64_t cap = capacity(product.n);
    int32_t last = -1;
    while (from < product.n) {
      int32_t e = int32_t(expert(row[from]));
      int64_t rows = end[e] - from;
      int width = width_for<Fmt>(rows, choice);
      if (c.tokens + width > cap) break;
      if (e != last) run[c.runs++] = c.tiles;
      last = e;
      int32_t count = int32_t(rows < width ? rows : width);
      tile[c.tiles++] = {c.tokens, int32_t(from), count, width, e};
      c.tokens += width;
      c.wide = c.wide || width > 1;
      from += count;
    }
    run[c.runs] = c.tiles;
    return c;
  }
};

}  // namespace fovea::FOVEA_ISA
