// WebAssembly SIMD-128: 4 lanes. Compiled twice: as it is everywhere (no fused multiply-add, products of small
// integers in 16 bits), and with its relaxed operations, whose results the host has checked (wasm.cpp).
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

#include "bits.h"

/** As in simd.h. */
#define FOVEA_FLAT __attribute__((always_inline))

namespace fovea::FOVEA_ISA {

struct V {
  static constexpr int lanes = 4;
  using F = v128_t;
  using I = v128_t;
  using M = v128_t;
  using B = v128_t;

  static F zero() { return wasm_f32x4_const_splat(0); }
  static F set1(float x) { return wasm_f32x4_splat(x); }
  static F load(const float* p) { return wasm_v128_load(p); }
  static void store(float* p, F a) { wasm_v128_store(p, a); }
  static F load_tail(const float* p, int n) {
    float whole[4] = {};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return load(whole);
  }
  static void store_tail(float* p, F a, int n) {
    float whole[4];
    store(whole, a);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }

  static F add(F a, F b) { return wasm_f32x4_add(a, b); }
  static F sub(F a, F b) { return wasm_f32x4_sub(a, b); }
  static F mul(F a, F b) { return wasm_f32x4_mul(a, b); }
  static F div(F a, F b) { return wasm_f32x4_div(a, b); }
#if defined(FOVEA_ISA_WASM_RELAXED)
  static F fma(F a, F b, F c) { return wasm_f32x4_relaxed_madd(a, b, c); }
  static F fnma(F a, F b, F c) { return wasm_f32x4_relaxed_nmadd(a, b, c); }
#else
  static F fma(F a, F b, F c) { return add(mul(a, b), c); }
  static F fnma(F a, F b, F c) { return sub(c, mul(a, b)); }
#endif
  static F min(F a, F b) { return wasm_f32x4_pmin(b, a); }
  static F max(F a, F b) { return wasm_f32x4_pmax(b, a); }
  static F abs(F a) { return wasm_f32x4_abs(a); }
  static F neg(F a) { return wasm_f32x4_neg(a); }
  static F sqrt(F a) { return wasm_f32x4_sqrt(a); }
  static F floor(F a) { return wasm_f32x4_floor(a); }
  static F round(F a) { return wasm_f32x4_nearest(a); }

  static M lt(F a, F b) { return wasm_f32x4_lt(a, b); }
  static M le(F a, F b) { return wasm_f32x4_le(a, b); }
  static M eq(F a, F b) { return wasm_f32x4_eq(a, b); }
  static bool any(M m) { return wasm_v128_any_true(m); }
#if defined(FOVEA_ISA_WASM_RELAXED)
  static F select(M m, F yes, F no) { return wasm_i32x4_relaxed_laneselect(yes, no, m); }
#else
  static F select(M m, F yes, F no) { return wasm_v128_bitselect(yes, no, m); }
#endif

