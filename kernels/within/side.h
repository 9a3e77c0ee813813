// Products in f32 or on tiles of AMX, as the op's precision asks.
#pragma once
#include "narrow.h"
#include "shape.h"

namespace fovea::FOVEA_ISA::within {

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

}  // namespace fovea::FOVEA_ISA::within
