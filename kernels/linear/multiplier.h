// One product by panels and tiles, as one thread takes part in it: prepares activations of a chunk of rows, then
// multiplies the panels and tiles that it gets. Who computes what has no influence on any bit.
#pragma once
#include "amx_flow.h"
#include "amx_tile.h"
#include "many_rows.h"
#include "pack.h"
#include "row_tile.h"
#include "tile.h"
#include "tiles.h"

namespace fovea::FOVEA_ISA {

/** k for which a panel and the activations of a chunk stay in the caches while the tiles pass, unless another is chosen. */
template <class Fmt> constexpr int64_t k_step = matrix_tiles<Fmt> ? 2048 : Fmt::integer ? 1024 : float_block;

/**
 * Tiles of AMX that are so few that the products wait for memory: they pass in short steps, for which weights and
 * activations stay in the first cache, over some panels in turn, so that memory is read in several streams.
 */
constexpr int few_matrix_tiles = 4;
constexpr int64_t short_step = 512, few_panels = 4;
template <class Fmt> constexpr bool is_few(int64_t tiles) {
  return matrix_tiles<Fmt> && !rowwise<Fmt> && tiles <= few_matrix_tiles;
}

/** No larger one is taken: scratch memory has room for this. */
template <class Fmt> constexpr int64_t most_step = Fmt::integer ? Choice::most_step : 4 * float_block;

template <class Fmt> struct Multiplier {
  const Product& p;
  const Tiles<Fmt>& tiles;
  Choice choice;
  Activations<Fmt> x;
  /** Memory of this thread's own: a panel packed from rows, then a step of k of a panel as its tiles want it. */
  uint8_t* own;

  /** Two panels of floats fill the widest registers with sums; two of whole rows of integers the tiles of AMX. */
  static constexpr int64_t pair = (rowwise<Fmt> ? matrix_tiles<Fmt> : !Fmt::integer) && across == 1 ? 2 : 1;
  static constexpr bool flows = matrix_tiles<Fmt> && !rowwise<Fmt>;
  static constexpr bool widens = !Fmt::integer && Fmt::bytes(2) != F32::bytes(2);

  static int64_t own_bytes(const Product& p) {
    return packed_bytes(p) + step_bytes(p);
  }
  static int64_t packed_bytes(const Product& p) { return p.in_rows() ? Fmt::bytes(p.k) : 0; }
  static int64_t step_bytes(const Product& p) {
    const int64_t most = flows ? 2 * most_step<Fmt> : most_step<Fmt>, step = p.in_rows() || p.k < most ? p.k : most;
#if defined(FOVEA_ISA_AMX)
    if constexpr (flows)
      return Flow<Fmt>::bytes(step, Tiles<Fmt>::capacity(p.n));
#endif
    return widens ? 2 * F32::bytes(step) : 0;
  }

  /** k of a step, when a panel is not taken whole by so many tiles. */
  int64_t step(int64_t count) const {
    int64_t chosen = choice.step ? choice.step : is_few<Fmt>(count) ? short_step : k_step<Fmt>;
    return chosen < most_step<Fmt> ? chosen : most_step<Fmt>;
  }
  int ahead() const { return choice.ahead ? choice.ahead : usual_ahead; }

  uint8_t* step_memory() const { return own + packed_bytes(p); }

  /** Where row m of a tile begins in x; for padding that of the tile's last row. */
  int64_t place(const Tile& t, int m) const {
    int last = t.count - 1;
    return tiles.row[t.first + (m < last ? m : last)] / p.share * p.k;
  }

  /**
   * This thread's part of the activations of a chunk: pieces of k of tiles, so that what a tile's rows share stays
   * in the first cache. Padding repeats a tile's last row.
   */
  void prepare(const Chunk& c, const Work& work) const {
    constexpr int64_t piece = 256;
    int64_t pieces = (p.k + piece - 1) / piece, begin, end;
    if constexpr (rowwise<Fmt>) return prepare_rows(c, work);
    work.share(c.tiles * pieces, 1, begin, end);
    for (int64_t i = begin / (pieces ? pieces : 1); i < c.tiles; i++) {
      int64_t from = begin - i * pieces, to = end - i * pieces;
      if (to <= 0) break;
      const Tile& t = tiles.tile[i];
      float factor[widest<Fmt>];
      if (p.norm)
        for (int m = 0; m < t.count; m++) factor[m] = inverse_rms(p.norm->rows + place(t, m), p.k, p.norm->eps);
      for (int64_t at = from < 0 ? 0 : from; at < (to < pieces ? to : pieces); at++)
        for (int m = 0; m < t.width; m++)
          prepare(t, m, at * piece, at * piece + piece < p.k ? at * piece + piece : p.k, factor);
    }
  }

  /** The same where a row is rounded as a whole: rows of tiles; padding holds anything. */
  void prepare_rows(const Chunk& c, const Work& work) const {
    int64_t begin, end;
    work.share(c.tokens, 1, begin, end);
    for (int i = 0; i < c.tiles; i++) {
      const Tile& t = tiles.tile[i];
      int64_t from = begin - t.at, to = end - t.at < t.count ? end - t.at : t.count;
      for (int64_t m = from < 0 ? 0 : from; m < to; m++) {
        const int64_t at = place(t, int(m));
        if (p.norm)
          scale_row(p.norm->rows + at, inverse_rms(p.norm->rows + at, p.k, p.norm->eps), p.norm->weight, 0, p.k, p.x + at);
        x.quantize_row(p.x + at, p.k, t.at, t.width, int(m));
      }
    }
  }

  /** k in [from, to) of row m of a tile. */
  void prepare(const Tile& t, int m, int64_t from, int64_t to, const float* factor) const {
    const int64_t at = place(t, m);
    const float* row = p.x + at;
    // Padding needs numbers, no matter which: x is being written.
    if (p.norm && m >= t.count) row = p.norm->rows + at;
    else if (p.norm) scale_row(p.norm->rows + at, factor[m], p.norm->weight, from, to, p.x + at);
    if constexpr (Fmt::integer && !rowwise<Fmt>) {
      for (int64_t k = from; k < to; k += group) x.quantize(row, k / group, t.at, t.width, m);
    } else if (t.width > 1) x.spread(row, from, to, t.at, t.width, m);
  }

  /** k in [k0, k1) of a panel of floats as f32, at place `which` in memory of this thread's own. */
  void widen(const uint8_t* panel, int64_t k0, int64_t k1, int which) const {
    float* to = reinterpret_cast<float*>(step_memory() + which * F32::bytes(k1 - k0));
    for (int64_t k = k0; k < k1; k++, to += panel_rows)
      for (int v = 0; v < across; v++) V::store(to + v * V::lanes, Fmt::weights(panel, k, v));
  }

  template <int width>
  void multiply(const uint8_t* panel, const Tile& t, int64_t k0, int64_t k1, const Target& target,
                bool widened, const uint8_t* next = nullptr) const {
    if constexpr (Fmt::integer) {
      constexpr int parts = width == 1 ? across : parts_of_tile<Fmt>();
      for (int v = 0; v * V::lanes < target.columns; v += parts) {
        if constexpr (rowwise<Fmt>)
          row_tile<Fmt, width, parts>(panel + v / across * Fmt::bytes(p.k), v % across, x, t.at, target, v);
        else integer_tile<Fmt, width, parts>(panel, v, k0 / group, k1 / group, x, t.at, target);
      }
    } else {
      const float* from = width == 1 ? p.x + place(t, 0) + k0 : x.x + t.at * p.k + k0 * width;
      auto part = [&](int v, auto parts) {
        if (widened)
          float_tile<F32, width, parts.value>(step_memory(), F32::bytes(k1 - k0), v, k1 - k0, from, target,
                                               next, Fmt::bytes(p.k), Fmt::width * panel_rows);
        else
          float_tile<Fmt, width, parts.value>(panel + Fmt::bytes(k0), Fmt::bytes(p.k), v, k1 - k0, from, target, next,
                                              Fmt::bytes(p.k), Fmt::width * panel_rows);
      };
      constexpr int parts = width == 1 ? across : 2;
      for (int v = 0; v * V::lanes < target.columns; v += parts) {
        if (parts > across && target.columns - v * V::lanes <= V::lanes) part(v, Int<1>());
        else part(v, Int<parts>());
      }
    }
  }

  /** Tiles [t0, t1), at most 16 tokens wide, times a step of k of a panel; `after` is the one that follows it. */
  void tiles_of_step(const uint8_t* panel, [[maybe_unused]] const uint8_t* after, int t0, int t1, int64_t k0,
                     int64_t k1, Target& target, bool widened) const {
#if defined(FOVEA_ISA_AMX)
    if constexpr (rowwise<Fmt>) {
      int wide = t0;
      while (wide < t1 && tiles.tile[wide].width == widest<Fmt>) wide++;
      const uint8_t* next = p.in_rows() ? nullptr : panel + pair * Fmt::bytes(p.k);
      if (wide > t0) amx_row_tiles<Fmt>(panel, tiles.tile + t0, wide - t0, tiles.row, x, target, Fmt::bytes(p.k), next);
      t0 = wide;
    } else if constexpr (matrix_tiles<Fmt>)
      if (tiles.tile[t0].width == widest<Fmt>) {
        const uint8_t* next = after;
        Signed<Fmt> step(panel, k0 / group, (k1 - k0) / group, target.ahead, step_memory());
        for (; t0 < t1 && tiles.tile[t0].width == widest<Fmt>; t0++) {
          const Tile& t = tiles.tile[t0];
          target.row = tiles.row + t.first, target.count = t.count;
          Target following = target;
          following.count = t0 + 1 < t1 ? tiles.tile[t0 + 1].count : 0;
          following.row = tiles.row + tiles.tile[t0 + 1 < t1 ? t0 + 1 : t0].first;
          if (t.count > 8) amx_tile<Fmt, 16>(step, k0 / group, k1 / group, x, t.at, target, next, following);
          else amx_tile<Fmt, 8>(step, k0 / group, k1 / group, x, t.at, target, next, following);
          next = nullptr;
        }
      }
#endif
    const uint8_t* next = nullptr;
    if constexpr (pair == 2)
      if (!p.in_rows()) next = panel + pair * Fmt::bytes(p.k) + Fmt::bytes(k0);
    for (int j = t0; j < t1; j++) {
      const Tile& t = tiles.tile[j];
      target.row = tiles.row + t.first, target.count = t.count;
      const uint8_t* soon = j == t0 ? next : nullptr;
      if (t.width == 1) multiply<1>(panel, t, k0, k1, target, widened);
      else if (t.width == middle) multiply<middle>(panel, t, k0, k1, target, widened);
      else if (between > 0 && t.width == between) multiply<between ? between : 1>(panel, t, k0, k1, target, widened, soon);
      else if (middle > 2 && t.width == 2) multiply<(middle > 2) ? 2 : 1>(panel, t, k0, k1, target, widened);
      else if constexpr (!matrix_tiles<Fmt>) multiply<widest<Fmt>>(panel, t, k0, k1, target, widened, soon);
    }
  }

  /** Panels [p0, p1) of a matrix times tiles [t0, t1), which are all of one expert. */
  void block(const Matrix& matrix, int64_t p0, int64_t p1, int t0, int t1) const {
#if defined(FOVEA_ISA_AMX)
    if constexpr (flows) {
      int wide = t0;
      while (wide < t1 && tiles.tile[wide].width == widest<Fmt>) wide++;
      if (wide - t0 > few_matrix_tiles && !p.in_rows()) {
        for (int64_t i = p0; i < p1; i += flow_panels)
          flow(p, tiles, x, matrix, i, i + flow_panels < p1 ? i + flow_panels : p1, t0, wide,
               choice.step ? choice.step : flow_step, ahead(), step_memory());
        t0 = wide;
        if (t0 == t1) return;
      }
    }
#endif
    const int64_t m = matrix.m, panels = panels_of(m), bytes = Fmt::bytes(p.k);
    const int32_t expert = tiles.tile[t0].expert;
    const bool rows = p.in_rows();
    const bool wide = widens && t1 - t0 > 1;
    const int width = tiles.tile[t0].width;
    const bool narrow = t1 - t0 == 1 && (Fmt::integer ? !is_matrix_tile<Fmt>(width) : width <= middle);
    const int64_t at_once = rows || narrow ? 1 : pair;
    const int64_t at_a_time = rows || narrow || rowwise<Fmt> ? p.k : step(t1 - t0);
    for (int64_t k0 = 0, k1 = -1; k1 < p.k; k0 = k1) {
      k1 = k0 + at_a_time < p.k ? k0 + at_a_time : p.k;
      for (int64_t i = p0; i < p1; i += at_once) {
        int64_t left = m - i * panel_rows, most = (p1 - i < at_once ? p1 - i : at_once) * panel_rows;
        int columns = int(left < most ? left : most);
        const uint8_t* panel = matrix.weight.data + (expert * panels + i) * bytes;
        if (rows) {
          int64_t first = expert * m + i * panel_rows;
          pack_panel<Fmt>(matrix.weight.data + first * row_bytes<Fmt>(p.k), columns, p.k, own);
          panel = own;
        }
        if constexpr (widens)
          if (wide)
            for (int j = 0; j * panel_rows < columns; j++) widen(panel + j * bytes, k0, k1, j);
        const float* bias = matrix.bias ? matrix.bias + expert * m + i * panel_rows : nullptr;
        Target target = {matrix.y + i * panel_rows, m, nullptr, 0, columns, bias, k0 == 0, k1 == p.k, ahead()};
        if (Fmt::integer && !rowwise<Fmt> && width > 1) {
          // Computing keeps fewer requests under way: those for the second cache go further ahead. Tiles of AMX make
          // theirs by themselves.
          if (narrow) target.ahead = ahead() / 2, target.far = 3 * ahead();
          else if (is_few<Fmt>(t1 - t0)) target.ahead = ahead() / 4;
        }
        // Steps follow one another in a panel, and panels in memory.
        const uint8_t* after = panel + Fmt::bytes(k1) + (k1 == p.k ? (p1 - p0 - 1) * bytes : 0);
        tiles_of_step(panel, after, t0, t1, k0, k1, target, wide);
      }
    }
  }

  /**
   * All panels of all matrices of a chunk, in units that the threads take as they come. Matrices follow one
   * another; but with a gate the same panels of both are one unit. What follows the product follows each unit.
   */
  void chunk(const Chunk& c, const Work& work) const {
    const int sides = p.together(), strips = p.count / sides;
    int64_t panels = 0, blocks = 0, parts = 1;
    for (int i = 0; i < strips; i++) panels += panels_of(p.matrix[i].m);
    // Sixteen units for each thread keep the threads busy to the end; a unit of several panels, or of a part
    // of the tiles, as there are many panels or few. One thread alone is busy anyway.
    int64_t wanted = work.threads > 1 ? 16 * work.threads : 1, per_unit = c.runs * panels / wanted;
    const int64_t most = is_few<Fmt>(c.tiles) && c.wide ? few_panels : flows ? flow_panels / sides : 8;
    const int64_t least = flows && c.tiles > few_matrix_tiles ? 2 : pair;
    per_unit = per_unit < least ? least : per_unit > most ? most : per_unit / least * least;
    if (choice.panels) per_unit = choice.panels < least ? least : choice.panels / least * least;
    if (work.threads > 1 && c.runs * panels < wanted * least) {
      parts = (wanted * least + c.runs * panels - 1) / (c.runs * panels);
      parts = parts < c.tiles ? parts : c.tiles;
    }
    auto blocks_of = [&](int i) { return (panels_of(p.matrix[i].m) + per_unit - 1) / per_unit; };
    for (int i = 0; i < strips; i++) blocks += blocks_of(i);
    Ranges units(work, c.runs * blocks * parts);
    for (int64_t unit = units.take(); unit >= 0; unit = units.take()) {
      int64_t run = unit / (blocks * parts), at = unit / parts % blocks, part = unit % parts;
      int64_t t0 = tiles.run[run], count = tiles.run[run + 1] - t0;
      int a = int(t0 + count * part / parts), b = int(t0 + count * (part + 1) / parts), strip = 0;
      if (a == b) continue;
      while (at >= blocks_of(strip)) at -= blocks_of(strip++);
      int64_t last = panels_of(p.matrix[strip].m), p0 = at * per_unit, p1 = p0 + per_unit < last ? p0 + per_unit : last;
      for (int side = 0; side < sides; side++) block(p.matrix[strip + side], p0, p1, a, b);
      if (p.after)
        for (int i = a; i < b; i++)
          follow(p, tiles.row + tiles.tile[i].first, tiles.tile[i].count, p0 * panel_rows, p1 * panel_rows);
    }
  }
};

}  // namespace fovea::FOVEA_ISA
