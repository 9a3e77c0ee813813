// Attention of a batch's rows to each other and its derivative; the equations are in src/ops/attend-within.ts.
//
// A thread takes a sequence and a head (for the derivative: a head of keys with all that share it), packs it once,
// and goes through squares of 64 queries by 64 keys. Everything is computed transposed, keys or components down
// and queries in the lanes: maxima and sums of the softmax run down vectors, and what one product gives is what
// the next one takes. Sums over keys run in order from the first that is seen, those of the derivative over the
// heads of a group and the queries in order.
#pragma once
#include "../dense/amx.h"
#include "../dense/pack.h"
#include "../simd/math.h"
#include "losses.h"

namespace fovea::FOVEA_ISA::within {

/** Whether there are products of bf16. */
#if defined(FOVEA_ISA_AMX)
constexpr bool has_narrow = true;
#else
constexpr bool has_narrow = false;
#endif

/** Queries and keys of a square. */
constexpr int64_t block = 64;

/** Rows of a tile, places for them, and columns of a panel: as many sums as the registers hold. */
constexpr int height = V::lanes == 16 ? 13 : 6;
constexpr int64_t width = (height + V::lanes - 1) / V::lanes * V::lanes, columns = 2 * V::lanes;

constexpr int64_t tiles_of(int64_t rows) { return (rows + height - 1) / height; }
constexpr int64_t blocks_of(int64_t rows) { return (rows + block - 1) / block; }
/** In whole panels of AMX. */
constexpr int64_t even(int64_t x) { return (x + 31) / 32 * 32; }
/** Rows of a result: those of whole tiles (of AMX too), and of whole squares of a transpose. */
constexpr int64_t padded(int64_t rows) {
  return (tiles_of(rows) * height > even(rows) ? tiles_of(rows) * height : even(rows)) + V::lanes;
}
/** Floats of a block's rows, or of a block of queries, packed for products over k: in f32, or in bf16 for AMX. */
constexpr int64_t left(int64_t rows, int64_t k) {
  return tiles_of(rows) * width * k > even(rows) * even(k) / 2 ? tiles_of(rows) * width * k : even(rows) * even(k) / 2;
}

/** Rows of a tile times a panel: y [rows][columns] = (y or 0) + a [k][width] · b [k][columns]. */
inline void tile(const float* a, int64_t k, const float* b, float* y, bool add) {
  V::F s[height][2];
  unroll<0, height>([&](auto r) FOVEA_FLAT {
    unroll<0, 2>([&](auto v) FOVEA_FLAT {
      s[r.value][v.value] = add ? V::load(y + r.value * columns + v.value * V::lanes) : V::zero();
    });
  });
  for (; k > 0; k--, a += width, b += columns) {
    V::F first = V::load(b), second = V::load(b + V::lanes);
    unroll<0, height>([&](auto r) FOVEA_FLAT {
      V::F one = V::set1(a[r.value]);
      s[r.value][0] = V::fma(first, one, s[r.value][0]);
      s[r.value][1] = V::fma(second, one, s[r.value][1]);
    });
  }
  unroll<0, height>([&](auto r) FOVEA_FLAT {
    unroll<0, 2>([&](auto v) FOVEA_FLAT { V::store(y + r.value * columns + v.value * V::lanes, s[r.value][v.value]); });
  });
}

/** Rows, `ld` floats apart, as the left side of products over their components, or over the rows themselves. */
inline void pack_left(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
  pack_across<FromF32>(x, ld, d, rows, {to, d * width, int(width), height});
}
inline void pack_left_over_rows(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
  pack_lines<FromF32>(x, ld, rows, d, {to, rows * width, int(width), height});
}
/** Rows as the columns of panels [d][columns]. */
inline void pack_right(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
  pack_across<FromF32>(x, ld, d, rows, {to, d * columns, int(columns), int(columns)});
}

/** Panels [d][columns], `size` floats apart, as `rows` rows of d, `ld` floats apart, each times its factor. */
inline void unpack(const float* panels, int64_t size, int64_t rows, int64_t d, const float* factor, float* y, int64_t ld) {
  for (int64_t r = 0; r < rows; r += V::lanes) {
    const float* from = panels + r / columns * size + r % columns;
    V::F by = factor ? V::load(factor + r) : V::set1(1.0f);
    for (int64_t c = 0; c < d; c += V::lanes) {
      V::F square[V::lanes];
      for (int i = 0; i < V::lanes; i++) square[i] = V::mul(by, V::load(from + (c + i) * columns));
      transpose(square);
      int64_t n = d - c < V::lanes ? d - c : V::lanes;
      for (int i = 0; i < V::lanes && r + i < rows; i++) V::store_tail(y + (r + i) * ld + c, square[i], int(n));
    }
  }
}

/** Panels of queries [rows][columns] as panels of the rows [queries][columns]; rows are zeros up to whole panels. */
inline void turn(const float* panels, int64_t size, int64_t rows, int64_t queries, float* to) {
  for (int64_t q = 0; q < queries; q += V::lanes)
    for (int64_t r = 0; r < (rows + columns - 1) / columns * columns; r += V::lanes) {
      V::F square[V::lanes];
      for (int i = 0; i < V::lanes; i++) square[i] = V::load(panels + q / columns * size + (r + i) * columns + q % columns);
      transpose(square);
      float* out = to + r / columns * block * columns + r % columns;
      for (int i = 0; i < V::lanes; i++) V::store(out + (q + i) * columns, square[i]);
    }
}

struct Shape {
  int64_t heads, group, d, dv, ld_q, ld_k, ld_v, ld_y, longest, window;
  float scale, softcap;
  /** `narrow`: operands of products are rounded to bf16. */
  bool causal, narrow;

