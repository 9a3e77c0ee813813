// What can be chosen in a product without changing a bit of it, and a table of what was measured best here, by the
// shape of the product. Plain data: whoever measures is elsewhere, and an empty table is what the kernels take by
// themselves.
#pragma once
#include "commands.h"

namespace fovea {

/** A product as it is run: neighbours over the same activations are one. */
struct ProductShape {
  /** Output rows of all matrices together; 0: none. */
  int64_t m = 0;
  int64_t k = 0;
  int32_t dtype = 0, experts = 0, gated = 0, threads = 0;
  /** As `row_class` of the number of tokens. */
  int32_t rows = 0;

  FOVEA_INLINE bool operator==(const ProductShape& o) const {
    return m == o.m && k == o.k && dtype == o.dtype && experts == o.experts && gated == o.gated &&
           threads == o.threads && rows == o.rows;
  }
};

/** The class of so many tokens, by its largest: 1, 2, 4, 8, 16, 64, and 256 for all that are more. */
FOVEA_INLINE int32_t row_class(int64_t tokens) {
  int32_t c = 1;
  while (c < tokens && c < 256) c *= c < 16 ? 2 : 4;
  return c;
}

/** Each 0 for what the kernels take by themselves. */
struct Choice {
  /**
   * Widths of tiles: the widest for all rows that the middle one is too narrow for; none wider than the one between;
   * none wider than the middle.
   */
  enum Tiles { usual, widest_first, at_most_between, at_most_middle };
  static constexpr int32_t most_ahead = 1 << 14, most_panels = 64, most_step = 4096;

  /** Bytes between what is read and what is asked from memory. */
  int32_t ahead = 0;
  /** Panels that a thread takes at a time. */
  int32_t panels = 0;
  /** Numbers of a panel, along k, for which all tiles pass before the next: a multiple of 256. */
  int32_t step = 0;
  int32_t tiles = 0;

  bool valid() const {
    return ahead >= 0 && ahead <= most_ahead && panels >= 0 && panels <= most_panels && step >= 0 &&
           step <= most_step && step % 256 == 0 && tiles >= 0 && tiles <= at_most_middle;
  }
};

struct Tuned {
  ProductShape shape;
  Choice choice;
};

/** Nanoseconds of one product that was run. */
struct Sample {
  ProductShape shape;
  double nanoseconds;
};

/** The table that all threads read while a plan runs, and what thread 0 notes when times are asked for. */
struct Tuning {
  /** Places by hash, free ones with a shape of m = 0, of which there are some; null: an empty table. */
  const Tuned* table = nullptr;
  /** One less than their number, a power of two. */
  uint32_t mask = 0;
  /** Where times are noted, as long as there is room; null: nowhere. */
  Sample* samples = nullptr;
  int32_t count = 0, room = 0;
  /** The product that thread 0 is at. */
  ProductShape now;

  static FOVEA_INLINE uint32_t hash(const ProductShape& s) {
    uint64_t h = uint64_t(s.m) * 0x9e3779b97f4a7c15u + uint64_t(s.k);
    h = h * 0x9e3779b97f4a7c15u + uint64_t(s.dtype + 16 * s.gated + 32 * s.threads) + (uint64_t(s.rows) << 20) +
        (uint64_t(s.experts) << 32);
    return uint32_t((h * 0x9e3779b97f4a7c15u) >> 40);
  }

  FOVEA_INLINE Choice find(const ProductShape& s) const {
    if (!table) return {};
    for (uint32_t i = hash(s);; i++) {
      const Tuned& at = table[i & mask];
      if (at.shape.m == 0) return {};
      if (at.shape == s) return at.choice;
    }
  }
};

}  // namespace fovea
