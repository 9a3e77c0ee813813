// Many tokens on tiles of AMX: a step of k of two panels passes all tiles of 16 tokens in one flow. What costs here
// is the way of tiles to memory and back, more than arithmetic. So a tile of activations is loaded once for both
// panels; a product is stored when two others have begun; and while the products of one batch are under way, those
// of the batch before are scaled, eight tokens of both panels at a time, whose sums are in registers. The scaling is
// that of `integer_tile`, operation by operation.
#pragma once
#include "amx_tile.h"
#include "tiles.h"

namespace fovea::FOVEA_ISA {
/** Panels whose sums are kept at a time, and k of a step, so that two panels fit the first cache. */
constexpr int64_t flow_panels = 4, flow_step = 512;
}  // namespace fovea::FOVEA_ISA

#if defined(FOVEA_ISA_AMX)
namespace fovea::FOVEA_ISA {

template <class Fmt> class Flow {
  using Weights = Signed<Fmt>;
  static constexpr int runs = Weights::runs, side = amx::side, half = side / 2;

 public:
  /** Runs of a batch: their codes are read even where k ends before. */
  static constexpr int batch = 4;
  /** Tokens times columns of a tile of sums. */
  static constexpr int64_t sums = 2 * side * side;
  /** Products of a batch, of both panels; those of two batches are kept. */
  static constexpr int products = 2 * batch;
  static constexpr int64_t dots_bytes = 2 * products * side * side * 4;

  /** Of the memory that `flow` takes, with steps of at most so many k, for the tiles of so many tokens. */
  static int64_t bytes(int64_t step, int64_t tokens) {
    return 2 * Weights::bytes(step / group + batch) + dots_bytes + flow_panels / 2 * tokens / side * sums * 4;
  }

  /** Where results go; with no columns, nowhere. */
  struct Out {
    float* y;
    int64_t ld;
    /** Of all rows. */
    const int32_t* row;
    int columns[2];
    /** Of the panels, or null. */
    const float* bias[2];
  };

  /**
   * Groups [g0, g1) of two panels times `count` tiles, all of which but the last are full: sums are added to `y` for
   * each tile, from zero when `fresh`, and then go to `out` unless that is null. Meanwhile the second cache is asked
   * for `bytes` bytes at each of `next`.
   */
  static void run(const Weights (&w)[2], int64_t g0, int64_t g1, const Activations<Fmt>& x, const Tile* tile,
                  int count, float* y, bool fresh, const Out* out, int32_t* dots, const uint8_t* const (&next)[2],
                  int64_t bytes) {
    // Asked for bit by bit: misses that come all at once would hold up everything else.
    const int64_t batches = count * ((g1 - g0 + groups - 1) / groups), ask = (bytes / 64 + batches - 1) / batches * 64;
    int64_t asked = 0;
    const uint8_t* codes[2] = {w[0].codes(g0), w[1].codes(g0)};
    const V::Act* q = x.q + tile[0].at * x.k + g0 * group * side;
    // Results are written while the next tile is multiplied, a few rows at a time: at once they would hold up the
    // stores of products.
    const bool spread = out && out->columns[0] == side && out->columns[1] == side && g1 - g0 >= spread_over * groups;
    int32_t *from = dots, *to = dots + products * side * side;
    unroll<0, products>([&](auto u) FOVEA_FLAT {
      begin<u.value>(q, codes);
      if constexpr (u.value >= late) store<u.value - late>(from);
    });
    for (int t = 0; t < count; t++, y += sums) {
      const int64_t at = tile[t].at * (x.k / group);
      for (int64_t g = g0; g < g1; g += groups) {
        for (const int64_t end = asked + ask < bytes ? asked + ask : bytes; asked < end; asked += 64)
          for (const uint8_t* ahead : next) V::prefetch_far(ahead + asked);
        if (g + groups < g1) {
          q += groups * group * side;
          for (const uint8_t*& c : codes) c += groups * 512;
        } else {
          // Behind the last tile come products that nobody wants.
          q = x.q + tile[t + 1 < count ? t + 1 : t].at * x.k + g0 * group * side;
          for (int p = 0; p < 2; p++) codes[p] = w[p].codes(g0);
        }
        if (spread && g < g0 + spread_over * groups)
          unroll<0, side / spread_over>([&](auto i) FOVEA_FLAT {
            const int m = int((g - g0) / groups) * (side / spread_over) + i.value;
            if (t > 0) write(*out, tile[t - 1].first + m, y - sums, m);
            if (m < tile[t].count) expect(*out, tile[t].first + m);
          });
        const int wanted = int(g1 - g < groups ? g1 - g : groups) * runs;
        const int loaded = fresh && g == g0 ? 0 : V::lanes;
        unroll<0, 2>([&](auto h) FOVEA_FLAT {
          V::F sum[half][2];
          float* own = y + h.value * half * 2 * side;
          each([&](auto m, auto p) FOVEA_FLAT {
            sum[m.value][p.value] = V::load_tail(own + (2 * m.value + p.value) * side, loaded);
          });
          unroll<0, batch>([&](auto i) FOVEA_FLAT {
            constexpr int u = h.value * batch + i.value;
            begin<u>(q, codes);
            if constexpr (u < late) store<u + products - late>(from);
            else store<u - late>(to);
            if (i.value < wanted) scale<h.value, i.value>(w, g, x, at, from, sum);
          });
          each([&](auto m, auto p) FOVEA_FLAT {
            V::store(own + (2 * m.value + p.value) * side, sum[m.value][p.value]);
          });
        });
        int32_t* free = from;
        from = to, to = free;
      }
      if (out && !(spread && t + 1 < count))
        for (int m = 0; m < tile[t].count; m++) write_part(*out, tile[t].first + m, y, m);
    }
  }

 private:
  static constexpr int groups = batch / runs;
  /** Products that have begun when one is stored. */
  static constexpr int late = 2;
  /** Batches over which the rows of a tile are written. */
  static constexpr int64_t spread_over = 4;

  static FOVEA_FLAT void expect(const Out& out, int64_t place) {
    const float* to = out.y + out.row[place] * out.ld;
    for (int p = 0; p < 2; p++) V::prefetch_to_write(to + p * side);
  }
  static FOVEA_FLAT void write(const Out& out, int64_t place, const float* y, int m) {
    float* to = out.y + out.row[place] * out.ld;
    for (int p = 0; p < 2; p++) {
      V::F f = V::load(y + (2 * m + p) * side);
      if (out.bias[p]) f = V::add(f, V::load(out.bias[p]));
      V::store(to + p * side, f);
    }
  }
  static void write_part(const Out& out, int64_t place, const float* y, int m) {
    float* to = out.y + out.row[place] * out.ld;
    for (int p = 0; p < 2; p++) {
      const int n = out.columns[p];
      V::F f = V::load(y + (2 * m + p) * side);
      if (out.bias[p]) f = V::add(f, V::load_tail(out.bias[p], n));
      V::store_tail(to + p * side, f, n);
    }
  }

  template <class Fn> static FOVEA_FLAT void each(const Fn& fn) {
    unroll<0, half>([&](auto m) FOVEA_FLAT { unroll<0, 2>([&](auto p) FOVEA_FLAT { fn(m, p); }); });
  }

  /** Begins product u of a batch: that of run u / 2 and panel u % 2. */
  template <int u> static FOVEA_FLAT void begin(const V::Act* q, const uint8_t* const (&codes)[2]) {
    constexpr int run = u / 2, panel = u % 2, into = u % 4, with = 4 + run % 2;
    if constexpr (panel == 0)
      amx::load<with, side * group>(q + run / runs * group * side + run % runs * Fmt::run, group);
    amx::load<6 + panel, 64 * Fmt::run / 4>(codes[panel] + run * (512 / runs), 64);
    amx::load<into, sizeof(StartOfDots)>(start_of_dots.bits, 64);
    amx::dot<into, with, 6 + panel>();
  }
  template <int u> static FOVEA_FLAT void store(int32_t* dots) { amx::store<u % 4>(dots + u * side * side); }

  /** Adds run i of a batch, which begins at group g, to the sums of half h of the tokens. */
  template <int h, int i>
  static FOVEA_FLAT void scale(const Weights (&w)[2], int64_t g, const Activations<Fmt>& x, int64_t at,
                               const int32_t* dots, V::F (&sum)[half][2]) {
    constexpr int r = i % runs;
    g += i / runs;
    const int64_t token = at + g * side + h * half;
    const V::F zero = V::set1(StartOfDots::value);
    const V::F s[2] = {V::load(w[0].scale_at(g) + 16 * r), V::load(w[1].scale_at(g) + 16 * r)};
    unroll<0, half>([&](auto m) FOVEA_FLAT {
      const V::F by = lasting(V::set1(x.scale[token + m.value]));
      unroll<0, 2>([&](auto p) FOVEA_FLAT {
        const int32_t* of = dots + (2 * i + p.value) * side * side + (h * half + m.value) * side;
        V::F dot = V::sub(V::from_bits(V::iload(of)), zero);
        V::F& to = sum[m.value][p.value];
        to = lasting(V::fma(dot, V::mul(s[p.value], by), to));
      });
    });
    if constexpr (Fmt::has_min && r + 1 == runs) {
      const V::F least[2] = {V::load(w[0].scale_at(g) + 16 * runs), V::load(w[1].scale_at(g) + 16 * runs)};
      unroll<0, half>([&](auto m) FOVEA_FLAT {
        const V::F by = lasting(V::set1(x.sum[token + m.value]));
        unroll<0, 2>([&](auto p) FOVEA_FLAT {
          V::F& to = sum[m.value][p.value];
          to = lasting(V::fma(least[p.value], by, to));
        });
      });
    }
  }

  /** In a register from here on, and in this order: compilers would rather load it again, and later. */
  static FOVEA_FLAT V::F lasting(V::F f) {
    __asm__ volatile("" : "+v"(f));
    return f;
  }
};

/**
 * Panels [p0, p1) of a matrix, at most `flow_panels`, times tiles [t0, t1) of the widest kind, all of one expert: k in
 * steps of about `step`. The first cache is asked for weights `ahead` bytes ahead.
 */
template <class Fmt>
inline void flow(const Product& p, const Tiles<Fmt>& tiles, const Activations<Fmt>& x, const Matrix& matrix, int64_t p0,
                 int64_t p1, int t0, int t1, int64_t step, int ahead, uint8_t* memory) {
  using F = Flow<Fmt>;
  const int64_t m = matrix.m, panels = panels_of(m), bytes = Fmt::bytes(p.k);
  const int32_t expert = tiles.tile[t0].expert;
  const uint8_t* first = matrix.weight.data + expert * panels * bytes;
  int32_t* dots = reinterpret_cast<int32_t*>(memory);
  float* sums = reinterpret_cast<float*>(memory + F::dots_bytes);
  uint8_t* codes = reinterpret_cast<uint8_t*>(sums + (p1 - p0 + 1) / 2 * (t1 - t0) * F::sums);
  for (int64_t k0 = 0, k1; k0 < p.k; k0 = k1) {
    // No short step at the end, in which there would be no time to write results.
    k1 = p.k - k0 < 2 * step ? p.k : k0 + step;
    const int64_t groups = (k1 - k0) / group;
    for (int64_t i = p0; i < p1; i += 2) {
      // One alone is its own neighbour.
      const int64_t pair[2] = {i, i + 1 < p1 ? i + 1 : i};
      Signed<Fmt> w[2];
      const uint8_t* next[2];
      for (int j = 0; j < 2; j++) {
        const uint8_t* panel = first + pair[j] * bytes;
        w[j] = Signed<Fmt>(panel, k0 / group, groups, ahead, codes + j * Signed<Fmt>::bytes(groups));
        next[j] = i + 2 < p1 ? panel + 2 * bytes + Fmt::bytes(k0) : first + (p0 + j) * bytes + Fmt::bytes(k1);
      }
      float* y = sums + (i - p0) / 2 * (t1 - t0) * F::sums;
      typename F::Out out = {matrix.y + i * panel_rows, m, tiles.row, {}, {}};
      for (int j = 0; j < 2 && i + j < p1; j++) {
        const int64_t at = (i + j) * panel_rows, left = m - at;
        out.columns[j] = int(left < panel_rows ? left : panel_rows);
        out.bias[j] = matrix.bias ? matrix.bias + expert * m + at : nullptr;
      }
      F::run(w, k0 / group, k1 / group, x, tiles.tile + t0, t1 - t0, y, k0 == 0, k1 == p.k ? &out : nullptr, dots,
             next, Fmt::bytes(k1 - k0));
    }
  }
}

}  // namespace fovea::FOVEA_ISA
#endif
