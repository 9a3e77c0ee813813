// The query rows of a block, and which keys each of them sees. Knows positions, windows and causality; no numbers.
#pragma once
#include "shape.h"

namespace fovea::FOVEA_ISA {

/** The keys of a tile that a row sees: [low, high), counted from the tile's start. */
struct Sight {
  int low, high;
};

/** A block's query rows: (token, head) in the order of tokens, so that neighbours see nearly the same keys. */
struct Rows {
  const Attention& a;
  const Span& span;
  int64_t g, begin, count;
  /** For rows of several sequences, all of which see whole tiles: the index of each. */
  const int64_t* places = nullptr;

  int64_t position(int64_t r) const { return span.position + (begin + r) / a.group; }
  /** Index of the row among all n * heads rows of q and y. */
  int64_t index(int64_t r) const {
    if (places) return places[r];
    return (span.first + (begin + r) / a.group) * a.heads + g * a.group + (begin + r) % a.group;
  }
  const float* query(int64_t r) const { return a.q.f32() + index(r) * a.d; }
  int64_t lowest(int64_t r) const {
    int64_t low = position(r) - a.window + 1;
    return a.window && low > 0 ? low : 0;
  }
  /** Behind the last key that the row sees. */
  int64_t highest(int64_t r) const {
    if (a.causal) return position(r) + 1;
    int64_t end = span.position + span.count, high = position(r) + a.window;
    return a.window && high < end ? high : end;
  }
  Sight sight(int64_t r, int64_t start) const {
    if (places) return {0, Attention::tile};
    int64_t low = lowest(r) - start, high = highest(r) - start;
    return {low > 0 ? int(low) : 0, high < Attention::tile ? int(high) : Attention::tile};
  }
  /** The rows [first, last) that see keys of the tile from `start`, if any do. */
  bool seeing(int64_t start, int64_t& first, int64_t& last) const {
    auto blind = [&](int64_t r) { return sight(r, start).low >= sight(r, start).high; };
    first = 0, last = count;
    while (first < last && blind(first)) first++;
    while (first < last && blind(last - 1)) last--;
    return first < last;
  }
};

/** The block's queries, to their place in the scratch memory. */
inline void gather_queries(const Rows& rows, float* queries) {
  constexpr int part = Attention::part;
  for (int64_t r = 0; r < rows.count; r++)
    for (int64_t c = 0; c < rows.a.d; c += part) {
      int64_t count = rows.a.d - c < part ? rows.a.d - c : part;
      __builtin_memcpy(queries + c * Attention::block + r * part, rows.query(r) + c, size_t(count) * 4);
    }
}

}  // namespace fovea::FOVEA_ISA
