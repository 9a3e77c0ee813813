// Attention over paged keys and values: which thread takes which block of rows, or which tiles of a block.
//
// Work is cut into blocks: up to `block` query rows (tokens times the heads of one group) against one tile of
// keys. A tile's scores, maximum, sum and weighted values of a query are computed in an order that the tile
// alone decides, and tiles are merged in order. So blocking, neighbours, threads and masks change no bit.
#pragma once
#include "shared.h"

namespace fovea::FOVEA_ISA {

/**
 * Whether the tiles of a block are shared among threads and merged afterwards: when whole blocks, taken as they
 * come, would leave threads without work for long.
 */
inline bool split_tiles(const Attention& a, int threads) {
  if (!a.divisible(threads)) return false;
  int64_t total = 0, largest = 0;
  for (int64_t t = 0; t < a.sequences; t++) {
    Span span = span_of(a, t);
    int64_t rows = span.count * a.group, block = (rows < Attention::block ? rows : Attention::block) * span.tiles();
    total += rows * span.tiles() * a.kv_heads;
    if (block > largest) largest = block;
  }
  return 8 * threads * largest > total;
}

/** The parts of the whole op, with the longest of a sequence first: [sequence, block, tile, head]. */
struct Parts {
  const Attention& a;
  bool split;
  int64_t sequence, before = 0;

  Parts(const Attention& a, bool split) : a(a), split(split), sequence(a.sequences - 1) {}

  /** Calls run(rows, tile) for part `index`, which must not fall from call to call; false behind the last. */
  template <class Fn> bool with(int64_t index, Fn run) {
    for (; sequence >= 0; sequence--) {
      Span span = span_of(a, sequence);
      int64_t blocks = (span.count * a.group + Attention::block - 1) / Attention::block;
      int64_t tiles = split ? span.tiles() : 1, parts = blocks * tiles * a.kv_heads;
      if (index - before >= parts) {
        before += parts;
        continue;
      }
      int64_t i = index - before, begin = (blocks - 1 - i / (tiles * a.kv_heads)) * Attention::block;
      int64_t left = span.count * a.group - begin;
      Rows rows = {a, span, i % a.kv_heads, begin, left < Attention::block ? left : Attention::block};
      run(rows, i / a.kv_heads % tiles);
      return true;
    }
    return false;
  }
};

inline int64_t attend_scratch(const Op& op, int threads) {
  Attention a(op);
  int64_t partials = a.shared_rows > 0 ? a.shared_bytes() : a.divisible(threads) ? a.partials_bytes() : 0;
  return 4 * a.thread_floats() * threads + partials;
}

inline void attend(const Op& op, const Work& work) {
  Attention a(op);
  if (a.shared_rows > 0) return attend_shared(a, work);
  bool split = split_tiles(a, work.threads);
  Partials partials = {reinterpret_cast<float*>(work.scratch) + work.threads * a.thread_floats(), 0, a.tiles()};
  Scratch scratch(a, work.scratch, work.thread);
  Parts parts(a, split);
  while (parts.with(work.take(), [&](const Rows& rows, int64_t tile) {
    if (split) attend_parts(rows, tile, tile + 1, scratch, partials);
    else attend_block(rows, scratch);
  })) {
  }
  if (!split) return;
  work.barrier();
  for (int64_t t = 0; t < a.sequences; t++) {
    Span span = span_of(a, t);
    for (int64_t r = span.first * a.heads; r < (span.first + span.count) * a.heads; r++) {
      if (r % work.threads != work.thread) continue;
      float maximum = -__builtin_inff(), total = 0, *y = a.y.f32() + r * a.dv;
      __builtin_memset(y, 0, size_t(a.dv) * 4);
      merge_parts(a, r, partials, 0, span.tiles(), y, maximum, total);
      finish(y, total, a.dv);
    }
  }
}

}  // namespace fovea::FOVEA_ISA