  explicit Shape(const Op& op) {
    Tensor q = op.tensor(0), k = op.tensor(1), v = op.tensor(2);
    heads = q.d[1], group = q.d[1] / k.d[1], d = q.d[2], dv = v.d[2];
    ld_q = heads * d, ld_k = k.d[1] * d, ld_v = k.d[1] * dv, ld_y = heads * dv;
    scale = float(op.number(0)), window = int64_t(op.number(1)), softcap = float(op.number(2));
    causal = op.number(3) != 0, longest = int64_t(op.number(4));
    narrow = has_narrow && op.number(5) > 0;
  }

  /** Keys that the queries [q0, q1) of a sequence of n see between them, from the start of a block. */
  int64_t first(int64_t q0) const { return window && q0 >= window ? (q0 - window + 1) / block * block : 0; }
  int64_t end(int64_t q1, int64_t n) const {
    int64_t last = causal ? q1 : window ? q1 + window - 1 : n;
    return last < n ? last : n;
  }
  /** Whether some of the queries do not see some of the keys. */
  bool hides(int64_t q0, int64_t q1, int64_t k0, int64_t k1) const {
    if (causal && k1 - 1 > q0) return true;
    return window && (q1 - 1 - k0 >= window || (!causal && k1 - 1 - q0 >= window));
  }
  /** Those of the queries (their places in the lanes) that see key j. */
  V::M sees(V::F query, int64_t j) const {
    V::F behind = V::sub(query, V::set1(float(j))), reach = V::set1(window ? float(window) : 0x1p30f);
    // A key that comes after a query is out of reach, where causality hides it.
    if (causal) return V::lt(V::select(V::lt(behind, V::zero()), reach, behind), reach);
    return V::lt(V::abs(behind), reach);
  }
};

/** Scores of a square in powers of two, in place: keys down, queries from q0 on in the lanes. */
inline void bend(const Shape& s, float* scores, int64_t size, int64_t q0, int64_t q1, int64_t k0, int64_t k1) {
  constexpr float log2_e = 1.44269504f;
  bool hides = s.hides(q0, q1, k0, k1);
  if (s.softcap == 0 && !hides) return;
  float places[V::lanes];
  for (int i = 0; i < V::lanes; i++) places[i] = float(i);
  V::F place = V::load(places), low = V::set1(-__builtin_inff());
  // The scores came with a factor of log2 e, which is no part of what the cap bends.
  V::F cap = V::set1(s.softcap * log2_e), inverse = V::set1(1 / (s.softcap * log2_e));
  for (int64_t q = q0; q < q1; q += V::lanes) {
    float* at = scores + (q - q0) / columns * size + (q - q0) % columns;
    V::F query = V::add(V::set1(float(q)), place);
    for (int64_t j = k0; j < k1; j++, at += columns) {
      V::F x = V::load(at);
      if (s.softcap != 0) x = capped(x, cap, inverse);
      if (hides) x = V::select(s.sees(query, j), x, low);
      V::store(at, x);
    }
  }
}

/** Where the sequences begin and end; never outside the rows. */
struct Sequence {
  int64_t from, rows;
  Sequence(Tensor offsets, int64_t t, int64_t n, int64_t longest) {
    auto clamp = [](int64_t x, int64_t most) { return x < 0 ? 0 : x > most ? most : x; };
    from = clamp(offsets.i32()[t], n);
    rows = clamp(clamp(offsets.i32()[t + 1], n) - from, longest);
  }
};

/** Memory of a thread, taken piece by piece. */
struct Pieces {
  uint8_t* at;
  int64_t taken = 0;
  float* take(int64_t floats) {
    float* piece = reinterpret_cast<float*>(at + taken);
    taken += (floats * 4 + 63) / 64 * 64;
    return piece;
  }
};

constexpr int64_t panels = block / columns;
constexpr int64_t square = panels * padded(block) * columns;

inline void scale_all(float* x, int64_t count, float by) {
  each(x, 0, count, [&](auto load, int64_t j) { return V::mul(load(x + j), V::set1(by)); });
}

/** The left side of a product: its rows, its k, and the k that it was packed with. */
struct Left {
  const float* at;
  int64_t rows, k, packed;
};

/** How operands are packed and multiplied: in f32, or rounded to bf16 on tiles of AMX. */
struct Wide {
  static void left(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) { pack_left(x, ld, rows, d, to); }
  static void left_over_rows(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
    pack_left_over_rows(x, ld, rows, d, to);
  }
  static void right(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) { pack_right(x, ld, rows, d, to); }
  static void scaled(const float* x, int64_t ld, int64_t rows, int64_t d, float by, float* to) {
    pack_right(x, ld, rows, d, to);
    scale_all(to, (rows + columns - 1) / columns * columns * d, by);
  }
  /** By `count` columns that `right` packed. */
  static void product(const Left& a, const float* b, int64_t count, float* y, int64_t size, bool add) {
    panels_by(a, b, a.k * columns, count, y, size, add);
  }
  /** By a square of scores: `count` queries, a.k keys. */
  static void product_of_square(const Left& a, const float* scores, float*, int64_t count, float* y, int64_t size, bool add) {
    panels_by(a, scores, square, count, y, size, add);
  }
  /** To what is there, by a square of scores of a.k queries with the `count` keys as columns. */
  static void product_of_turned(const Left& a, const float* scores, float* turned, int64_t count, float* y, int64_t size) {
    turn(scores, square, count, a.k, turned);
    panels_by(a, turned, block * columns, count, y, size, true);
  }

