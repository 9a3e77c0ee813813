// Tiles that several sequences have in common: their queries meet such a tile together, so that its keys and values
// are read once for all. Which tiles these are is said by the op (src/cache/shares.ts plans it); here they only change
// which rows stand beside each other, so no bit of a result.
#pragma once
#include "block.h"

namespace fovea::FOVEA_ISA {

/** Sequences order[first] to order[first + count - 1] and the tiles [tile, end) that they share. */
struct Share {
  int64_t first, count, tile, end;
};

/** Share g; with no sequences behind the last, and when its numbers do not fit the tensors. */
inline Share share_of(const Attention& a, int64_t g) {
  const int32_t* s = a.shares.i32() + 4 * g;
  Share share = {s[0], s[1], s[2], s[3]};
  bool fits = share.first >= 0 && share.count > 0 && share.first + share.count <= a.sequences && share.tile >= 0 &&
              share.end * Attention::tile <= a.longest;
  if (!fits) share.count = 0;
  return share;
}

/** Sequence number i of the order; with no rows when it is none that may share. */
inline Span ordered_span(const Attention& a, int64_t i) {
  int64_t t = a.order.i32()[i];
  Span span = span_of(a, t >= 0 && t < a.sequences ? t : 0);
  if (t < 0 || t >= a.sequences || span.first + span.count > a.shared_rows) span.count = 0;
  return span;
}

/** The parts of the tiles [from, to): [share, tiles, block, head], then [sequence, tile of its own, block, head]. */
struct SharedParts {
  const Attention& a;
  int64_t from, to;
  /** Tiles that are taken at once where what comes next is asked for. */
  int64_t most;
  /** The share, or `sequences` and the place in the order; what it has; parts of those before it. */
  int64_t section = -1, rows = 0, tile = 0, end = 0, each = 1, blocks = 0, parts = 0, before = 0;

  /** Goes on to the next section; false behind the last. */
  bool advance() {
    before += parts;
    if (++section < a.sequences) {
      Share share = share_of(a, section);
      rows = 0, tile = share.tile, end = share.end;
      if (share.count == 0) section = a.sequences;
      else for (int64_t i = 0; i < share.count; i++) rows += ordered_span(a, share.first + i).count * a.group;
    }
    int64_t i = section - a.sequences;
    if (i >= a.sequences) return false;
    if (i >= 0) {
      Span span = ordered_span(a, i);
      rows = span.count * a.group, tile = 0, end = span.tiles();
      for (int64_t g = 0; g < a.sequences; g++) {
        Share share = share_of(a, g);
        if (share.count == 0) break;
        if (i >= share.first && i < share.first + share.count && share.end > tile) tile = share.end;
      }
    }
    if (tile < from) tile = from;
    if (end > to) end = to;
    each = i < 0 && NextTile::pays(a, rows) ? most : 1;
    blocks = (rows + Attention::block - 1) / Attention::block;
    parts = end > tile ? (end - tile + each - 1) / each * blocks * a.kv_heads : 0;
    return true;
  }