  static float reduce_add(F a) {
    F h = add(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(h, 0) + wasm_f32x4_extract_lane(h, 1);
  }
  static float reduce_max(F a) {
    F h = max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    float x = wasm_f32x4_extract_lane(h, 0), y = wasm_f32x4_extract_lane(h, 1);
    return x > y ? x : y;
  }

  static I izero() { return wasm_i32x4_const_splat(0); }
  static I iset1(int32_t x) { return wasm_i32x4_splat(x); }
  static I iload(const int32_t* p) { return wasm_v128_load(p); }
  static void istore(int32_t* p, I a) { wasm_v128_store(p, a); }
  static I iadd(I a, I b) { return wasm_i32x4_add(a, b); }
  static I isub(I a, I b) { return wasm_i32x4_sub(a, b); }
  static I imul(I a, I b) { return wasm_i32x4_mul(a, b); }
#if defined(FOVEA_ISA_WASM_RELAXED)
  static I to_int(F a) { return wasm_i32x4_relaxed_trunc_f32x4(wasm_f32x4_nearest(a)); }
#else
  static I to_int(F a) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(a)); }
#endif
  static F to_float(I a) { return wasm_f32x4_convert_i32x4(a); }
  static I bits(F a) { return a; }
  static F from_bits(I a) { return a; }
  /** a * 2^n for whole n in [-252, 252], in two steps so that neither power overflows. */
  static F scale2(F a, F n) {
    I whole = to_int(n), half = wasm_i32x4_shr(whole, 1), bias = wasm_i32x4_const_splat(127);
    I p = wasm_i32x4_shl(wasm_i32x4_add(half, bias), 23);
    I q = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_sub(whole, half), bias), 23);
    return mul(mul(a, p), q);
  }

  /** As float_of_f16, four at a time. */
  static F floats_of_f16(I h) {
    I rest = wasm_v128_and(h, wasm_i32x4_const_splat(0x7fff));
    F value = mul(wasm_i32x4_shl(rest, 13), wasm_f32x4_const_splat(0x1p112f));
    M beyond = wasm_i32x4_gt(rest, wasm_i32x4_const_splat(0x7bff));
    I special = wasm_v128_and(beyond, wasm_i32x4_const_splat(0x7f800000));
    I sign = wasm_i32x4_shl(wasm_v128_xor(h, rest), 16);
    return wasm_v128_or(wasm_v128_or(value, special), sign);
  }
  static F load_f16(const uint16_t* p) { return floats_of_f16(wasm_u32x4_load16x4(p)); }
  static F load_bf16(const uint16_t* p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
  static F load_f16_tail(const uint16_t* p, int n) {
    uint16_t whole[4] = {};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return load_f16(whole);
  }
  static F load_bf16_tail(const uint16_t* p, int n) {
    uint16_t whole[4] = {};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return load_bf16(whole);
  }
  static void store_f16(uint16_t* p, F a) { store_f16_tail(p, a, 4); }
  static void store_f16_tail(uint16_t* p, F a, int n) {
    float whole[4];
    store(whole, a);
    for (int i = 0; i < n; i++) p[i] = f16_of(whole[i]);
  }
  /** As the nearest bf16, ties to even, still in f32. */
  static F to_bf16(F a) {
    I last = wasm_v128_and(wasm_u32x4_shr(a, 16), wasm_i32x4_const_splat(1));
    I r = wasm_i32x4_add(a, wasm_i32x4_add(last, wasm_i32x4_const_splat(0x7fff)));
    I quiet = wasm_v128_or(a, wasm_i32x4_const_splat(0x400000));
    return wasm_v128_and(wasm_v128_bitselect(r, quiet, eq(a, a)), wasm_i32x4_const_splat(int32_t(0xffff0000)));
  }
  static void store_bf16(uint16_t* p, F a) {
    I upper = wasm_u32x4_shr(to_bf16(a), 16);
    wasm_v128_store64_lane(p, wasm_u16x8_narrow_i32x4(upper, upper), 0);
  }
  static void store_bf16_tail(uint16_t* p, F a, int n) {
    uint16_t whole[4];
    store_bf16(whole, a);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
  static F load_u8(const uint8_t* p) {
    v128_t b = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p));
    return wasm_f32x4_convert_u32x4(wasm_u32x4_extend_low_u16x8(b));
  }
  static F load_s8(const uint8_t* p) {
    v128_t b = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p));
    return wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(b));
  }

  static B bload(const uint8_t* p) { return wasm_v128_load(p); }
  static B bset1(int x) { return wasm_i8x16_splat(int8_t(x)); }
  static B band(B a, B b) { return wasm_v128_and(a, b); }
  static B bor(B a, B b) { return wasm_v128_or(a, b); }
  template <int n> static B bshl(B a) { return wasm_i16x8_shl(a, n); }
  template <int n> static B bshr(B a) { return wasm_u16x8_shr(a, n); }