  /** Floats from one panel of a square to the next. */
  static constexpr int64_t square = padded(block) * columns;

 private:
  static void panels_by(const Left& a, const float* b, int64_t b_size, int64_t count, float* y, int64_t size, bool add) {
    for (int64_t p = 0; p * columns < count; p++)
      for (int64_t t = 0; t < tiles_of(a.rows); t++)
        tile(a.at + t * a.packed * width, a.k, b + p * b_size, y + p * size + t * height * columns, add);
  }
};

#if defined(FOVEA_ISA_AMX)
struct Narrow {
  using Half = uint16_t;
  static constexpr int64_t side = narrow::side, tile = narrow::tile, square = Wide::square;
  static Half* halves(float* p) { return reinterpret_cast<Half*>(p); }
  static int64_t steps(int64_t k) { return (k + narrow::step - 1) / narrow::step; }

  static void pack(const float* x, int64_t ld, bool deep, int64_t k, int64_t count, bool paired, float* to) {
    narrow::Operand operand = {reinterpret_cast<const uint8_t*>(x), false, deep, ld, 0};
    narrow::Packing packing = {operand, 0, 0, k, 0, count, paired, halves(to)};
    packing.run(0, packing.panels(), 0, packing.steps());
  }
  static void left(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) { pack(x, ld, true, d, rows, false, to); }
  static void left_over_rows(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) {
    pack(x, ld, false, rows, d, false, to);
  }
  static void right(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) { pack(x, ld, true, d, rows, true, to); }
  /** `wide` holds the products before they are rounded. */
  static void scaled(const float* x, int64_t ld, int64_t rows, int64_t d, float by, float* wide, float* to) {
    for (int64_t r = 0; r < rows; r++)
      each(wide + r * d, 0, d, [&](auto load, int64_t j) { return V::mul(load(x + r * ld + j), V::set1(by)); });
    right(wide, d, rows, d, to);
  }
  static void product(const Left& a, float* b, int64_t count, float* y, int64_t size, bool add) {
    panels_by(a, halves(b), count, y, size, add);
  }
  static void product_of_square(const Left& a, const float* scores, float* memory, int64_t count, float* y, int64_t size,
                                bool add) {
    for (int64_t p = 0; p * side < count; p++)
      pack(scores + p * square, columns, false, a.k, side, true, memory + p * steps(a.k) * tile);
    panels_by(a, halves(memory), count, y, size, add);
  }
  static void product_of_turned(const Left& a, const float* scores, float* memory, int64_t count, float* y, int64_t size) {
    for (int64_t p = 0; p * side < a.k; p++) {
      narrow::Operand operand = {reinterpret_cast<const uint8_t*>(scores + p * square), false, true, columns, 0};
      int64_t k = a.k - p * side < side ? a.k - p * side : side;
      narrow::Packing packing = {operand, 0, 0, k, 0, count, true, halves(memory) + 2 * p * tile, steps(a.k)};
      packing.run(0, packing.panels(), 0, 1);
    }
    panels_by(a, halves(memory), count, y, size, true);
  }

