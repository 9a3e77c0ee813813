// How the number formats lie in panels, and how a group of 32 weights becomes vectors. One struct for each
// format; every kernel is a template over them. Knows no activations and no rows.
//
// A matrix [m, k] in panels is ceil(m / 16) panels of 16 output rows, missing rows being zeros. In a panel k
// runs slowest, so that one vector holds a piece of all 16 rows and no sum ever runs across a vector. The
// layout is the same for every instruction set: what AVX-512 loads as one vector, NEON loads as four.
//
//   float formats    for each k: 16 values
//   integer formats  codes in quads: 4 consecutive k of one row in 4 bytes, 16 rows in 64 bytes
//
//                byte 0    4         60
//                     | row 0 | row 1 | ... | row 15 |        each row: k, k+1, k+2, k+3
//
// A group of 32 k has 8 quads. Four bits: quads t and t + 4 share bytes, t in the low half: 4 vectors of 64
// bytes, which is how GGUF blocks pair their elements. Further bits lie in planes behind them: the fifth bit
// of quad t in bit t, the fifth and sixth of quad t in bits 2(t mod 4) of plane t / 4. Eight bits: 8 vectors.
#pragma once
#include "../commands.h"
#include "../simd/simd.h"

namespace fovea::FOVEA_ISA {

constexpr int panel_rows = 16;
/** A new name with every change of what panels hold: files of packed weights are known by it. */
constexpr const char* panel_layout = "panels16-1";
/** Weights (and activations) that are summed as integers before they meet their scales. */
constexpr int group = 32;
/** Vectors of f32 or i32 across a panel. */
constexpr int across = panel_rows / V::lanes;

/** Part `v` of the 64 bytes at p. */
inline V::B part(const uint8_t* p, int v) { return V::bload(p + v * 4 * V::lanes); }
/** Part `v` of the 16 f16 at p. */
inline V::F halves(const uint8_t* p, int v) {
  return V::load_f16(reinterpret_cast<const uint16_t*>(p) + v * V::lanes);
}

// Codes. `code<t>(p, v)` is quad t of the rows of part v, from the codes of a group at p.

struct Codes4 {
  static constexpr int bytes = 256;
  template <int t> static V::B code(const uint8_t* p, int v) {
    V::B b = part(p + 64 * (t % 4), v);
    return V::band(t < 4 ? b : V::bshr<4>(b), V::bset1(15));
  }
  static V::Acc dot(V::Acc a, V::B w, V::X x) { return V::dot(a, w, x); }
};

struct Codes5 {
  static constexpr int bytes = 256 + 64;
  template <int t> static V::B code(const uint8_t* p, int v) {
    V::B b = part(p + 256, v);
    V::B fifth = t < 4 ? V::bshl<t < 4 ? 4 - t : 0>(b) : V::bshr<t < 4 ? 0 : t - 4>(b);
    return V::bor(Codes4::code<t>(p, v), V::band(fifth, V::bset1(16)));
  }
  static V::Acc dot(V::Acc a, V::B w, V::X x) { return V::dot(a, w, x); }
};

struct Codes6 {
  static constexpr int bytes = 256 + 128;
  template <int t> static V::B code(const uint8_t* p, int v) {
    constexpr int u = 2 * (t % 4);
    V::B b = part(p + 256 + 64 * (t / 4), v);
    V::B high = u < 4 ? V::bshl<u < 4 ? 4 - u : 0>(b) : V::bshr<u < 4 ? 0 : u - 4>(b);
    return V::bor(Codes4::code<t>(p, v), V::band(high, V::bset1(48)));
  }
  static V::Acc dot(V::Acc a, V::B w, V::X x) { return V::dot(a, w, x); }
};

struct Codes8 {
  static constexpr int bytes = 512;
  template <int t> static V::B code(const uint8_t* p, int v) { return part(p + 64 * t, v); }
  static V::Acc dot(V::Acc a, V::B w, V::X x) { return V::dot_s8(a, w, x); }
};

// `bytes(k)` is the size of a panel, a multiple of 64; `gaps(k)` says whether some of it holds nothing.
//
// Integer formats. An object is one group of a panel: weight = scale(run of k) * (code - zero) + min. A run of
// `run` k shares a scale. `dot_zero` is what the product of Codes takes for zero: the starting sum makes up
// for it.

/** f16 scale for each group: [16 f16 | 16 f16][codes][codes] for two groups, so that codes begin at a line. */
template <class C, int code_zero> struct Scaled {
  using Codes = C;
  static constexpr bool integer = true, has_min = false;
  static constexpr int run = 32, zero = code_zero;
  static constexpr int block = 32;
  static constexpr int64_t bytes(int64_t k) { return (k / group + 1) / 2 * 64 + k / group * C::bytes; }
  static constexpr bool gaps(int64_t k) { return k / group % 2 != 0; }

  const uint8_t *scales, *codes;
  Scaled(const uint8_t* panel, int64_t g) {
    const uint8_t* two = panel + g / 2 * (64 + 2 * C::bytes);
    scales = two + g % 2 * 32;
    codes = two + 64 + g % 2 * C::bytes;
  }
  V::F scale(int, int v) const { return halves(scales, v); }
  V::F min(int) const { return V::zero(); }
};

/** f16 scale and minimum for each group: [16 f16 | 16 f16][codes]. */
template <class C> struct Affine {
  using Codes = C;
  static constexpr bool integer = true, has_min = true;
  static constexpr int run = 32, zero = 0;
  static constexpr int block = 32;
  static constexpr int64_t bytes(int64_t k) { return k / group * (64 + C::bytes); }
  static constexpr bool gaps(int64_t) { return false; }

  const uint8_t *scales, *codes;
  Affine(const uint8_t* panel, int64_t g) : scales(panel + g * (64 + C::bytes)), codes(scales + 64) {}
  V::F scale(int, int v) const { return halves(scales, v); }
  V::F min(int v) const { return halves(scales + 32, v); }
};

/** 256 k: f16 scale of the scales and of the minimums, a byte of each for every group, codes of 8 groups. */
template <class C> struct SuperAffine {
  using Codes = C;
  static constexpr bool integer = true, has_min = true;
  static constexpr int run = 32, zero = 0;
  static constexpr int block = 256;
  static constexpr int size = 64 + 128 + 128 + 8 * C::bytes;
  static constexpr int64_t bytes(int64_t k) { return k / 256 * size; }
  static constexpr bool gaps(int64_t) { return false; }

  const uint8_t *super, *small, *codes;
  SuperAffine(const uint8_t* panel, int64_t g)
      : super(panel + g / 8 * size), small(super + 64 + g % 8 * 16), codes(super + 320 + g % 8 * C::bytes) {}
  V::F scale(int, int v) const { return V::mul(halves(super, v), V::load_u8(small + v * V::lanes)); }
  V::F min(int v) const {
    return V::neg(V::mul(halves(super + 32, v), V::load_u8(small + 128 + v * V::lanes)));
  }
};

/** 256 k: [16 f16 | 32 unused], a signed byte of scale for every 16 k, codes of 8 groups. */
template <class C, int code_zero> struct SuperScaled {
  using Codes = C;
  static constexpr bool integer = true, has_min = false;
  static constexpr int run = 16, zero = code_zero;
  static constexpr int block = 256;
  static constexpr int size = 64 + 256 + 8 * C::bytes;
  static constexpr int64_t bytes(int64_t k) { return k / 256 * size; }
  static constexpr bool gaps(int64_t) { return true; }

  const uint8_t *super, *small, *codes;
  SuperScaled(const uint8_t* panel, int64_t g)
      : super(panel + g / 8 * size), small(super + 64 + g % 8 * 32), codes(super + 320 + g % 8 * C::bytes) {}
  V::F scale(int r, int v) const {
    return V::mul(halves(super, v), V::load_s8(small + 16 * r + v * V::lanes));
  }
  V::F min(int) const { return V::zero(); }
};

using Q8_0 = Scaled<Codes8, 0>;
using Q4_0 = Scaled<Codes4, 8>;
using Q5_0 = Scaled<Codes5, 16>;
using Q4_1 = Affine<Codes4>;
using Q5_1 = Affine<Codes5>;
using Q4_K = SuperAffine<Codes4>;
using Q5_K = SuperAffine<Codes5>;
using Q6_K = SuperScaled<Codes6, 32>;

/**
 * One f32 scale for each row: [16 f32][codes], k filled up with zeros to whole tiles of AMX. Sums of products are
 * integers over all of k, and meet their scales once.
 */
struct I8_row {
  using Codes = Codes8;
  static constexpr bool integer = true, has_min = false;
  static constexpr int zero = 0;
  static constexpr int block = 1, run = 64;
  static constexpr int64_t padded(int64_t k) { return (k + run - 1) / run * run; }
  static constexpr int64_t bytes(int64_t k) { return 64 + padded(k) * panel_rows; }
  static constexpr bool gaps(int64_t k) { return k % run != 0; }
  static const uint8_t* codes(const uint8_t* panel) { return panel + 64; }
  static V::F scale(const uint8_t* panel, int v) {
    return V::load(reinterpret_cast<const float*>(panel) + v * V::lanes);
  }
};

/** Whether a row is one block: then a sum runs over all of k before it meets a scale. */
template <class Fmt> constexpr bool rowwise = false;
template <> inline constexpr bool rowwise<I8_row> = true;

/** k as activations have it. */
template <class Fmt> constexpr int64_t padded(int64_t k) {
  if constexpr (rowwise<Fmt>) return Fmt::padded(k);
  else return k;
}

/** Code that counts as zero in a sum of products: the format's own, and the bias of signed products. */
template <class Fmt> constexpr int dot_zero = Fmt::Codes::bytes == Codes8::bytes ? V::s8_bias : Fmt::zero;

// Float formats: `weights(panel, k, v)` is column k of the rows of part v.

struct F32 {
  static constexpr bool integer = false;
  static constexpr int block = 1, width = 4;
  static constexpr int64_t bytes(int64_t k) { return k * 64; }
  static constexpr bool gaps(int64_t) { return false; }
  static V::F weights(const uint8_t* panel, int64_t k, int v) {
    return V::load(reinterpret_cast<const float*>(panel) + k * panel_rows + v * V::lanes);
  }
};

struct F16 {
  static constexpr bool integer = false;
  static constexpr int block = 1, width = 2;
  static constexpr int64_t bytes(int64_t k) { return (k + 1) / 2 * 64; }
  static constexpr bool gaps(int64_t k) { return k % 2 != 0; }
  static V::F weights(const uint8_t* panel, int64_t k, int v) { return halves(panel + k * 32, v); }
};

struct BF16 {
  static constexpr bool integer = false;
  static constexpr int block = 1, width = 2;
  static constexpr int64_t bytes(int64_t k) { return (k + 1) / 2 * 64; }
  static constexpr bool gaps(int64_t k) { return k % 2 != 0; }
  static V::F weights(const uint8_t* panel, int64_t k, int v) {
    return V::load_bf16(reinterpret_cast<const uint16_t*>(panel) + k * panel_rows + v * V::lanes);
  }
};

template <class Fmt> constexpr bool is_bf16 = false;
template <> inline constexpr bool is_bf16<BF16> = true;

template <class T> struct Type {
  using type = T;
};

/** fn(Type<format>{}) for the format of that name; nothing for i32, which is no format. */
template <class Fn> inline void with_format(DType dtype, const Fn& fn) {
  switch (dtype) {
    case DType::f32: return fn(Type<F32>{});
    case DType::f16: return fn(Type<F16>{});
    case DType::bf16: return fn(Type<BF16>{});
    case DType::q8_0: return fn(Type<Q8_0>{});
    case DType::q4_0: return fn(Type<Q4_0>{});
    case DType::q4_1: return fn(Type<Q4_1>{});
    case DType::q5_0: return fn(Type<Q5_0>{});
    case DType::q5_1: return fn(Type<Q5_1>{});
    case DType::q4_K: return fn(Type<Q4_K>{});
    case DType::q5_K: return fn(Type<Q5_K>{});
    case DType::q6_K: return fn(Type<Q6_K>{});
    case DType::i8_row: return fn(Type<I8_row>{});
    case DType::i32: return;
  }
}

inline int64_t panels_of(int64_t m) { return (m + panel_rows - 1) / panel_rows; }

/** Bytes of an [m, k] matrix in panels; 0 when k is no whole number of blocks. */
inline int64_t panel_bytes(DType dtype, int64_t m, int64_t k) {
  int64_t bytes = 0;
  with_format(dtype, [&](auto type) {
    using Fmt = typename decltype(type)::type;
    if (m >= 0 && k >= 0 && k % Fmt::block == 0) bytes = panels_of(m) * Fmt::bytes(k);
  });
  return bytes;
}

}  // namespace fovea::FOVEA_ISA