#if defined(FOVEA_ISA_WASM_RELAXED)
  /**
   * The product of bytes is signed times 0 to 127; anything else differs among machines. Codes of few bits are
   * the second factor. Signed codes are the first, and the activations come in two parts, x = low - 128 * (x < 0).
   */
  using Act = int8_t;
  using X = v128_t;
  /** The sum of the low parts, and of the codes whose activation is negative. */
  struct Acc {
    v128_t low, negative;
  };
  static constexpr int s8_bias = 0;
  static void store_act(Act* p, I a) {
    v128_t h = wasm_i16x8_narrow_i32x4(a, a);
    wasm_v128_store32_lane(p, wasm_i8x16_narrow_i16x8(h, h), 0);
  }
  static X quad(const Act* p) { return wasm_v128_load32_splat(p); }
  static Acc acc(int32_t start) { return {wasm_i32x4_splat(start), izero()}; }
  static Acc dot(Acc a, B w, X x) { return {wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, w, a.low), a.negative}; }
  static Acc dot_s8(Acc a, B w, X x) {
    X low = wasm_v128_and(x, wasm_i8x16_const_splat(127));
    X sign = wasm_v128_and(wasm_u16x8_shr(x, 7), wasm_i8x16_const_splat(1));
    return {wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, low, a.low),
            wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, sign, a.negative)};
  }
  /** As dot_s8, with the codes in two parts, which is less work where many activations meet each code. */
  static Acc dot_s8_often(Acc a, B w, X x) {
    B low = wasm_v128_and(w, wasm_i8x16_const_splat(127));
    B sign = wasm_v128_and(wasm_u16x8_shr(w, 7), wasm_i8x16_const_splat(1));
    return {wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, low, a.low),
            wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, sign, a.negative)};
  }
  static I sum(Acc a) { return wasm_i32x4_sub(a.low, wasm_i32x4_shl(a.negative, 7)); }
#else
  /** Activations keep 16 bits: the only product of small integers is that of 16-bit pairs. */
  using Act = int16_t;
  using X = v128_t;
  /** Sums of neighbouring pairs: of the first two lanes, of the last two. */
  struct Acc {
    v128_t low, high;
  };
  static constexpr int s8_bias = 0;
  static void store_act(Act* p, I a) { wasm_v128_store64_lane(p, wasm_i16x8_narrow_i32x4(a, a), 0); }
  static X quad(const Act* p) { return wasm_v128_load64_splat(p); }
  static Acc acc(int32_t start) {
    v128_t s = wasm_i32x4_make(start, 0, start, 0);
    return {s, s};
  }
  static Acc dot(Acc a, B w, X x) { return dot_s8(a, w, x); }
  static Acc dot_s8(Acc a, B w, X x) {
    return {wasm_i32x4_add(a.low, wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(w), x)),
            wasm_i32x4_add(a.high, wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(w), x))};
  }
  static Acc dot_s8_often(Acc a, B w, X x) { return dot_s8(a, w, x); }
  static I sum(Acc a) {
    return wasm_i32x4_add(wasm_i32x4_shuffle(a.low, a.high, 0, 2, 4, 6),
                          wasm_i32x4_shuffle(a.low, a.high, 1, 3, 5, 7));
  }
#endif

  static void prefetch(const void*) {}
  /** Into the second cache. */
  static void prefetch_far(const void*) {}
};

/** A vector whose content the compiler does not know, or it would build the constant anew in every round. */
inline v128_t lasting(int32_t bits) {
  asm volatile("" : "+r"(bits));
  return wasm_i32x4_splat(bits);
}

/** f16 to f32, eight at a time: the upper and the lower halves of the f32 are made apart. Lives outside loops. */
struct Halves {
  v128_t exponent = lasting(0x7c007c00), kept = lasting(int32_t(0x8fff8fff)), infinite = lasting(0x7f807f80);
  /** 2^112 */
  v128_t up = lasting(0x77800000);

  FOVEA_FLAT void pair(const uint16_t* p, V::F& first, V::F& second) const {
    v128_t h = wasm_v128_load(p);
    v128_t special = wasm_i16x8_eq(wasm_v128_and(h, exponent), exponent);
    v128_t upper = wasm_v128_or(wasm_v128_and(wasm_i16x8_shr(h, 3), kept), wasm_v128_and(special, infinite));
    v128_t lower = wasm_i16x8_shl(h, 13);
    first = V::mul(wasm_i16x8_shuffle(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11), up);
    second = V::mul(wasm_i16x8_shuffle(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15), up);
  }

  /** Those of parts [v0, v0 + parts) out of the 16 at p. */
  template <int parts> FOVEA_FLAT void load(const uint8_t* p, int v0, V::F (&to)[parts]) const {
    const uint16_t* half = reinterpret_cast<const uint16_t*>(p) + 4 * v0;
    if constexpr (parts == 1) to[0] = V::load_f16(half);
    if constexpr (parts >= 2) pair(half, to[0], to[1]);
    if constexpr (parts == 4) pair(half + 8, to[2], to[3]);
  }
};

}  // namespace fovea::FOVEA_ISA