 private:
  static void panels_by(const Left& a, const Half* b, int64_t count, float* y, int64_t size, bool add) {
    const Half* left = reinterpret_cast<const Half*>(a.at);
    for (int64_t p = 0; p * side < count; p++)
      for (int64_t t = 0; t * side < a.rows; t++) {
        float* to = y + p * size + t * side * columns;
        narrow::square(left + 2 * tile * t * steps(a.packed), b + 2 * tile * p * steps(a.k), steps(a.k), add ? to : nullptr,
                       to, columns, side, side);
      }
  }
};
#endif

/** One of the two, as the op's precision asks. */
struct Side {
  bool narrow;
#if defined(FOVEA_ISA_AMX)
#define FOVEA_EITHER(call_narrow, call_wide) \
  if (narrow) return Narrow::call_narrow;    \
  Wide::call_wide
#else
#define FOVEA_EITHER(call_narrow, call_wide) Wide::call_wide
#endif
  void left(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) const {
    FOVEA_EITHER(left(x, ld, rows, d, to), left(x, ld, rows, d, to));
  }
  void left_over_rows(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) const {
    FOVEA_EITHER(left_over_rows(x, ld, rows, d, to), left_over_rows(x, ld, rows, d, to));
  }
  void right(const float* x, int64_t ld, int64_t rows, int64_t d, float* to) const {
    FOVEA_EITHER(right(x, ld, rows, d, to), right(x, ld, rows, d, to));
  }
  void scaled(const float* x, int64_t ld, int64_t rows, int64_t d, float by, float* wide, [[maybe_unused]] float* to) const {
    FOVEA_EITHER(scaled(x, ld, rows, d, by, wide, to), scaled(x, ld, rows, d, by, wide));
  }
  void product(const Left& a, float* b, int64_t count, float* y, int64_t size, bool add) const {
    FOVEA_EITHER(product(a, b, count, y, size, add), product(a, b, count, y, size, add));
  }
  void product_of_square(const Left& a, const float* scores, float* memory, int64_t count, float* y, int64_t size,
                         bool add) const {
    FOVEA_EITHER(product_of_square(a, scores, memory, count, y, size, add),
                 product_of_square(a, scores, memory, count, y, size, add));
  }
  void product_of_turned(const Left& a, const float* scores, float* memory, int64_t count, float* y, int64_t size) const {
    FOVEA_EITHER(product_of_turned(a, scores, memory, count, y, size),
                 product_of_turned(a, scores, memory, count, y, size));
  }
#undef FOVEA_EITHER
};

inline Side side(const Shape& s) { return {s.narrow}; }

/** Tiles of AMX are in use while this lives. */
struct Tiles {
  bool on;
  explicit Tiles(const Shape& s) : on(s.narrow) {
#if defined(FOVEA_ISA_AMX)
    if (on) amx::begin(64);
#endif
  }
  ~Tiles() {
#if defined(FOVEA_ISA_AMX)
    if (on) amx::end();
#endif
  }
};

/** What a thread needs to attend. */
struct Forward {
  int64_t keys_size, values_size;
  float *keys, *values, *queries, *narrow, *weights, *scores, *sums, *most, *total, *factor;
  int64_t bytes;

