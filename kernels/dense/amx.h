// Products of matrices whose operands are rounded to bf16, on tiles of AMX: 32 rows by 32 columns at a time, all sums
// in tiles. A tile adds 32 k at once: the sum of those of even place and that of those of odd place, each in order,
// are added to each other and then to the total, which begins with c. So the order of a sum depends on k alone.
// The hardware takes denormal numbers, operands and sums, for zeros.
//
// A round is a block of a that all threads round and pack together; then each takes groups of columns of b, packs
// those, and multiplies. The total of a block of k waits in y for the next; storing it changes no bit.
#pragma once
#include "../kernels.h"
#include "../simd/transpose.h"

#if defined(FOVEA_ISA_AMX)
#include "../simd/amx.h"

namespace fovea::FOVEA_ISA::narrow {

/** Rows or columns of a panel, and k of a step: two tiles of [16, 32]. */
constexpr int64_t side = 32, step = 32, tile = 16 * 32;

/** Elements of a block of a, k of a round at most, and panels of b that a thread packs at a time. */
constexpr int64_t block_elements = 384 << 10, most_depth = 1024, group = 4;

constexpr int64_t up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }
constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

struct Operand {
  const uint8_t* data;
  /** Whether it is bf16 already; whether k is the contiguous dimension. */
  bool half, deep;
  /** Elements between rows in memory, and between the matrices of a batch. */
  int64_t ld, batch;

  const uint8_t* at(int64_t matrix, int64_t k, int64_t other) const {
    return data + (matrix * batch + (deep ? other * ld + k : k * ld + other)) * (half ? 2 : 4);
  }
};

inline __m512i bf16_of(__m512 low, __m512 high) { return __m512i(_mm512_cvtne2ps_pbh(high, low)); }
inline __mmask32 first(int64_t n) { return n >= 32 ? ~0u : n <= 0 ? 0u : (1u << n) - 1u; }

/** 32 values side by side, of which `count` are there. */
template <bool half> inline __m512i along(const uint8_t* p, int64_t count) {
  __mmask32 m = first(count);
  if constexpr (half) return _mm512_maskz_loadu_epi16(m, p);
  const float* x = reinterpret_cast<const float*>(p);
  return bf16_of(_mm512_maskz_loadu_ps(__mmask16(m), x), _mm512_maskz_loadu_ps(__mmask16(m >> 16), x + 16));
}

/** Pairs of 16 values side by side and those of the next k, of which `count` and `ks` are there. */
template <bool half> inline __m512i pairs(const uint8_t* p, int64_t ld, int64_t ks, int64_t count) {
  __mmask16 m = __mmask16(first(count)), even = ks > 0 ? m : __mmask16(0), odd = ks > 1 ? m : __mmask16(0);
  if constexpr (half) {
    const uint16_t* x = reinterpret_cast<const uint16_t*>(p);
    __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(even, x));
    __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(odd, x + ld));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
  const float* x = reinterpret_cast<const float*>(p);
  __m512i both = bf16_of(_mm512_maskz_loadu_ps(even, x), _mm512_maskz_loadu_ps(odd, x + ld));
  alignas(64) static constexpr uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), both);
}

/** Sixteen vectors, turned or not, as a tile. */
inline void store_tile(__m512i (&v)[16], bool turned, uint16_t* to) {
  if (turned) {
    V::F square[16];
    for (int i = 0; i < 16; i++) square[i] = V::from_bits(v[i]);
    transpose(square);
    for (int i = 0; i < 16; i++) v[i] = V::bits(square[i]);
  }
  for (int i = 0; i < 16; i++) _mm512_store_si512(to + 32 * i, v[i]);
}

/** A part of an operand in panels [steps][2 tiles]: k from k0, rows (or columns) from `other` on. */
struct Packing {
  const Operand& x;
  int64_t matrix, k0, k_count, other, count;
  /** Whether tiles hold pairs of k, as right sides do; left sides hold rows of k. */
  bool paired;
  uint16_t* to;
  /** Steps from one panel to the next where they lie among others; 0: its own. */
  int64_t apart = 0;

  int64_t steps() const { return (k_count + step - 1) / step; }
  int64_t panels() const { return (count + side - 1) / side; }
  uint16_t* tile_at(int64_t t, int64_t s) const { return to + ((t / 2 * (apart ? apart : steps()) + s) * 2 + t % 2) * tile; }

  /** Panels [p0, p1) of steps [s0, s1). */
  void run(int64_t p0, int64_t p1, int64_t s0, int64_t s1) const {
    if (x.half) run_as<true>(p0, p1, s0, s1);
    else run_as<false>(p0, p1, s0, s1);
  }