  /** Calls run(section, tile, end, head, first row, rows) for part `index`, which must not fall; false behind the last. */
  template <class Fn> bool with(int64_t index, Fn run) {
    while (index - before >= parts)
      if (!advance()) return false;
    int64_t i = index - before, begin = i / a.kv_heads % blocks * Attention::block, left = rows - begin;
    int64_t first = tile + i / (a.kv_heads * blocks) * each, last = first + each < end ? first + each : end;
    run(section, first, last, i % a.kv_heads, begin, left < Attention::block ? left : int64_t(Attention::block));
    return true;
  }
};

/** The tiles [tile, end) for `count` rows from row `begin` of a share. */
inline void attend_share(const Attention& a, const Share& share, int64_t tile, int64_t end, int64_t g, int64_t begin,
                         int64_t count, const Scratch& scratch, const Partials& partials) {
  int64_t places[Attention::block], passed = 0, found = 0;
  Span first = {0, 0, 0, nullptr};
  for (int64_t i = 0; i < share.count && found < count; i++) {
    Span span = ordered_span(a, share.first + i);
    int64_t rows = span.count * a.group, from = begin > passed ? begin - passed : 0;
    passed += rows;
    if (from >= rows) continue;
    Rows own = {a, span, g, from, rows - from < count - found ? rows - from : count - found};
    // With a window not all rows may see all of the tiles: then each sequence is by itself.
    if (a.window && own.lowest(own.count - 1) > tile * Attention::tile) {
      attend_parts(own, tile, end, scratch, partials);
      count -= own.count;
      continue;
    }
    if (found == 0) first = span;
    for (int64_t r = 0; r < own.count; r++) places[found++] = own.index(r);
  }
  if (found > 0) attend_parts({a, first, g, 0, found, places}, tile, end, scratch, partials);
}

/** How many tiles a thread may take at once: enough parts are left for all threads to end together. */
inline int64_t tiles_at_once(const Attention& a, int threads) {
  int64_t tiles = 0;
  for (int64_t g = 0; g < a.sequences; g++) {
    Share share = share_of(a, g);
    if (share.count == 0) break;
    tiles += share.end - share.tile;
  }
  int64_t each = tiles * a.kv_heads / (8 * threads);
  return each < 1 ? 1 : each > 4 ? 4 : each;
}

inline void attend_shared(const Attention& a, const Work& work) {
  float* own = reinterpret_cast<float*>(work.scratch);
  Scratch scratch(a, work.scratch, work.thread);
  float* state = own + work.threads * a.thread_floats();
  Partials partials = {state + 2 * a.shared_rows * a.heads, 0, a.shared_tiles()};
  /** Calls run(row, span) for this thread's rows among those that may share. */
  auto each_row = [&](auto run) {
    for (int64_t t = 0; t < a.sequences; t++) {
      Span span = span_of(a, t);
      if (span.first + span.count > a.shared_rows) continue;
      for (int64_t r = span.first * a.heads; r < (span.first + span.count) * a.heads; r++)
        if (r % work.threads == work.thread) run(r, span);
    }
  };
  each_row([&](int64_t r, const Span&) {
    state[2 * r] = -__builtin_inff();
    state[2 * r + 1] = 0;
    __builtin_memset(a.y.f32() + r * a.dv, 0, size_t(a.dv) * 4);
  });
  int64_t most = tiles_at_once(a, work.threads);
  for (; partials.first < a.tiles(); partials.first += partials.count) {
    int64_t end = partials.first + partials.count;
    if (partials.first > 0) work.barrier();
    SharedParts parts = {a, partials.first, end, most};
    while (parts.with(work.take(), [&](int64_t section, int64_t tile, int64_t last, int64_t g, int64_t begin,
                                       int64_t count) {
      if (section < a.sequences)
        return attend_share(a, share_of(a, section), tile, last, g, begin, count, scratch, partials);
      Span span = ordered_span(a, section - a.sequences);
      attend_parts({a, span, g, begin, count}, tile, last, scratch, partials);
    })) {
    }
    work.barrier();
    each_row([&](int64_t r, const Span& span) {
      merge_parts(a, r, partials, partials.first, end < span.tiles() ? end : span.tiles(), a.y.f32() + r * a.dv,
                  state[2 * r], state[2 * r + 1]);
    });
  }
  each_row([&](int64_t r, const Span&) { finish(a.y.f32() + r * a.dv, state[2 * r + 1], a.dv); });
  if (a.shared_rows == a.q.d[0]) return;
  // The rows behind, of prompts, are blocks by themselves.
  work.barrier();
  int64_t before = 0, index = work.take();
  for (int64_t t = 0; t < a.sequences; t++) {
    Span span = span_of(a, t);
    if (span.first + span.count <= a.shared_rows) continue;
    int64_t blocks = (span.count * a.group + Attention::block - 1) / Attention::block, parts = blocks * a.kv_heads;
    for (; index - before < parts; index = work.take()) {
      int64_t i = index - before, begin = (blocks - 1 - i / a.kv_heads) * Attention::block;
      int64_t left = span.count * a.group - begin;
      attend_block({a, span, i % a.kv_heads, begin, left < Attention::block ? left : Attention::block}, scratch);
    }
    before += parts;
  }
}

}  // namespace fovea::FOVEA_ISA