  Forward(const Shape& s, uint8_t* memory) {
    Pieces pieces = {memory};
    int64_t blocks = blocks_of(s.longest);
    keys_size = left(block, s.d), values_size = left(s.dv, block);
    keys = pieces.take(blocks * keys_size), values = pieces.take(blocks * values_size);
    queries = pieces.take(block * s.d), scores = pieces.take(square);
    narrow = pieces.take(block * even(s.d) / 2), weights = pieces.take(block * block / 2);
    sums = pieces.take(panels * padded(s.dv) * columns);
    most = pieces.take(block), total = pieces.take(block), factor = pieces.take(block);
    bytes = pieces.taken;
  }
};

/** One step of the softmax of a square: scores become weights, sums of earlier keys are brought to the new maximum. */
inline void soften(const Forward& f, int64_t queries, int64_t keys, int64_t dv, bool first) {
  for (int64_t q = 0; q < queries; q += V::lanes) {
    float* at = f.scores + q / columns * padded(block) * columns + q % columns;
    V::F before = V::load(f.most + q), most = before;
    for (int64_t j = 0; j < keys; j++) most = V::max(most, V::load(at + j * columns));
    V::F sum = V::zero();
    for (int64_t j = 0; j < keys; j++) {
      V::F weight = exp2(V::sub(V::load(at + j * columns), most));
      sum = V::add(sum, weight);
      V::store(at + j * columns, weight);
    }
    V::F factor = exp2(V::sub(before, most));
    V::store(f.most + q, most);
    V::store(f.total + q, V::fma(V::load(f.total + q), factor, sum));
    if (first) continue;
    float* sums = f.sums + q / columns * padded(dv) * columns + q % columns;
    for (int64_t c = 0; c < dv; c++) V::store(sums + c * columns, V::mul(factor, V::load(sums + c * columns)));
  }
}

constexpr double log_2 = 0.6931471805599453;

/** One head of a sequence. */
inline void attend(const Op& op, const Shape& s, const Forward& f, const Sequence& sequence, int64_t head) {
  const int64_t from = sequence.from, n = sequence.rows, g = head / s.group;
  const float* q = op.tensor(0).f32() + from * s.ld_q + head * s.d;
  const float* k = op.tensor(1).f32() + from * s.ld_k + g * s.d;
  const float* v = op.tensor(2).f32() + from * s.ld_v + g * s.dv;
  float *y = op.tensor(4).f32() + from * s.ld_y + head * s.dv, *lse = op.tensor(5).f32() + from * s.heads + head;
  for (int64_t b = 0; b * block < n; b++) {
    int64_t rows = n - b * block < block ? n - b * block : block;
    side(s).left(k + b * block * s.ld_k, s.ld_k, rows, s.d, f.keys + b * f.keys_size);
    side(s).left_over_rows(v + b * block * s.ld_v, s.ld_v, rows, s.dv, f.values + b * f.values_size);
  }
  for (int64_t q0 = 0; q0 < n; q0 += block) {
    int64_t q1 = q0 + block < n ? q0 + block : n, count = q1 - q0, first = s.first(q0), end = s.end(q1, n);
    side(s).scaled(q + q0 * s.ld_q, s.ld_q, count, s.d, s.scale * 1.44269504f, f.queries, f.narrow);
    for (int64_t i = 0; i < block; i++) f.most[i] = -0x1p100f, f.total[i] = 0;
    for (int64_t k0 = first; k0 < end; k0 += block) {
      int64_t k1 = k0 + block < end ? k0 + block : end, b = k0 / block, packed = n - k0 < block ? n - k0 : block;
      side(s).product({f.keys + b * f.keys_size, k1 - k0, s.d, s.d}, s.narrow ? f.narrow : f.queries, count, f.scores,
                      padded(block) * columns, false);
      bend(s, f.scores, padded(block) * columns, q0, q1, k0, k1);
      soften(f, count, k1 - k0, s.dv, k0 == first);
      side(s).product_of_square({f.values + b * f.values_size, s.dv, k1 - k0, packed}, f.scores, f.weights, count, f.sums,
                                padded(s.dv) * columns, k0 > first);
    }
    for (int64_t i = 0; i < count; i++) {
      f.factor[i] = 1 / f.total[i];
      lse[(q0 + i) * s.heads] = float(log_2 * double(f.most[i]) + log_of(double(f.total[i])));
    }
    unpack(f.sums, padded(s.dv) * columns, count, s.dv, f.factor, y + q0 * s.ld_y, s.ld_y);
  }
}

/** What a thread needs for the derivative. */
struct Backward {
  int64_t keys_size, across_size, values_size;
  float *keys, *across, *values, *dkeys, *dvalues;
  float *queries, *queries_across, *back, *back_across, *dqueries;
  float *scores, *slopes, *turned, *top, *delta, *narrow;
  int64_t bytes;

