// What the op attend is given: sizes, sequences, and how its scratch memory is dealt. The equation, the tiles and
// the layout of the cache are in src/ops/attention.ts.
#pragma once
#include "../ops/cached.h"

namespace fovea::FOVEA_ISA {

struct Attention {
  static constexpr int tile = 256;
  /** Keys of a tile that all rows of a block meet while they lie in the first cache. */
  static constexpr int piece = 64;
  /** Query rows that meet a tile together. */
  static constexpr int block = 96;
  /** Components of a query that lie together: at a constant distance the rows in registers need one pointer. */
  static constexpr int part = 128;
  /** Query rows that the inner loops hold in registers. */
#if defined(FOVEA_AVX512)
  static constexpr int rows = 12;
#else
  static constexpr int rows = 6;
#endif
  /** Up to so many rows read the cache in its own format; for more it is widened first. */
  static constexpr int few = 2 * rows;
  /** Vectors that they hold for each of R rows: R * vectors sums stay in 32 registers, or in 16. */
  template <int R> static constexpr int vectors() {
#if defined(FOVEA_AVX512)
    return R <= 6 ? 4 : 2;
#elif defined(__ARM_NEON)
    return 4;
#else
    return 2;
#endif
  }

  Tensor q, keys, values, pages, spans, order, shares, y;
  int64_t heads, kv_heads, group, d, dv, page, page_count, sequences;
  int64_t key_bytes, value_bytes;
  float scale;
  int64_t window;
  float softcap;
  int64_t longest;
  bool causal;
  /** Rows that may attend to tiles together with those of other sequences. */
  int64_t shared_rows;

  explicit Attention(const Op& op)
      : q(op.tensor(0)), keys(op.tensor(1)), values(op.tensor(2)), pages(op.tensor(3)), spans(op.tensor(4)),
        order(op.tensor(5)), shares(op.tensor(6)), y(op.tensor(7)), heads(q.d[1]), kv_heads(keys.d[1]), group(heads / kv_heads), d(q.d[2]),
        dv(values.d[3]), page(keys.d[2]), page_count(keys.d[0]), sequences(spans.d[0]),
        key_bytes(format_bytes(keys.dtype, page * d)), value_bytes(format_bytes(values.dtype, page * dv)),
        scale(float(op.number(0))), window(int64_t(op.number(1))), softcap(float(op.number(2))),
        longest(int64_t(op.number(3))), causal(op.number(4) != 0),
        shared_rows(order.data && shares.data && causal ? int64_t(op.number(5)) : 0) {}

  // Scratch of a thread, in floats: keys, values and their scales, widened; queries; scores; sums.
  int64_t key_floats() const { return piece * d; }
  int64_t value_floats() const { return piece * dv; }
  int64_t scale_floats() const { return values.dtype == DType::q8_0 ? tile * dv / 32 : 0; }
  /** Queries lie as [d / part][block][part]. */
  int64_t query_floats() const { return (d + part - 1) / part * part * block; }
  int64_t thread_floats() const {
    return (key_floats() + value_floats() + scale_floats() + query_floats() + block * (tile + dv + 2) + 15) / 16 * 16;
  }
  /** A tile's result for a row and head: maximum, sum, dv weighted values. */
  int64_t partial_floats() const { return dv + 2; }
  int64_t tiles() const { return (longest + tile - 1) / tile; }
  int64_t partials_bytes() const { return 4 * q.d[0] * heads * tiles() * partial_floats(); }

  /** Tiles that sequences with tiles in common do at a time. */
  int64_t shared_tiles() const {
    int64_t most = (4 << 20) / (shared_rows * heads * partial_floats() + 1) + 1;
    return tiles() < most ? tiles() : most;
  }
  /** For their rows: maximum and sum so far; results of single tiles. */
  int64_t shared_bytes() const { return 4 * shared_rows * heads * (2 + shared_tiles() * partial_floats()); }

  /** Whether there is memory for the results of single tiles, so that threads may share the tiles of a block. */
  bool divisible(int threads) const { return threads > 1 && tiles() > 1 && partials_bytes() <= (16 << 20); }
};

/** One sequence of the batch: rows [first, first + count) of q, at positions from `position`. */
struct Span {
  int64_t first, count, position;
  const int32_t* pages;

  int64_t keys() const { return position + count; }
  int64_t tiles() const { return (keys() + Attention::tile - 1) / Attention::tile; }
};

/** Sequence t; with no rows when its numbers do not fit the tensors. */
inline Span span_of(const Attention& a, int64_t t) {
  const int32_t* s = a.spans.i32() + 3 * t;
  Span span = {s[0], s[1], s[2], a.pages.i32() + t * a.pages.d[1]};
  bool fits = span.first >= 0 && span.count >= 0 && span.position >= 0 && span.first + span.count <= a.q.d[0] &&
              span.keys() <= a.longest && span.keys() <= a.pages.d[1] * a.page && a.page_count > 0;
  if (!fits) span.count = 0;
  return span;
}

/** Results of single tiles for rows of q times heads: [rows, count, dv + 2], of the tiles from `first`. */
struct Partials {
  float* base;
  int64_t first, count;

  float* at(const Attention& a, int64_t row, int64_t tile) const {
    return base + (row * count + tile - first) * a.partial_floats();
  }
};

/** A thread's scratch memory. */
struct Scratch {
  float *keys, *values, *scales, *queries, *scores, *sums, *maxima, *totals;

  Scratch(const Attention& a, uint8_t* base, int thread) {
    keys = reinterpret_cast<float*>(base) + thread * a.thread_floats();
    values = keys + a.key_floats();
    queries = values + a.value_floats();
    scores = queries + a.query_floats();
    sums = scores + Attention::block * Attention::tile;
    maxima = sums + Attention::block * a.dv;
    totals = maxima + Attention::block;
    scales = totals + Attention::block;
  }
};

}  // namespace fovea::FOVEA_ISA
