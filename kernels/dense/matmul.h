// The op matmul: y = op(a) · op(b) + c for matrices that are both activations; the equation is in
// src/ops/matmul.ts.
#pragma once
#include "amx.h"
#include "product.h"

namespace fovea::FOVEA_ISA {

/** Multiplications below which one thread is faster than two that must meet. */
constexpr int64_t small_matmul = 1 << 15;

inline Dense product_of_matmul(const Op& op) {
  Tensor a = op.tensor(0), b = op.tensor(1), c = op.tensor(2), y = op.tensor(3);
  const bool across_a = op.number(0) != 0, across_b = op.number(1) != 0, rounded = op.number(2) != 0;
  auto operand = [rounded](const Tensor& t, bool deep) -> Operand {
    return {t.data, t.dtype, deep, t.d[2], t.d[0] == 1 ? 0 : t.d[1] * t.d[2], 0, rounded};
  };
  Dense p = {};
  p.a = operand(a, !across_a);
  p.batch = y.d[0], p.n = y.d[1], p.k = a.d[across_a ? 1 : 2];
  p.side[0] = {operand(b, across_b), y.d[2], c.data ? c.f32() : nullptr, nullptr, y.f32()};
  p.sides = p.together = 1;
  // One matrix b for all of the batch: the rows of all are the rows of one product.
  if (p.side[0].b.batch == 0 && p.a.deep && p.batch > 1) p.n *= p.batch, p.batch = 1;
  return p;
}

/** The op: tensors a, b, c or absent, y; numbers: whether a and b are transposed, and whether rounded to bf16. */
inline void matmul(const Op& op, const Work& shared) {
#if defined(FOVEA_ISA_AMX)
  if (op.number(2) != 0) return narrow::matmul(op, shared);
#endif
  Dense p = product_of_matmul(op);
  const int64_t m = p.side[0].m;
  if (p.batch == 0 || p.n == 0 || m == 0) return;
  Work work = shared;
  const bool alone = double(p.batch) * double(p.n) * double(m) * double(p.k) < small_matmul;
  if (alone) {
    if (work.thread != 0) return;
    work.threads = 1;
  }
  multiply_dense(p, work, [](int64_t, int64_t, int64_t, int64_t) {});
}

inline int64_t matmul_scratch(const Op& op, int threads) {
#if defined(FOVEA_ISA_AMX)
  if (op.number(2) != 0) return narrow::Product(op).scratch(threads);
#endif
  return product_of_matmul(op).scratch(threads);
}

}  // namespace fovea::FOVEA_ISA