 private:
  template <bool half> void run_as(int64_t p0, int64_t p1, int64_t s0, int64_t s1) const {
    if (x.deep)
      for (int64_t t = 2 * p0; t < 2 * p1; t++)
        for (int64_t s = s0; s < s1; s++) deep<half>(t, s);
    else
      for (int64_t s = s0; s < s1; s++)
        for (int64_t t = 2 * p0; t < 2 * p1; t++) across<half>(t, s);
  }
  template <bool half> void deep(int64_t t, int64_t s) const {
    __m512i v[16];
    const uint8_t* p = x.at(matrix, k0 + s * step, other + 16 * t);
    int64_t rows = count - 16 * t, left = k_count - s * step, bytes = x.ld * (half ? 2 : 4);
    for (int i = 0; i < 16; i++) v[i] = i < rows ? along<half>(p + i * bytes, left) : _mm512_setzero_si512();
    store_tile(v, paired, tile_at(t, s));
  }
  template <bool half> void across(int64_t t, int64_t s) const {
    __m512i v[16];
    const uint8_t* p = x.at(matrix, k0 + s * step, other + 16 * t);
    int64_t values = count - 16 * t, left = k_count - s * step, bytes = x.ld * (half ? 2 : 4);
    for (int i = 0; i < 16; i++) v[i] = pairs<half>(p + 2 * i * bytes, x.ld, left - 2 * i, values);
    store_tile(v, !paired, tile_at(t, s));
  }
};

/** Places of results that will be written next: rows of 32 floats. Asked for a few at a time. */
struct Next {
  float* at;
  int64_t ld, rows;

  void ask(int64_t count) {
    for (; count > 0 && rows > 0; count--, rows--, at += ld) {
      __builtin_prefetch(at, 1);
      __builtin_prefetch(at + 16, 1);
      __builtin_prefetch(at + 31, 1);
    }
  }
};

/**
 * y [rows, columns] = (start or 0) + a panel · b panel, for at most 32 rows and columns. Meanwhile memory is asked for
 * the places of the next results.
 */
inline void square(const uint16_t* a, const uint16_t* b, int64_t steps, const float* start, float* y, int64_t ld,
                   int64_t rows, int64_t columns, Next next = {}) {
  alignas(64) float edge[side * side];
  const bool whole = rows >= side && columns >= side;
  float* to = whole ? y : edge;
  const int64_t to_ld = whole ? ld : side, bytes = to_ld * 4;
  if (!start) {
    amx::zero<0>(), amx::zero<1>(), amx::zero<2>(), amx::zero<3>();
  } else {
    const float* from = start;
    if (!whole) {
      for (int64_t r = 0; r < side; r++)
        for (int64_t c = 0; c < side; c++) edge[r * side + c] = r < rows && c < columns ? start[r * ld + c] : 0;
      from = edge;
    }
    amx::load_rows<0>(from, bytes), amx::load_rows<1>(from + 16, bytes);
    amx::load_rows<2>(from + 16 * to_ld, bytes), amx::load_rows<3>(from + 16 * to_ld + 16, bytes);
  }
  const int64_t each = (side + steps - 1) / (steps > 0 ? steps : 1);
  for (int64_t s = 0; s < steps; s++, a += 2 * tile, b += 2 * tile) {
    next.ask(each);
    amx::load_rows<4>(a, 64), amx::load_rows<6>(b, 64), amx::load_rows<7>(b + tile, 64), amx::load_rows<5>(a + tile, 64);
    amx::dot_bf16<0, 4, 6>(), amx::dot_bf16<1, 4, 7>(), amx::dot_bf16<2, 5, 6>(), amx::dot_bf16<3, 5, 7>();
  }
  amx::store_rows<0>(to, bytes), amx::store_rows<1>(to + 16, bytes);
  amx::store_rows<2>(to + 16 * to_ld, bytes), amx::store_rows<3>(to + 16 * to_ld + 16, bytes);
  if (!whole)
    for (int64_t r = 0; r < least(rows, side); r++)
      for (int64_t c = 0; c < least(columns, side); c++) y[r * ld + c] = edge[r * side + c];
}

struct Product {
  Operand a, b;
  const float* c;
  float* y;
  int64_t batch, n, m, k;
  /** Rows and k of a round. */
  int64_t rows, depth;

