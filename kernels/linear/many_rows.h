// Products of many rows with weights of a float format, as dense products: see dense/product.h. The sums are those
// of tile.h, to the bit, so how many rows are many is a matter of speed alone.
#pragma once
#include "tiles.h"
#include "../dense/product.h"
#include "../ops/norm.h"

namespace fovea::FOVEA_ISA {

/** Rows from which on packing them pays. */
constexpr int64_t many_rows = 2 * tallest;

/** Not in WebAssembly, where BERT took 366 ms this way and 249 by its own tiles. */
inline bool is_many(const Product& p) { return !wasm && !p.experts && p.share == 1 && p.n >= many_rows && p.k > 0; }

template <class Fmt> inline Dense dense_of(const Product& p) {
  Dense d = {};
  d.a = {reinterpret_cast<const uint8_t*>(p.x), DType::f32, true, p.k, 0};
  d.batch = 1, d.n = p.n, d.k = p.k;
  d.sides = p.count, d.together = p.together();
  for (int i = 0; i < p.count; i++) {
    const Matrix& from = p.matrix[i];
    const bool rows = p.in_rows();
    Operand b = {from.weight.data, p.dtype(), rows, rows ? p.k : panel_rows, 0, rows ? 0 : Fmt::bytes(p.k)};
    d.side[i] = {b, from.m, nullptr, from.bias, from.y};
  }
  return d;
}

/** What follows a product, over some rows and columns [from, to), as far as there are. */
inline void follow(const Product& p, const int32_t* rows, int count, int64_t from, int64_t to) {
  const int64_t m = p.matrix[0].m;
  if (to > m) to = m;
  auto each_element = [&](auto of) {
    for (int i = 0; i < count; i++) {
      const int64_t at = rows[i] * m;
      each(p.after->y + at, from, to, [&](auto load, int64_t j) { return of(load, at + j); });
    }
  };
  const float *a = p.matrix[0].y, *b = p.after->what == After::sum ? p.after->other : p.matrix[1].y;
  if (p.after->what == After::sum)
    return each_element([&](auto load, int64_t j) { return V::add(load(a + j), load(b + j)); });
  with_function(p.after->fn, [&](auto fn) {
    if (p.after->what == After::activation) each_element([&](auto load, int64_t j) { return fn(load(a + j)); });
    else each_element([&](auto load, int64_t j) { return V::mul(fn(load(a + j)), load(b + j)); });
  });
}

/** A product of many rows, its norm before it and what follows behind it. */
template <class Fmt> inline void multiply_many(const Product& p, const Work& work) {
  if (p.norm) {
    int64_t begin, end;
    work.share(p.n, 1, begin, end);
    for (int64_t i = begin; i < end; i++) {
      const float* row = p.norm->rows + i * p.k;
      scale_row(row, inverse_rms(row, p.k, p.norm->eps), p.norm->weight, 0, p.k, p.x + i * p.k);
    }
    work.barrier();
  }
  multiply_dense(dense_of<Fmt>(p), work, [&](int64_t row, int64_t end, int64_t j0, int64_t j1) {
    if (p.after)
      for (int32_t i = int32_t(row); i < end; i++) follow(p, &i, 1, j0, j1);
  });
}

}  // namespace fovea::FOVEA_ISA