  Backward(const Shape& s, uint8_t* memory) {
    Pieces pieces = {memory};
    int64_t blocks = blocks_of(s.longest);
    keys_size = left(block, s.d), across_size = left(s.d, block), values_size = left(block, s.dv);
    keys = pieces.take(blocks * keys_size), across = pieces.take(blocks * across_size);
    values = pieces.take(blocks * values_size);
    dkeys = pieces.take(blocks * panels * padded(s.d) * columns);
    dvalues = pieces.take(blocks * panels * padded(s.dv) * columns);
    narrow = pieces.take(block * even(s.d) / 2);
    queries = pieces.take(block * s.d), queries_across = pieces.take(left(s.d, block));
    back = pieces.take(block * even(s.dv)), back_across = pieces.take(left(s.dv, block));
    dqueries = pieces.take(panels * padded(s.d) * columns);
    scores = pieces.take(square), slopes = pieces.take(square), turned = pieces.take(block * block);
    top = pieces.take(block), delta = pieces.take(block);
    bytes = pieces.taken;
  }
};

/** Scores become weights, and what comes back to the weights what comes back to the scores. */
inline void slope_of(const Shape& s, const Backward& f, int64_t queries, int64_t keys) {
  constexpr float log2_e = 1.44269504f;
  V::F scale = V::set1(s.scale), one = V::set1(1.0f), zero = V::zero();
  V::F inverse = V::set1(s.softcap != 0 ? 1 / (s.softcap * log2_e) : 0);
  int64_t whole = (keys + columns - 1) / columns * columns;
  for (int64_t q = 0; q < queries; q += V::lanes) {
    int64_t start = q / columns * padded(block) * columns + q % columns;
    float *scores = f.scores + start, *slopes = f.slopes + start;
    V::F top = V::load(f.top + q), delta = V::load(f.delta + q);
    for (int64_t j = 0; j < keys; j++) {
      V::F score = V::load(scores + j * columns), weight = exp2(V::sub(score, top));
      V::F t = V::mul(V::mul(scale, weight), V::sub(V::load(slopes + j * columns), delta));
      if (s.softcap != 0) {
        V::F bent = V::mul(score, inverse);
        // What is hidden has no slope: its score is minus infinity.
        t = V::select(V::lt(zero, weight), V::mul(t, V::fnma(bent, bent, one)), zero);
      }
      V::store(scores + j * columns, weight);
      V::store(slopes + j * columns, t);
    }
    for (int64_t j = keys; j < whole; j++) V::store(scores + j * columns, zero), V::store(slopes + j * columns, zero);
  }
}

/** One head of keys of a sequence, with all heads that share it. */
inline void attend_grad(const Op& op, const Shape& s, const Backward& f, const Sequence& sequence, int64_t g) {
  const int64_t from = sequence.from, n = sequence.rows, size = padded(block) * columns;
  const int64_t size_d = padded(s.d) * columns, size_dv = padded(s.dv) * columns;
  const float* k = op.tensor(1).f32() + from * s.ld_k + g * s.d;
  const float* v = op.tensor(2).f32() + from * s.ld_v + g * s.dv;
  for (int64_t b = 0; b * block < n; b++) {
    int64_t rows = n - b * block < block ? n - b * block : block;
    side(s).left(k + b * block * s.ld_k, s.ld_k, rows, s.d, f.keys + b * f.keys_size);
    side(s).left_over_rows(k + b * block * s.ld_k, s.ld_k, rows, s.d, f.across + b * f.across_size);
    side(s).left(v + b * block * s.ld_v, s.ld_v, rows, s.dv, f.values + b * f.values_size);
  }
  __builtin_memset(f.dkeys, 0, size_t(blocks_of(n) * panels * size_d) * 4);
  __builtin_memset(f.dvalues, 0, size_t(blocks_of(n) * panels * size_dv) * 4);
  for (int64_t head = g * s.group; head < (g + 1) * s.group; head++) {
    const float* q = op.tensor(0).f32() + from * s.ld_q + head * s.d;
    const float *y = op.tensor(4).f32() + from * s.ld_y + head * s.dv, *lse = op.tensor(5).f32() + from * s.heads + head;
    const float* dy = op.tensor(6).f32() + from * s.ld_y + head * s.dv;
    float* dq = op.tensor(7).f32() + from * s.ld_q + head * s.d;
    for (int64_t q0 = 0; q0 < n; q0 += block) {
      int64_t q1 = q0 + block < n ? q0 + block : n, count = q1 - q0, first = s.first(q0), end = s.end(q1, n);
      side(s).scaled(q + q0 * s.ld_q, s.ld_q, count, s.d, s.scale * 1.44269504f, f.queries, f.narrow);
      side(s).left_over_rows(q + q0 * s.ld_q, s.ld_q, count, s.d, f.queries_across);
      side(s).right(dy + q0 * s.ld_y, s.ld_y, count, s.dv, f.back);
      side(s).left_over_rows(dy + q0 * s.ld_y, s.ld_y, count, s.dv, f.back_across);
      for (int64_t i = 0; i < block; i++) {
        const float *a = dy + (q0 + i) * s.ld_y, *b = y + (q0 + i) * s.ld_y;
        f.delta[i] = i < count ? sum_row(s.dv, [&](auto load, int64_t j) { return V::mul(load(a + j), load(b + j)); }) : 0;
        // Missing queries have no weight.
        f.top[i] = i < count ? float(double(lse[(q0 + i) * s.heads]) / log_2) : 0x1p100f;
      }
      for (int64_t k0 = first; k0 < end; k0 += block) {
        int64_t k1 = k0 + block < end ? k0 + block : end, keys = k1 - k0, b = k0 / block;
        int64_t packed = n - k0 < block ? n - k0 : block;
        side(s).product({f.keys + b * f.keys_size, keys, s.d, s.d}, s.narrow ? f.narrow : f.queries, count, f.scores, size,
                        false);
        side(s).product({f.values + b * f.values_size, keys, s.dv, s.dv}, f.back, count, f.slopes, size, false);
        bend(s, f.scores, size, q0, q1, k0, k1);
        slope_of(s, f, count, keys);
        side(s).product_of_square({f.across + b * f.across_size, s.d, keys, packed}, f.slopes, f.turned, count, f.dqueries,
                                  size_d, k0 > first);
        side(s).product_of_turned({f.queries_across, s.d, count, count}, f.slopes, f.turned, keys,
                                  f.dkeys + b * panels * size_d, size_d);
        side(s).product_of_turned({f.back_across, s.dv, count, count}, f.scores, f.turned, keys,
                                  f.dvalues + b * panels * size_dv, size_dv);
      }
      unpack(f.dqueries, size_d, count, s.d, nullptr, dq + q0 * s.ld_q, s.ld_q);
    }
  }
  float* dk = op.tensor(8).f32() + from * s.ld_k + g * s.d;
  float* dv = op.tensor(9).f32() + from * s.ld_v + g * s.dv;
  unpack(f.dkeys, size_d, n, s.d, nullptr, dk, s.ld_k);
  unpack(f.dvalues, size_dv, n, s.dv, nullptr, dv, s.ld_v);
}

}  // namespace fovea::FOVEA_ISA::within

