// The operands of attention within a batch rounded to bf16, and their products on tiles of AMX.
#pragma once
#include "../dense/amx.h"
#include "wide.h"

#if defined(FOVEA_ISA_AMX)
namespace fovea::FOVEA_ISA::within {

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

}  // namespace fovea::FOVEA_ISA::within
#endif
