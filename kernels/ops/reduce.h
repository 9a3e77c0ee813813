// Sums over rows, over columns, and over the rows that share an index; their equations are in src/ops/reduce.ts.
#pragma once
#include "norm.h"

namespace fovea::FOVEA_ISA {

/** Elements that are summed by themselves, by whichever thread; the sums of these parts are joined in order. */
constexpr int64_t sum_part = 8192;

/** Scratch memory of `sum_parts`. */
inline int64_t sum_parts_scratch(int64_t n) { return (n + sum_part - 1) / sum_part * int64_t(sizeof(float)); }

/** start + the sum of f(load, j) over n elements; what it returns counts on thread 0 alone. */
template <class Fn> inline float sum_parts(const Work& work, int64_t n, float start, Fn f) {
  int64_t parts = (n + sum_part - 1) / sum_part, begin, end;
  float* sums = reinterpret_cast<float*>(work.scratch);
  work.share(parts, 1, begin, end);
  for (int64_t i = begin; i < end; i++) {
    int64_t from = i * sum_part, count = n - from < sum_part ? n - from : sum_part;
    sums[i] = sum_row(count, [&](auto load, int64_t j) { return f(load, from + j); });
  }
  work.barrier();
  double sum = start;
  if (work.thread == 0)
    for (int64_t i = 0; i < parts; i++) sum += double(sums[i]);
  return float(sum);
}

/** Of columns [begin, end), the sum of n rows `ld` floats apart, added to c or zeros, in order. */
inline void sum_rows(const float* x, int64_t n, int64_t ld, const float* c, float* y, int64_t begin, int64_t end) {
  each(y, begin, end, [&](auto load, int64_t j) {
    V::F s = c ? load(c + j) : V::zero();
    for (int64_t i = 0; i < n; i++) s = V::add(s, load(x + i * ld + j));
    return s;
  });
}

inline int64_t sum_scratch(const Op& op, int) {
  Tensor y = op.tensor(2);
  return y.elements() == 1 ? sum_parts_scratch(op.tensor(0).elements()) : 0;
}

inline void sum(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), c = op.tensor(1), y = op.tensor(2);
  int64_t n = x.d[0], d = x.d[1], begin, end;
  const float* start = c.data ? c.f32() : nullptr;
  if (y.elements() == 1) {
    float all = sum_parts(work, n * d, start ? *start : 0, [&](auto load, int64_t j) { return load(x.f32() + j); });
    if (work.thread == 0) *y.f32() = all;
  } else if (y.d[0] == 1 && y.d[1] == d) {
    // A line of memory for each thread at least.
    work.share(d, 16, begin, end);
    sum_rows(x.f32(), n, d, start, y.f32(), begin, end);
  } else if (y.d[1] == 1 && y.d[0] == n) {
    work.share(n, 16, begin, end);
    for (int64_t i = begin; i < end; i++) {
      float row = sum_row(d, [&](auto load, int64_t j) { return load(x.f32() + i * d + j); });
      y.f32()[i] = start ? start[i] + row : row;
    }
  } else {
    each_shared(work, y.f32(), n * d, [&](auto load, int64_t j) {
      V::F one = load(x.f32() + j);
      return start ? V::add(load(start + j), one) : one;
    });
  }
}

/** Each thread has columns of its own, so that rows are added in order. */
inline void scatter_add(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), index = op.tensor(1), c = op.tensor(2), y = op.tensor(3);
  int64_t m = y.d[0], d = y.d[1], begin, end;
  work.share(d, 16, begin, end);
  if (begin >= end) return;
  size_t bytes = size_t(end - begin) * 4;
  if (c.data != y.data || !c.data)
    for (int64_t r = 0; r < m; r++) {
      float* to = y.f32() + r * d + begin;
      if (c.data) __builtin_memcpy(to, c.f32() + r * d + begin, bytes);
      else __builtin_memset(to, 0, bytes);
    }
  for (int64_t i = 0; i < x.d[0]; i++) {
    uint64_t row = uint64_t(int64_t(index.i32()[i]));
    if (row >= uint64_t(m)) continue;
    float* to = y.f32() + int64_t(row) * d;
    const float* from = x.f32() + i * d;
    each(to, begin, end, [&](auto load, int64_t j) { return V::add(load(to + j), load(from + j)); });
  }
}

}  // namespace fovea::FOVEA_ISA
