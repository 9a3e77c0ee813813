// What attention within a batch is given: sizes, sequences, and which keys a query sees.
#pragma once
#include "../ops/elementwise.h"
#include "sizes.h"

namespace fovea::FOVEA_ISA::within {

/** Whether there are products of bf16. */
#if defined(FOVEA_ISA_AMX)
constexpr bool has_narrow = true;
#else
constexpr bool has_narrow = false;
#endif

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

}  // namespace fovea::FOVEA_ISA::within
