// Memory that a block will read soon: asked for while something else is computed.
#pragma once
#include "rows.h"

namespace fovea::FOVEA_ISA {

/**
 * The keys of a tile and head, or its values. They lie in pages, each of which the processor would have to find out
 * about by itself; so they are asked for line by line, in equal lots.
 */
struct NextTile {
  const uint8_t* pages[Attention::tile / run_keys];
  int64_t count, lines, lot = 0, page, line;

  /**
   * Whether it is worth while to ask for what so many rows of several sequences read next. Few do little but read, and
   * runs of f32 are long enough for the processor to follow by itself.
   */
  static bool pays(const Attention& a, int64_t rows) { return rows > Attention::few || a.keys.dtype != DType::f32; }

  /** Nothing: then no other number is looked at. */
  NextTile() {}
  /** Of the tile from `start`. `bytes`: of a page of one head in `cache`; `lots`: how often `ask` will be called. */
  NextTile(const Attention& a, const Rows& rows, int64_t start, const Tensor& cache, int64_t bytes, int64_t lots)
      : count(Attention::tile / a.page), lines((bytes + 63) / 64), lot((count * lines + lots - 1) / lots), page(0), line(0) {
    for (int64_t i = 0; i < count; i++) {
      int64_t at = start / a.page + i, p = at < a.pages.d[1] ? rows.span.pages[at] : 0;
      pages[i] = cache.data + ((p < 0 || p >= a.page_count ? 0 : p) * a.kv_heads + rows.g) * bytes;
    }
  }

  void ask() {
    for (int64_t i = 0; i < lot && page < count; i++) {
      V::prefetch_far(pages[page] + 64 * line);
      if (++line == lines) line = 0, page++;
    }
  }
};

}  // namespace fovea::FOVEA_ISA
