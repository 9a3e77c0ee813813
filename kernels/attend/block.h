// A block of query rows against all its tiles, or against one of them with the result left for a later merge.
#pragma once
#include "tile.h"

namespace fovea::FOVEA_ISA {

/** All tiles of a block, merged as they come. */
inline void attend_block(const Rows& rows, const Scratch& scratch) {
  const Attention& a = rows.a;
  float maxima[Attention::block], totals[Attention::block];
  for (int64_t r = 0; r < rows.count; r++) {
    maxima[r] = -__builtin_inff();
    totals[r] = 0;
    __builtin_memset(a.y.f32() + rows.index(r) * a.dv, 0, size_t(a.dv) * 4);
  }
  gather_queries(rows, scratch.queries);
  int64_t start = rows.lowest(0) / Attention::tile * Attention::tile, end = rows.highest(rows.count - 1);
  for (; start < end; start += Attention::tile) {
    int64_t first, last;
    if (!rows.seeing(start, first, last)) continue;
    attend_tile(rows, first, last, start, -1, scratch);
    for (int64_t r = first; r < last; r++)
      merge(a.y.f32() + rows.index(r) * a.dv, maxima[r], totals[r], scratch.sums + r * a.dv, scratch.maxima[r],
            scratch.totals[r], a.dv);
  }
  for (int64_t r = 0; r < rows.count; r++) finish(a.y.f32() + rows.index(r) * a.dv, totals[r], a.dv);
}

/** The tiles [tile, end) of a block; the results go to `partials`. */
inline void attend_parts(const Rows& rows, int64_t tile, int64_t end, const Scratch& scratch,
                         const Partials& partials) {
  const Attention& a = rows.a;
  gather_queries(rows, scratch.queries);
  for (; tile < end; tile++) {
    int64_t start = tile * Attention::tile, then = start + Attention::tile, first, last;
    if (rows.seeing(start, first, last))
      attend_tile(rows, first, last, start, tile + 1 < end ? then : -1, scratch);
    for (int64_t r = 0; r < rows.count; r++) {
      float* out = partials.at(a, rows.index(r), tile);
      bool seen = r >= first && r < last;
      out[0] = seen ? scratch.maxima[r] : -__builtin_inff();
      if (!seen) continue;
      out[1] = scratch.totals[r];
      __builtin_memcpy(out + 2, scratch.sums + r * a.dv, size_t(a.dv) * 4);
    }
  }
}

/** Joins the results of the tiles [from, to) of a row to those before them. */
inline void merge_parts(const Attention& a, int64_t row, const Partials& partials, int64_t from, int64_t to, float* y,
                        float& maximum, float& total) {
  for (int64_t tile = from; tile < to; tile++) {
    const float* part = partials.at(a, row, tile);
    merge(y, maximum, total, part + 2, part[0], part[1], a.dv);
  }
}

}  // namespace fovea::FOVEA_ISA
