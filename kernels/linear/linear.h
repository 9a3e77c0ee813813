// Products with weight matrices: the ops linear and expert_linear. Prepares the activations of a chunk of
// rows, then hands panels and tiles to the threads. Who computes what has no influence on any bit.
#pragma once
#include "pack.h"
#include "tile.h"
#include "tiles.h"

namespace fovea::FOVEA_ISA {

/** k for which a panel and the activations of a chunk stay in the caches while the tiles pass. */
template <class Fmt> constexpr int64_t k_step = Fmt::integer ? 1024 : float_block;

/** Multiplications below which one thread is faster than two that must meet. */
constexpr int64_t small_product = 1 << 15;

template <class Fmt> struct Multiplier {
  const Product& p;
  const Tiles& tiles;
  Activations<Fmt> x;
  /** A panel of this thread's own: packed from rows, or a step of k of it as f32. */
  uint8_t* own;

  static constexpr bool widens = !Fmt::integer && Fmt::bytes(2) != F32::bytes(2);

  static int64_t own_bytes(const Product& p) {
    if (p.weight.layout == Layout::rows) return (Fmt::bytes(p.k) + 63) / 64 * 64;
    return widens ? F32::bytes(float_block) : 0;
  }

  const float* source(const Tile& t, int m) const {
    int last = t.count - 1;
    return p.x + tiles.row[t.first + (m < last ? m : last)] / p.share * p.k;
  }

  /** This thread's part of the activations of a chunk; padding repeats a tile's last row. */
  void prepare(const Chunk& c, const Work& work) const {
    constexpr int64_t piece = 256;
    int64_t pieces = (p.k + piece - 1) / piece, begin, end;
    work.share(c.tokens * pieces, 1, begin, end);
    for (int i = 0; i < c.tiles; i++) {
      const Tile& t = tiles.tile[i];
      for (int m = 0; m < t.width; m++) {
        int64_t from = begin - (t.at + m) * pieces, to = end - (t.at + m) * pieces;
        from = (from < 0 ? 0 : from) * piece;
        to = to * piece < p.k ? to * piece : p.k;
        if (from >= to) continue;
        const float* row = source(t, m);
        if constexpr (Fmt::integer) {
          for (int64_t k = from; k < to; k += group) x.quantize(row, k / group, t.at, t.width, m);
        } else if (t.width > 1) x.spread(row, from, to, t.at, t.width, m);
      }
    }
  }

  /** k in [k0, k1) of a panel of floats as f32, in memory of this thread's own. */
  void widen(const uint8_t* panel, int64_t k0, int64_t k1) const {
    float* to = reinterpret_cast<float*>(own);
    for (int64_t k = k0; k < k1; k++, to += panel_rows)
      for (int v = 0; v < across; v++) V::store(to + v * V::lanes, Fmt::weights(panel, k, v));
  }

  template <int width>
  void multiply(const uint8_t* panel, const Tile& t, int64_t k0, int64_t k1, const Target& target,
                bool widened) const {
#if defined(__wasm__)
    constexpr int parts = width == 1 ? across : parts_of_tile<Fmt>();
#else
    constexpr int parts = width == 1 ? across : Fmt::integer || across == 1 ? 1 : 2;
#endif
    for (int v = 0; v < across && v * V::lanes < target.columns; v += parts) {
      if constexpr (Fmt::integer) {
        integer_tile<Fmt, width, parts>(panel, v, k0 / group, k1 / group, x, t.at, target);
      } else {
        const float* from = width == 1 ? source(t, 0) + k0 : x.x + t.at * p.k + k0 * width;
        if (widened) float_tile<F32, width, parts>(own, v, k1 - k0, from, target);
        else float_tile<Fmt, width, parts>(panel + Fmt::bytes(k0), v, k1 - k0, from, target);
      }
    }
  }

  /** Panels [p0, p1) of the matrix of tiles [t0, t1). */
  void block(int64_t p0, int64_t p1, int t0, int t1) const {
    const int64_t panels = panels_of(p.m), bytes = Fmt::bytes(p.k);
    const int32_t expert = tiles.tile[t0].expert;
    const bool rows = p.weight.layout == Layout::rows;
    const bool wide = widens && t1 - t0 > 1 && !rows;
    const int64_t step = rows || t1 - t0 == 1 ? p.k : k_step<Fmt>;
    for (int64_t k0 = 0, k1 = -1; k1 < p.k; k0 = k1) {
      k1 = k0 + step < p.k ? k0 + step : p.k;
      for (int64_t i = p0; i < p1; i++) {
        int64_t left = p.m - i * panel_rows;
        int columns = int(left < panel_rows ? left : panel_rows);
        const uint8_t* panel = p.weight.data + (expert * panels + i) * bytes;
        if (rows) {
          int64_t first = expert * p.m + i * panel_rows;
          pack_panel<Fmt>(p.weight.data + row_bytes<Fmt>(first * p.k), columns, p.k, own);
          panel = own;
        }
        if constexpr (widens)
          if (wide) widen(panel, k0, k1);
        const float* bias = p.bias ? p.bias + expert * p.m + i * panel_rows : nullptr;
        for (int j = t0; j < t1; j++) {
          const Tile& t = tiles.tile[j];
          Target target = {p.y + i * panel_rows, p.m, tiles.row + t.first, t.count, columns, bias,
                           k0 == 0, k1 == p.k};
          if (t.width == widest) multiply<widest>(panel, t, k0, k1, target, wide);
          else if (t.width == middle) multiply<middle>(panel, t, k0, k1, target, wide);
          else if (t.width == 1) multiply<1>(panel, t, k0, k1, target, wide);
          else if constexpr (middle > 2) multiply<2>(panel, t, k0, k1, target, wide);
        }
      }
    }
  }

  /** All panels of all matrices of a chunk, in units that the threads take as they come. */
  void chunk(const Chunk& c, const Work& work) const {
    const int64_t panels = panels_of(p.m);
    // Sixteen units for each thread keep the threads busy to the end; a unit of several panels, or of a part
    // of the tiles, as there are many panels or few.
    int64_t wanted = 16 * work.threads, per_unit = c.runs * panels / wanted, parts = 1;
    per_unit = per_unit < 1 ? 1 : per_unit > 8 ? 8 : per_unit;
    if (work.threads > 1 && c.runs * panels < wanted) {
      parts = (wanted + c.runs * panels - 1) / (c.runs * panels);
      parts = parts < c.tiles ? parts : c.tiles;
    }
    int64_t blocks = (panels + per_unit - 1) / per_unit;
    for (int64_t unit = work.take(); unit < c.runs * blocks * parts; unit = work.take()) {
      int64_t run = unit / (blocks * parts), block_ = unit / parts % blocks, part = unit % parts;
      int64_t t0 = tiles.run[run], count = tiles.run[run + 1] - t0;
      int64_t p0 = block_ * per_unit, p1 = p0 + per_unit < panels ? p0 + per_unit : panels;
      int a = int(t0 + count * part / parts), b = int(t0 + count * (part + 1) / parts);
      if (a < b) block(p0, p1, a, b);
    }
  }
};

template <class Fmt> inline int64_t product_scratch(const Product& p, int threads) {
  return Activations<Fmt>::bytes(Tiles::capacity(p.n), p.k) +
         threads * (Tiles::bytes(p.n, p.e) + Multiplier<Fmt>::own_bytes(p));
}

template <class Fmt> inline void multiply(const Product& p, const Work& shared) {
  Work work = shared;
  const bool alone = p.n * p.m * p.k < small_product;
  if (alone) {
    if (work.thread != 0) return;
    work.threads = 1;
  }
  auto meet = [&] {
    if (alone) *work.counter = 0;
    else work.barrier();
  };
  int64_t tile_bytes = Tiles::bytes(p.n, p.e), tokens = Tiles::capacity(p.n);
  uint8_t* mine = work.scratch + Activations<Fmt>::bytes(tokens, p.k) +
                  work.thread * (tile_bytes + Multiplier<Fmt>::own_bytes(p));
  Tiles tiles(p, mine);
  Multiplier<Fmt> multiplier = {p, tiles, Activations<Fmt>(work.scratch, tokens, p.k), mine + tile_bytes};
  for (int64_t from = 0; from < p.n;) {
    if (from > 0) meet();
    Chunk c = tiles.next(from);
    if (Fmt::integer || c.wide) {
      multiplier.prepare(c, work);
      meet();
    }
    multiplier.chunk(c, work);
  }
}

inline Product product_of_linear(const Op& op) {
  Tensor x = op.tensor(0), weight = op.tensor(1), bias = op.tensor(2), y = op.tensor(3);
  return {x.f32(), x.d[0], 1, weight, 1, weight.d[0], weight.d[1], nullptr, bias.data ? bias.f32() : nullptr,
          y.f32()};
}

inline Product product_of_experts(const Op& op) {
  Tensor x = op.tensor(0), weight = op.tensor(1), experts = op.tensor(2), bias = op.tensor(3), y = op.tensor(4);
  int64_t picks = experts.d[1];
  return {x.f32(), experts.d[0] * picks, x.d[0] == experts.d[0] ? picks : 1, weight, weight.d[0], weight.d[1],
          weight.d[2], experts.i32(), bias.data ? bias.f32() : nullptr, y.f32()};
}

inline void run_product(const Product& p, const Work& work) {
  if (p.n == 0 || p.m == 0) return;
  with_format(p.weight.dtype, [&](auto type) { multiply<typename decltype(type)::type>(p, work); });
}

inline int64_t scratch_of_product(const Product& p, int threads) {
  int64_t bytes = 0;
  with_format(p.weight.dtype, [&](auto type) {
    bytes = product_scratch<typename decltype(type)::type>(p, threads);
  });
  return bytes;
}

/** The op: tensors x [n, k], weight [m, k], bias [m] or absent, y [n, m]. */
inline void linear(const Op& op, const Work& work) { run_product(product_of_linear(op), work); }
inline int64_t linear_scratch(const Op& op, int threads) {
  return scratch_of_product(product_of_linear(op), threads);
}

/** The op: tensors x, weight [e, m, k], experts [n, p], bias [e, m] or absent, y [n * p, m]. */
inline void expert_linear(const Op& op, const Work& work) { run_product(product_of_experts(op), work); }
inline int64_t expert_linear_scratch(const Op& op, int threads) {
  return scratch_of_product(product_of_experts(op), threads);
}

}  // namespace fovea::FOVEA_ISA
