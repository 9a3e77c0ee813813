// Blocks of a matrix as the tiles read them: k slowest, `width` values side by side, f32. The matrix lies in
// memory with either its k or its other dimension contiguous, or in panels; knows no products.
#pragma once
#include "../linear/formats.h"
#include "../simd/transpose.h"

namespace fovea::FOVEA_ISA {

struct FromF32 {
  using Element = float;
  static V::F load(const float* p) { return V::load(p); }
  static V::F load_tail(const float* p, int n) { return V::load_tail(p, n); }
};

struct FromF16 {
  using Element = uint16_t;
  static V::F load(const uint16_t* p) { return V::load_f16(p); }
  static V::F load_tail(const uint16_t* p, int n) { return V::load_f16_tail(p, n); }
};

struct FromBF16 {
  using Element = uint16_t;
  static V::F load(const uint16_t* p) { return V::load_bf16(p); }
  static V::F load_tail(const uint16_t* p, int n) { return V::load_bf16_tail(p, n); }
};

/** f32 that is rounded to bf16 on the way. */
struct FromRounded {
  using Element = float;
  static V::F load(const float* p) { return V::to_bf16(V::load(p)); }
  static V::F load_tail(const float* p, int n) { return V::to_bf16(V::load_tail(p, n)); }
};

/** The `v`-th vector of `count` values at p; zeros for those that are missing. */
template <class From> inline V::F vector_of(const typename From::Element* p, int v, int64_t count) {
  int64_t n = count - v * V::lanes;
  if (n <= 0) return V::zero();
  return n >= V::lanes ? From::load(p + v * V::lanes) : From::load_tail(p + v * V::lanes, int(n));
}

/** Blocks of `width` values (whole vectors) by `count` k each, `size` floats apart; each takes `height` values. */
struct Blocks {
  float* to;
  int64_t size;
  int width, height;
};

/** `count` k with `values` values side by side in memory, `ld` elements apart. What is missing becomes zeros. */
template <class From>
inline void pack_lines(const typename From::Element* src, int64_t ld, int64_t count, int64_t values, Blocks blocks) {
  for (int64_t k = 0; k < count; k++, src += ld, blocks.to += blocks.width) {
    float* to = blocks.to;
    for (int64_t i = 0; i < values; i += blocks.height, to += blocks.size) {
      int64_t real = values - i < blocks.height ? values - i : blocks.height;
      // Rows lie too far apart for the machine to foresee them.
      V::prefetch(src + ld + i);
      for (int v = 0; v * V::lanes < blocks.width; v++) V::store(to + v * V::lanes, vector_of<From>(src + i, v, real));
    }
  }
}

/** `values` rows, `ld` elements apart, of `count` k side by side: squares change their order in registers. */
template <class From>
inline void pack_across(const typename From::Element* src, int64_t ld, int64_t count, int64_t values, Blocks blocks) {
  for (int64_t i = 0; i < values; i += blocks.height, blocks.to += blocks.size, src += blocks.height * ld) {
    int64_t real = values - i < blocks.height ? values - i : blocks.height;
    for (int64_t k = 0; k < count; k += V::lanes) {
      float* to = blocks.to + k * blocks.width;
      int64_t left = count - k;
      for (int v = 0; v * V::lanes < blocks.width; v++) {
        V::F square[V::lanes];
        for (int r = 0; r < V::lanes; r++) {
          int64_t row = v * V::lanes + r;
          const auto* from = src + row * ld + k;
          square[r] = row < real ? vector_of<From>(from, 0, left) : V::zero();
          V::prefetch(from + blocks.height * ld);
        }
        transpose(square);
        for (int r = 0; r < V::lanes && r < left; r++) V::store(to + r * blocks.width + v * V::lanes, square[r]);
      }
    }
  }
}

/** One operand of a product. */
struct Operand {
  const uint8_t* data;
  DType dtype;
  /** Whether k is the contiguous dimension. */
  bool deep;
  /** Elements between rows in memory, and between the matrices of a batch. */
  int64_t ld, batch;
  /** Bytes of a panel; 0 when the matrix lies in rows. Panels are as those of weights in linear/formats.h. */
  int64_t panel = 0;
  /** Whether f32 is to be rounded to bf16. */
  bool rounded = false;

  int64_t width() const { return dtype == DType::f32 ? 4 : 2; }
  /** Of a matrix, the element at k and at `other` in the other dimension. */
  const uint8_t* at(int64_t matrix, int64_t k, int64_t other) const {
    if (panel) return data + other / panel_rows * panel + (k * panel_rows + other % panel_rows) * width();
    return data + (matrix * batch + (deep ? other * ld + k : k * ld + other)) * width();
  }
  /** Packs `count` k from k0 on, of `values` rows (or columns) from `other` on. */
  void pack(int64_t matrix, int64_t k0, int64_t count, int64_t other, int64_t values, const Blocks& blocks) const {
    auto pack_as = [&](auto from) {
      using From = decltype(from);
      auto* src = reinterpret_cast<const typename From::Element*>(at(matrix, k0, other));
      if (panel) widen<From>(k0, count, other, values, blocks);
      else if (deep) pack_across<From>(src, ld, count, values, blocks);
      else pack_lines<From>(src, ld, count, values, blocks);
    };
    if (dtype == DType::f32 && rounded) pack_as(FromRounded{});
    else if (dtype == DType::f32) pack_as(FromF32{});
    else if (dtype == DType::f16) pack_as(FromF16{});
    else pack_as(FromBF16{});
  }

 private:
  /** The same out of panels, vector by vector. */
  template <class From>
  void widen(int64_t k0, int64_t count, int64_t other, int64_t values, const Blocks& blocks) const {
    for (int64_t i = 0; i < values; i += V::lanes) {
      auto* src = reinterpret_cast<const typename From::Element*>(at(0, k0, other + i));
      float* to = blocks.to + i / blocks.width * blocks.size + i % blocks.width;
      for (int64_t k = 0; k < count; k++) V::store(to + k * blocks.width, From::load(src + k * panel_rows));
    }
  }
};

}  // namespace fovea::FOVEA_ISA