  explicit Product(const Op& op) {
    Tensor ta = op.tensor(0), tb = op.tensor(1), tc = op.tensor(2), ty = op.tensor(3);
    bool across_a = op.number(0) != 0, across_b = op.number(1) != 0;
    batch = ty.d[0], n = ty.d[1], m = ty.d[2], k = ta.d[across_a ? 1 : 2];
    a = {ta.data, ta.dtype == DType::bf16, !across_a, ta.d[2], ta.d[0] == 1 ? 0 : ta.d[1] * ta.d[2]};
    b = {tb.data, tb.dtype == DType::bf16, across_b, tb.d[2], tb.d[0] == 1 ? 0 : tb.d[1] * tb.d[2]};
    c = tc.data ? tc.f32() : nullptr;
    y = ty.f32();
    // One matrix b for all of the batch: the rows of all are the rows of one product.
    if (b.batch == 0 && a.deep && batch > 1) n *= batch, batch = 1;
    int64_t cuts = (k + most_depth - 1) / most_depth;
    depth = cuts > 1 ? up((k + cuts - 1) / cuts, step) : up(k, step);
    if (depth == 0) depth = step;
    int64_t most = block_elements / depth / side * side, blocks = (n + most - 1) / most;
    rows = blocks > 0 ? up((n + blocks - 1) / blocks, side) : side;
  }

  bool empty() const { return batch == 0 || n == 0 || m == 0; }
  int64_t block_bytes() const { return up(rows, side) * depth * 2; }
  int64_t group_bytes() const { return group * side * depth * 2; }
  int64_t scratch(int threads) const { return 2 * block_bytes() + threads * group_bytes(); }
};

/** Rows [r0, r1) of a by all columns of b, over k in [k0, k1). */
struct Round {
  const Product& p;
  int64_t matrix, r0, r1, k0, k1;
  uint16_t *block, *own;

  void pack(const Work& work) const {
    Packing a = {p.a, matrix, k0, k1 - k0, r0, r1 - r0, false, block};
    int64_t begin, end;
    work.share(p.a.deep ? a.panels() : a.steps(), 1, begin, end);
    if (p.a.deep) a.run(begin, end, 0, a.steps());
    else a.run(0, a.panels(), begin, end);
  }

  void multiply(const Work& work) const {
    // As many groups for each thread; parts of the rows too where columns are few.
    int64_t panels = (p.m + side - 1) / side, tall = (r1 - r0 + side - 1) / side;
    int64_t groups = least(panels, up((panels + group - 1) / group, work.threads)), parts = 1;
    if (groups < work.threads) parts = least(tall, (work.threads + groups - 1) / groups);
    const float* start = k0 > 0 ? p.y : p.c;
    for (int64_t i = work.take(); i < groups * parts; i = work.take()) {
      int64_t g = i / parts, part = i % parts;
      int64_t j0 = panels * g / groups * side, j1 = least(panels * (g + 1) / groups * side, p.m);
      Packing b = {p.b, matrix, k0, k1 - k0, j0, j1 - j0, true, own};
      b.run(0, b.panels(), 0, b.steps());
      int64_t steps = b.steps(), size = 2 * tile * steps;
      for (int64_t t = tall * part / parts; t < tall * (part + 1) / parts; t++)
        for (int64_t j = 0; j < b.panels(); j++) {
          int64_t row = r0 + t * side, column = j0 + j * side, at = (matrix * p.n + row) * p.m + column;
          bool last = j + 1 == b.panels();
          Next next = {p.y + (last ? at - column + j0 + side * p.m : at + side), p.m, least(side, r1 - row - (last ? side : 0))};
          square(block + t * size, own + j * size, steps, start ? start + at : nullptr, p.y + at, p.m, r1 - row,
                 j1 - column, next);
        }
    }
  }
};

/** Multiplications below which one thread is faster than two that must meet. */
constexpr double small = 1 << 19;

inline void matmul(const Op& op, const Work& shared) {
  Product p(op);
  if (p.empty()) return;
  Work work = shared;
  const bool alone = double(p.batch) * double(p.n) * double(p.m) * double(p.k) < small;
  if (alone) {
    if (work.thread != 0) return;
    work.threads = 1;
  }
  amx::begin(64);
  uint8_t* own = work.scratch + 2 * p.block_bytes() + work.thread * p.group_bytes();
  int64_t rounds = 0;
  for (int64_t i = 0; i < p.batch; i++)
    for (int64_t r = 0; r < p.n; r += p.rows) {
      // Also once when there is no k at all: y must be written.
      int64_t k = 0;
      do {
        uint8_t* block = work.scratch + rounds++ % 2 * p.block_bytes();
        Round round = {p, i, r, least(r + p.rows, p.n), k, least(k + p.depth, p.k),
                       reinterpret_cast<uint16_t*>(block), reinterpret_cast<uint16_t*>(own)};
        round.pack(work);
        if (alone) work.counters->clear(1);
        else work.barrier();
        round.multiply(work);
        k += p.depth;
      } while (k < p.k);
    }
  amx::end();
}

}  // namespace fovea::FOVEA_ISA::narrow
#endif
