// y = op(a) · b + c for one or several matrices b. Cuts the product into blocks for the caches and hands them to the
// threads. Knows no ops.
//
// A unit is some rows of a times a group of panels of columns of b. Each thread walks along units of its own, rows
// slowest: it packs the rows for itself when it comes to them (that costs little, and no thread waits for another
// or for what lies in its cache), then for each step of k packs its group of b, or leaves it where it is when it
// lies as the tiles read it, and lets the panels pass by each tile of rows. The group stays in the second cache,
// a tile of rows in the first, where the rows come by in order; meanwhile memory is asked for what b needs next.
// No cut has an influence on a sum.
#pragma once
#include "../kernels.h"
#include "pack.h"
#include "tile.h"

namespace fovea::FOVEA_ISA {

/** Tiles of rows that a thread packs at a time, the fewer the longer they are: that b is packed as well costs little. */
constexpr int64_t fewest_tiles = 8, most_tiles = 40, packed_values = 2 << 20;

/** Panels of b that pass by a tile of a, and units that each thread has at least, where there is enough to do. */
constexpr int64_t dense_group = 8, dense_units = 4;

/** Tiles, and bytes of a row of b, up to which panels are as fast where b lies in memory as packed. */
constexpr int64_t few_tiles = 12, short_row = 4096;

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t clamped(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/** A matrix b, what is added to the product, and where the result goes. */
struct Side {
  Operand b;
  int64_t m;
  /** What the sums begin with, as y lies in memory; a row that is added to them in the end; each may be null. */
  const float *c, *bias;
  float* y;
};

struct Dense {
  static constexpr int most = 4;
  Operand a;
  int64_t batch, n, k;
  Side side[most];
  int sides;
  /** Sides whose equal columns are computed by one thread, one after the other: all have as many columns. */
  int together;

  /** Rows of a tile. */
  int height() const {
    int64_t tiles = (n + tallest - 1) / tallest;
    return tiles > 0 ? int((n + tiles - 1) / tiles) : 1;
  }
  int64_t tiles_at_once() const {
    return clamped(packed_values / (dense_rows * k + 1), fewest_tiles, most_tiles);
  }
  int64_t block_bytes() const { return least((n + tallest - 1) / tallest, tiles_at_once()) * dense_rows * k * 4; }
  static constexpr int64_t group_bytes = dense_group * dense_step * dense_columns * 4;
  int64_t scratch(int threads) const { return threads * (block_bytes() + group_bytes); }
};

/** fn(Int<height>{}) for a height of at most `tallest`. */
template <int most = tallest, class Fn> inline void with_height(int height, const Fn& fn) {
  if constexpr (most > 1)
    if (height < most) return with_height<most - 1>(height, fn);
  fn(Int<most>{});
}

/** One thread's view of a product. */
struct DenseWork {
  /** Columns [j0, j1) and tiles [t0, t1) of a matrix, of `together` sides from `side` on. */
  struct Unit {
    int64_t matrix, j0, j1, t0, t1;
    int side;
  };

  const Dense& p;
  const int height;
  /** Tiles of a matrix, and blocks of them; panels at most in a group, and groups of all sides. */
  int64_t tiles, blocks, most, groups;
  /** Memory of this thread's own: packed tiles [step of k][tile][k][dense_rows], and a group of panels of b. */
  float *block, *group;

  DenseWork(const Dense& product, const Work& work) : p(product), height(product.height()) {
    uint8_t* own = work.scratch + work.thread * (p.block_bytes() + Dense::group_bytes);
    block = reinterpret_cast<float*>(own), group = reinterpret_cast<float*>(own + p.block_bytes());
    tiles = (p.n + height - 1) / height;
    blocks = (tiles + p.tiles_at_once() - 1) / p.tiles_at_once();
    int64_t panels = 0, wanted = dense_units * work.threads;
    for (int s = 0; s < strips(); s++) panels += panels_of_strip(s);
    const int64_t largest = clamped(p.batch * blocks * panels / wanted, 1, dense_group);
    cut(largest);
    // Where units are few, one more than the other threads have keeps these waiting: smaller ones are dealt evenly.
    auto even = [&] { return units() >= 2 * wanted || units() % work.threads == 0; };
    for (int64_t size = largest - 1; !even() && 2 * size > largest; size--) cut(size);
    if (!even()) cut(largest);
    // Where columns are few, rows are cut instead.
    if (p.batch * blocks * groups < wanted)
      blocks = clamped((wanted + p.batch * groups - 1) / (p.batch * groups), blocks, tiles);
  }

  /** Groups of up to `size` panels. */
  void cut(int64_t size) {
    most = size, groups = 0;
    for (int s = 0; s < strips(); s++) groups += groups_of_strip(s);
  }

  int strips() const { return p.sides / p.together; }
  int64_t panels_of_strip(int s) const { return (p.side[s * p.together].m + dense_columns - 1) / dense_columns; }
  int64_t groups_of_strip(int s) const { return (panels_of_strip(s) + most - 1) / most; }
  int64_t units() const { return p.batch * blocks * groups; }

  Unit unit(int64_t i) const {
    int64_t g = i % groups, part = i / groups % blocks;
    int strip = 0;
    while (g >= groups_of_strip(strip)) g -= groups_of_strip(strip++);
    const int side = strip * p.together;
    const int64_t panels = panels_of_strip(strip), count = groups_of_strip(strip);
    return {i / groups / blocks, panels * g / count * dense_columns,
            least(panels * (g + 1) / count * dense_columns, p.side[side].m), tiles * part / blocks,
            tiles * (part + 1) / blocks, side};
  }

  /** Tile t of those packed, over the step of `count` k at k. */
  float* tile(const Unit& unit, int64_t k, int64_t count, int64_t t) const {
    return block + ((unit.t1 - unit.t0) * k + (t - unit.t0) * count) * dense_rows;
  }

  /** Packs the rows of a unit, while memory is asked for what it needs first. */
  void pack(const Unit& unit) const {
    const int64_t row = unit.t0 * height, end = least(unit.t1 * height, p.n), steps = p.k / dense_step + 1;
    Ahead first = ahead(unit, unit.side, 0);
    first.each = (first.left + steps - 1) / steps;
    for (int64_t k = 0; k < p.k; k += dense_step) {
      int64_t count = least(dense_step, p.k - k);
      first.ask();
      p.a.pack(unit.matrix, k, count, row, end - row,
               {tile(unit, k, count, unit.t0), count * dense_rows, dense_rows, height});
    }
  }

  /** The part of b that a unit needs for the step at k. */
  Ahead ahead(const Unit& unit, int side, int64_t k) const {
    const Operand& b = p.side[side].b;
    int64_t count = least(dense_step, p.k - k), columns = unit.j1 - unit.j0, bytes = b.width();
    if (b.panel) {
      int64_t run = (count * panel_rows * bytes + 63) / 64;
      return {b.at(0, k, unit.j0), b.panel, run, run * panels_of(columns), 0, 1};
    }
    int64_t run = ((b.deep ? count : columns) * bytes + 63) / 64;
    return {b.at(unit.matrix, k, unit.j0), b.ld * bytes, run, run * (b.deep ? columns : count), 0, 1};
  }

  /** Columns from `column` on, `columns` of them, where b lies in memory. */
  Columns in_place(const Operand& b, int64_t matrix, int64_t k, int64_t column, int64_t columns) const {
    Columns c;
    c.step = b.panel ? panel_rows : b.ld;
    // Vectors that are not there are read from where others are; nobody stores what comes of them.
    for (int v = 0; v < dense_vectors; v++)
      c.at[v] = reinterpret_cast<const float*>(b.at(matrix, k, column + (v * V::lanes < columns ? v * V::lanes : 0)));
    return c;
  }

  /** One step of k of a unit, while memory is asked for what `next` names. */
  void multiply(const Unit& unit, int which, int64_t k, Ahead next) const {
    const Side& side = p.side[which];
    const Operand& b = side.b;
    const int64_t m = side.m, count = least(dense_step, p.k - k), columns = unit.j1 - unit.j0;
    const int64_t panels = (columns + dense_columns - 1) / dense_columns, passes = unit.t1 - unit.t0;
    bool packed = b.dtype != DType::f32 || b.deep || b.rounded;
    if (!packed && !b.panel)
      packed = columns % dense_columns != 0 || (passes > 1 && (passes > few_tiles || 4 * b.ld > short_row));
    if (packed) b.pack(unit.matrix, k, count, unit.j0, columns, {group, count * dense_columns, dense_columns, dense_columns});
    const float* start = k > 0 ? side.y : side.c;
    const float* bias = k + count == p.k ? side.bias : nullptr;
    int64_t chances = passes * panels * (count / dense_stride + 1);
    next.each = (next.left + chances - 1) / chances;
    with_height(height, [&](auto tall) {
      for (int64_t t = unit.t0; t < unit.t1; t++) {
        int64_t row = t * tall.value;
        for (int64_t i = 0; i < panels; i++) {
          int64_t column = unit.j0 + i * dense_columns, at = (unit.matrix * p.n + row) * m + column;
          Columns c;
          if (packed) {
            c.step = dense_columns;
            for (int v = 0; v < dense_vectors; v++) c.at[v] = group + i * count * dense_columns + v * V::lanes;
          } else c = in_place(b, unit.matrix, k, column, columns - i * dense_columns);
          Sums sums = {side.y + at, start ? start + at : nullptr, bias ? bias + column : nullptr, m,
                       int(least(tall.value, p.n - row)), int(least(dense_columns, columns - i * dense_columns))};
          dense_tile<tall.value>(tile(unit, k, count, t), c, count, sums, next);
        }
      }
    });
  }

  /** All k of a unit; `following` is the one after it, if any. */
  void multiply(const Unit& unit, const Unit* following) const {
    for (int side = unit.side; side < unit.side + p.together; side++) {
      // Also once when there is no k at all: y must be written.
      int64_t k = 0;
      do {
        Ahead soon = {};
        if (k + dense_step < p.k) soon = ahead(unit, side, k + dense_step);
        else if (side + 1 < unit.side + p.together) soon = ahead(unit, side + 1, 0);
        else if (following) soon = ahead(*following, following->side, 0);
        multiply(unit, side, k, soon);
        k += dense_step;
      } while (k < p.k);
    }
  }
};

/**
 * The product, by all threads, who come here from a meeting and need one before the result is read. `done` is
 * called with rows and columns whose sums are complete in all sides: `done(row, end, column, end)`.
 */
template <class Done> inline void multiply_dense(const Dense& p, const Work& work, const Done& done) {
  DenseWork mine(p, work);
  Ranges ranges(work, mine.units());
  DenseWork::Unit before = {-1, 0, 0, 0, 0, 0};
  for (int64_t i = ranges.take(); i >= 0; i = ranges.take()) {
    DenseWork::Unit unit = mine.unit(i), following = mine.unit(i + 1 < mine.units() ? i + 1 : i);
    if (unit.matrix != before.matrix || unit.t0 != before.t0) mine.pack(unit);
    mine.multiply(unit, i + 1 < mine.units() ? &following : nullptr);
    done(unit.t0 * mine.height, least(unit.t1 * mine.height, p.n), unit.j0, unit.j1);
    before = unit;
  }
}

}  // namespace fovea::FOVEA_ISA
