// Which rows of a product go together: rows sorted by their matrix, cut into tiles, tiles into chunks whose
// activations fit a bounded scratch memory. Knows no formats. The cut has no influence on any sum.
#pragma once
#include "formats.h"

namespace fovea::FOVEA_ISA {

/** WebAssembly is mostly run by engines that keep 15 vectors in registers. */
#if defined(__wasm__)
constexpr bool wasm = true;
#else
constexpr bool wasm = false;
#endif

/** Tokens in the widest tile: as many sums as the registers hold. */
constexpr int widest = V::lanes == 16 ? 12 : V::lanes == 8 || wasm ? 6 : 4;

/** Tokens (padding included) whose activations are prepared at a time: their slice of k fits the L2 cache. */
constexpr int64_t chunk_tokens = 516;

/** The product `y[row] = weight[expert of row] · x[row / share] + bias`, of a single matrix when e is 1. */
struct Product {
  const float* x;
  int64_t n, share;
  Tensor weight;
  int64_t e, m, k;
  const int32_t* experts;
  const float* bias;
  float* y;
};

/** `count` rows, from place `first` of the sorted rows on, as a tile that begins at token `at` of the chunk. */
struct Tile {
  int64_t at;
  int32_t first, count, width, expert;
};

/** Between the widest tile and single rows; compilers need seconds for each width, so there are few. */
constexpr int middle = V::lanes == 16 ? 4 : V::lanes == 8 || wasm ? 2 : 1;

/** Width of the first tile of so many rows: some padding beats a second pass over the weights. */
inline int width_for(int64_t rows) {
  return 3 * rows > 2 * widest ? widest : 2 * rows > middle ? middle : int(rows);
}

/** A chunk: its tiles, and the runs of tiles that share a matrix. Every thread makes its own. */
struct Chunk {
  int64_t tokens;
  int tiles, runs;
  bool wide;
};

struct Tiles {
  const Product& product;
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
    return n < 64 ? 2 * n : ((n + chunks - 1) / chunks + widest - 1) / widest * widest;
  }

  static int64_t bytes(int64_t n, int64_t e) {
    int64_t tiles = capacity(n);
    return ((n + e + 1 + tiles + 1) * 4 + tiles * int64_t(sizeof(Tile)) + 63) / 64 * 64;
  }

  Tiles(const Product& p, uint8_t* scratch) : product(p) {
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
      int width = width_for(rows);
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