namespace fovea::FOVEA_ISA {

inline int64_t attend_within_scratch(const Op& op, int threads) {
  return threads * within::Forward(within::Shape(op), nullptr).bytes;
}

inline void attend_within(const Op& op, const Work& work) {
  within::Shape s(op);
  Tensor offsets = op.tensor(3);
  int64_t bytes = within::Forward(s, nullptr).bytes;
  within::Forward memory(s, work.scratch + work.thread * bytes);
  within::Tiles tiles(s);
  int64_t units = (offsets.d[0] - 1) * s.heads;
  for (int64_t i = work.take(); i < units; i = work.take())
    within::attend(op, s, memory, {offsets, i / s.heads, op.tensor(0).d[0], s.longest}, i % s.heads);
}

inline int64_t attend_within_grad_scratch(const Op& op, int threads) {
  return threads * within::Backward(within::Shape(op), nullptr).bytes;
}

inline void attend_within_grad(const Op& op, const Work& work) {
  within::Shape s(op);
  Tensor offsets = op.tensor(3);
  int64_t bytes = within::Backward(s, nullptr).bytes, kv_heads = s.heads / s.group;
  within::Backward memory(s, work.scratch + work.thread * bytes);
  within::Tiles tiles(s);
  int64_t units = (offsets.d[0] - 1) * kv_heads;
  for (int64_t i = work.take(); i < units; i = work.take())
    within::attend_grad(op, s, memory, {offsets, i / kv_heads, op.tensor(0).d[0], s.longest}, i % kv_heads);
}

}  // namespace fovea::FOVEA_ISA
