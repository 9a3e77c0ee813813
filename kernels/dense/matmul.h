// The op matmul: y = op(a) · op(b) + c for matrices that are both activations. Cuts the product into blocks for
// the caches, packs them, and hands panels of columns to the threads; the equation is in src/ops/matmul.ts.
//
// A round is a block of a (some rows by some k, or all of several small matrices) that all threads pack
// together, half of the second cache in size. Then each thread takes groups of panels of columns of b, packs a
// step of k of its group, and lets the panels pass by each tile of rows; meanwhile it asks memory for what it
// will pack next. Blocks of two rounds lie side by side, so that one meeting for each round is enough. No cut
// has an influence on a sum.
#pragma once
#include "../kernels.h"
#include "amx.h"
#include "pack.h"
#include "tile.h"

namespace fovea::FOVEA_ISA {

/** Elements of a block of a: with the groups of b it fits a second cache of 2 MB. */
constexpr int64_t dense_block = 192 << 10;

/** Panels of b that pass by a tile of a. */
constexpr int64_t dense_group = 8;

/** Tiles, and bytes of a row of b, up to which panels are as fast where b lies in memory as packed. */
constexpr int64_t few_tiles = 12, short_row = 4096;

/** Multiplications below which one thread is faster than two that must meet. */
constexpr int64_t small_matmul = 1 << 15;

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t clamped(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

struct Matmul {
  Operand a, b;
  const float* c;
  float* y;
  int64_t batch, n, m, k;
  /** The cut: rows, k and matrices of a round; tiles of a round, and rows of a tile. */
  int64_t rows, depth, matrices, tiles;
  int height;

  explicit Matmul(const Op& op) {
    Tensor ta = op.tensor(0), tb = op.tensor(1), tc = op.tensor(2), ty = op.tensor(3);
    bool across_a = op.number(0) != 0, across_b = op.number(1) != 0;
    batch = ty.d[0], n = ty.d[1], m = ty.d[2], k = ta.d[across_a ? 1 : 2];
    bool rounded = op.number(2) != 0;
    a = {ta.data, ta.dtype, !across_a, ta.d[2], ta.d[0] == 1 ? 0 : ta.d[1] * ta.d[2], rounded};
    b = {tb.data, tb.dtype, across_b, tb.d[2], tb.d[0] == 1 ? 0 : tb.d[1] * tb.d[2], rounded};
    c = tc.data ? tc.f32() : nullptr;
    y = ty.f32();
    // One matrix b for all of the batch: the rows of all are the rows of one product.
    if (b.batch == 0 && a.deep && batch > 1) n *= batch, batch = 1;

    constexpr int64_t most = dense_block / dense_step / dense_rows * tallest;
    int64_t blocks = (n + most - 1) / most;
    rows = blocks > 0 ? (n + blocks - 1) / blocks : 0;
    tiles = (rows + tallest - 1) / tallest;
    height = tiles > 0 ? int((rows + tiles - 1) / tiles) : 1;
    int64_t line = tiles * dense_rows;
    depth = tiles > 0 ? least(k, dense_block / line / dense_step * dense_step) : k;
    matrices = blocks <= 1 && depth == k ? clamped(dense_block / (line * k + 1), 1, batch) : 1;
  }

  bool empty() const { return batch == 0 || n == 0 || m == 0; }
  int64_t block_bytes() const { return matrices * depth * tiles * dense_rows * 4; }
  static constexpr int64_t group_bytes = dense_group * dense_step * dense_columns * 4;
  int64_t scratch(int threads) const { return 2 * block_bytes() + threads * group_bytes; }
};

/** fn(Int<height>{}) for a height of at most `tallest`. */
template <int most = tallest, class Fn> inline void with_height(int height, const Fn& fn) {
  if constexpr (most > 1)
    if (height < most) return with_height<most - 1>(height, fn);
  fn(Int<most>{});
}

/** Matrices [i0, i1), rows [r0, r1) and k in [k0, k1) of a product. */
struct Round {
  const Matmul& p;
  int64_t i0, i1, r0, r1, k0, k1;
  /** The packed block of a, shared; a group of panels of b, this thread's own. */
  float *block, *group;

  /** What a thread does at a time: columns [j0, j1) and tiles [t0, t1) of a matrix. */
  struct Unit {
    int64_t matrix, j0, j1, t0, t1;
  };

  float* tile(int64_t matrix, int64_t k, int64_t count, int64_t t) const {
    int64_t line = p.tiles * dense_rows;
    return block + (matrix - i0) * (k1 - k0) * line + (k - k0) * line + t * count * dense_rows;
  }

  /** This thread's share of the block of a: a tile over a step of k, or some k of all tiles, as rows lie. */
  void pack(const Work& work) const {
    constexpr int64_t lines = 32;
    const bool deep = p.a.deep;
    int64_t steps = (k1 - k0 + dense_step - 1) / dense_step, parts = deep ? p.tiles : dense_step / lines, begin, end;
    work.share((i1 - i0) * steps * parts, 1, begin, end);
    for (int64_t i = begin; i < end; i++) {
      int64_t part = i % parts, matrix = i0 + i / parts / steps;
      int64_t k = k0 + i / parts % steps * dense_step, count = least(dense_step, k1 - k);
      Blocks blocks = {tile(matrix, k, count, deep ? part : 0), count * dense_rows, dense_rows, p.height};
      int64_t row = deep ? r0 + part * p.height : r0, from = deep ? 0 : part * lines;
      blocks.to += from * dense_rows;
      if (row < r1 && from < count)
        p.a.pack(matrix, k + from, deep ? count : least(lines, count - from), row,
                 deep ? least(p.height, r1 - row) : r1 - r0, blocks);
    }
  }

  /** The part of b that a unit needs for the step at k. */
  Ahead ahead(const Unit& unit, int64_t k) const {
    int64_t count = least(dense_step, k1 - k), columns = unit.j1 - unit.j0;
    int64_t run = ((p.b.deep ? count : columns) * p.b.width() + 63) / 64;
    return {p.b.at(unit.matrix, k, unit.j0), p.b.ld * p.b.width(), run, run * (p.b.deep ? columns : count), 0, 1};
  }

  /** One step of k of a unit, while memory is asked for what `next` names. */
  void multiply(const Unit& unit, int64_t k, Ahead next) const {
    int64_t count = least(dense_step, k1 - k), columns = unit.j1 - unit.j0;
    int64_t panels = (columns + dense_columns - 1) / dense_columns;
    const bool right = !p.b.deep && p.b.dtype == DType::f32 && !p.b.rounded && columns % dense_columns == 0;
    const int64_t passes = unit.t1 - unit.t0;
    const bool packed = !right || (passes > 1 && (passes > few_tiles || 4 * p.b.ld > short_row));
    if (packed) p.b.pack(unit.matrix, k, count, unit.j0, columns, {group, count * dense_columns, dense_columns, dense_columns});
    const float* start = k > 0 ? p.y : p.c;
    int64_t chances = (unit.t1 - unit.t0) * panels * (count / dense_stride + 1);
    next.each = (next.left + chances - 1) / chances;
    with_height(p.height, [&](auto height) {
      for (int64_t t = unit.t0; t < unit.t1; t++) {
        int64_t row = r0 + t * p.height;
        for (int64_t i = 0; i < panels && row < r1; i++) {
          int64_t column = unit.j0 + i * dense_columns, at = (unit.matrix * p.n + row) * p.m + column;
          Columns b = {group + i * count * dense_columns, dense_columns};
          if (!packed) b = {reinterpret_cast<const float*>(p.b.at(unit.matrix, k, column)), p.b.ld};
          Sums sums = {p.y + at, start ? start + at : nullptr, p.m, int(least(p.height, r1 - row)),
                       int(least(dense_columns, p.m - column))};
          dense_tile<height.value>(tile(unit.matrix, k, count, t), b, count, sums, next);
        }
      }
    });
  }

  /** All columns of the round, in units that the threads take as they come. */
  void multiply(const Work& work) const {
    // As many groups for each thread; parts of the tiles too where columns are few.
    int64_t panels = (p.m + dense_columns - 1) / dense_columns, matrices = i1 - i0;
    int64_t groups = (panels + dense_group - 1) / dense_group;
    if (matrices < work.threads) groups = least(panels, (groups + work.threads - 1) / work.threads * work.threads);
    int64_t whole = matrices * groups, parts = 1;
    if (whole < work.threads) parts = least(p.tiles, (work.threads + whole - 1) / whole);
    auto unit_of = [&](int64_t i) -> Unit {
      int64_t part = i % parts, group = i / parts % groups;
      return {i0 + i / parts / groups, panels * group / groups * dense_columns,
              least(panels * (group + 1) / groups * dense_columns, p.m), p.tiles * part / parts,
              p.tiles * (part + 1) / parts};
    };
    for (int64_t i = work.take(); i < whole * parts; i = work.take()) {
      // Most likely: to take the next one now would leave another thread without work.
      int64_t next = i + work.threads;
      Unit unit = unit_of(i);
      int64_t k = k0;
      do {
        Ahead soon = {};
        if (k + dense_step < k1) soon = ahead(unit, k + dense_step);
        else if (next < whole * parts) soon = ahead(unit_of(next), k0);
        multiply(unit, k, soon);
        k += dense_step;
      } while (k < k1);
    }
  }
};

/** The op: tensors a, b, c or absent, y; numbers: whether a and b are transposed, and whether rounded to bf16. */
inline void matmul(const Op& op, const Work& shared) {
#if defined(FOVEA_ISA_AMX)
  if (op.number(2) != 0) return narrow::matmul(op, shared);
#endif
  Matmul p(op);
  if (p.empty()) return;
  Work work = shared;
  const bool alone = double(p.batch) * double(p.n) * double(p.m) * double(p.k) < small_matmul;
  if (alone) {
    if (work.thread != 0) return;
    work.threads = 1;
  }
  uint8_t* group = work.scratch + 2 * p.block_bytes() + work.thread * Matmul::group_bytes;
  int64_t rounds = 0;
  for (int64_t i = 0; i < p.batch; i += p.matrices)
    for (int64_t r = 0; r < p.n; r += p.rows) {
      // Also once when there is no k at all: y must be written.
      int64_t k = 0;
      do {
        uint8_t* block = work.scratch + rounds++ % 2 * p.block_bytes();
        Round round = {p, i, least(i + p.matrices, p.batch), r, least(r + p.rows, p.n), k, least(k + p.depth, p.k),
                       reinterpret_cast<float*>(block), reinterpret_cast<float*>(group)};
        round.pack(work);
        if (alone) work.counters->clear(1);
        else work.barrier();
        round.multiply(work);
        k += p.depth;
      } while (k < p.k);
    }
}

inline int64_t matmul_scratch(const Op& op, int threads) {
#if defined(FOVEA_ISA_AMX)
  if (op.number(2) != 0) return narrow::Product(op).scratch(threads);
#endif
  return Matmul(op).scratch(threads);
}

}  // namespace fovea::FOVEA_ISA
