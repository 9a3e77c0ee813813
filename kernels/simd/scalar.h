// Any machine: 4 lanes in the compiler's own vectors, which become what the machine has (SSE2 on every x86-64),
// or plain code where it has none.
#pragma once
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "bits.h"

namespace fovea::FOVEA_ISA {

struct V {
  static constexpr int lanes = 4;
  typedef float F __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));
  /** All bits of a lane are set, or none. */
  using M = I;
  typedef uint8_t B __attribute__((vector_size(16)));
  typedef int16_t Pairs __attribute__((vector_size(16)));
  typedef uint16_t Halves __attribute__((vector_size(16)));
  typedef uint32_t Unsigned __attribute__((vector_size(16)));

  static F zero() { return F{}; }
  static F set1(float x) { return F{x, x, x, x}; }
  static F load(const float* p) { return load_as<F>(p); }
  static void store(float* p, F a) { __builtin_memcpy(p, &a, sizeof a); }
  static F load_tail(const float* p, int n) {
    F r = {};
    for (int i = 0; i < n; i++) r[i] = p[i];
    return r;
  }
  static void store_tail(float* p, F a, int n) {
    for (int i = 0; i < n; i++) p[i] = a[i];
  }

  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  static F fnma(F a, F b, F c) { return c - a * b; }
  static F min(F a, F b) { return select(a < b, a, b); }
  static F max(F a, F b) { return select(a > b, a, b); }
  static F abs(F a) { return from_bits(bits(a) & 0x7fffffff); }
  static F neg(F a) { return from_bits(bits(a) ^ INT32_MIN); }
  static F sqrt(F a) {
    return F{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
  }
  /** What is not below 2^23, NaN too, is whole already; the sign of zero stays. */
  static F whole(F a, F rounded) { return select(abs(a) < set1(0x1p23f), with_sign(abs(rounded), a), a); }
  static F with_sign(F size, F sign) { return from_bits(bits(size) | (bits(sign) & INT32_MIN)); }
  static F floor(F a) {
    F t = to_float(truncate(a));
    return whole(a, select(t > a, t - 1.0f, t));
  }
  /** Adding and taking off 2^23 rounds to nearest even whatever is not whole already. */
  static F round(F a) {
    F big = with_sign(set1(0x1p23f), a);
    return whole(a, (a + big) - big);
  }

  static M lt(F a, F b) { return a < b; }
  static M le(F a, F b) { return a <= b; }
  static M eq(F a, F b) { return a == b; }
  static bool any(M m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
  static F select(M m, F yes, F no) { return from_bits((bits(yes) & m) | (bits(no) & ~m)); }

  static float reduce_add(F a) { return (a[0] + a[2]) + (a[1] + a[3]); }
  static float reduce_max(F a) {
    float x = a[0] > a[2] ? a[0] : a[2], y = a[1] > a[3] ? a[1] : a[3];
    return x > y ? x : y;
  }

  static I izero() { return I{}; }
  static I iset1(int32_t x) { return I{x, x, x, x}; }
  static I iload(const int32_t* p) { return load_as<I>(p); }
  static void istore(int32_t* p, I a) { __builtin_memcpy(p, &a, sizeof a); }
  // Unsigned, since these wrap.
  static I iadd(I a, I b) { return I(Unsigned(a) + Unsigned(b)); }
  static I isub(I a, I b) { return I(Unsigned(a) - Unsigned(b)); }
  static I imul(I a, I b) { return I(Unsigned(a) * Unsigned(b)); }
  static I to_int(F a) { return truncate(round(a)); }
  static F to_float(I a) { return __builtin_convertvector(a, F); }
  /** Towards zero; 0 for what no integer holds. */
  static I truncate(F a) {
    return __builtin_convertvector(from_bits(bits(a) & (abs(a) < set1(0x1p31f))), I);
  }
  static I bits(F a) { return I(a); }
  static F from_bits(I a) { return F(a); }
  /** a * 2^n for whole n in [-252, 252], in two steps so that neither power overflows. */
  static F scale2(F a, F n) {
    I whole = to_int(n), half = whole >> 1;
    return a * from_bits((half + 127) << 23) * from_bits((whole - half + 127) << 23);
  }

  static I halves(const uint16_t* p) {
#if defined(__SSE2__)
    return I(_mm_unpacklo_epi16(_mm_loadl_epi64((const __m128i*)p), _mm_setzero_si128()));
#else
    return I{p[0], p[1], p[2], p[3]};
#endif
  }
  /** As float_of_f16, four at a time. */
  static F floats_of_f16(I h) {
    I rest = h & 0x7fff;
    I value = bits(from_bits(rest << 13) * set1(0x1p112f));
    I special = (rest > 0x7bff) & 0x7f800000;
    return from_bits(value | special | ((h ^ rest) << 16));
  }
  static F load_f16(const uint16_t* p) { return floats_of_f16(halves(p)); }
  static F load_bf16(const uint16_t* p) { return from_bits(halves(p) << 16); }
  static F load_f16_tail(const uint16_t* p, int n) {
    F r = {};
    for (int i = 0; i < n; i++) r[i] = float_of_f16(p[i]);
    return r;
  }
  static F load_bf16_tail(const uint16_t* p, int n) {
    F r = {};
    for (int i = 0; i < n; i++) r[i] = float_of_bf16(p[i]);
    return r;
  }
  static void store_f16(uint16_t* p, F a) { store_f16_tail(p, a, 4); }
  static void store_f16_tail(uint16_t* p, F a, int n) {
    for (int i = 0; i < n; i++) p[i] = f16_of(a[i]);
  }
  /** As the nearest bf16, ties to even, still in f32. */
  static F to_bf16(F a) {
    I u = bits(a);
    I r = I(Unsigned(u) + Unsigned(((u >> 16) & 1) + 0x7fff));
    return from_bits(bits(select(a == a, from_bits(r), from_bits(u | 0x400000))) & int32_t(0xffff0000));
  }
  static void store_bf16(uint16_t* p, F a) { store_bf16_tail(p, a, 4); }
  static void store_bf16_tail(uint16_t* p, F a, int n) {
    for (int i = 0; i < n; i++) p[i] = bf16_of(a[i]);
  }
  static F load_u8(const uint8_t* p) { return to_float(I{p[0], p[1], p[2], p[3]}); }
  static F load_s8(const uint8_t* p) {
    return to_float(I{int8_t(p[0]), int8_t(p[1]), int8_t(p[2]), int8_t(p[3])});
  }

  /** Activations keep 16 bits, a quad in the order 0, 2, 1, 3: as bytes of a weight come apart. */
  using Act = int16_t;
  struct X {
    Pairs even, odd;
  };
  using Acc = I;
  static constexpr int s8_bias = 0;
  static B bload(const uint8_t* p) { return load_as<B>(p); }
  static B bset1(int x) { return B{} + uint8_t(x); }
  static B band(B a, B b) { return a & b; }
  static B bor(B a, B b) { return a | b; }
  /** Shifts of 16-bit pairs: mask away what crosses from one byte to the other. */
  template <int n> static B bshl(B a) { return B(Halves(a) << n); }
  template <int n> static B bshr(B a) { return B(Halves(a) >> n); }
  static void store_act(Act* p, I a) {
    for (int i = 0; i < 4; i++) {
      int32_t x = a[i / 2 + i % 2 * 2];
      p[i] = int16_t(x < -128 ? -128 : x > 127 ? 127 : x);
    }
  }
  static X quad(const Act* p) { return {Pairs(iset1(load_as<int32_t>(p))), Pairs(iset1(load_as<int32_t>(p + 2)))}; }
  static Acc acc(int32_t start) { return iset1(start); }
  static Acc dot(Acc a, B w, X x) { return dot_s8(a, w, x); }
  static Acc dot_s8(Acc a, B w, X x) {
    // Even and odd bytes with their signs.
    Pairs even = Pairs(Halves(w) << 8) >> 8, odd = Pairs(w) >> 8;
#if defined(__SSE2__)
    return a + I(_mm_madd_epi16(__m128i(even), __m128i(x.even))) + I(_mm_madd_epi16(__m128i(odd), __m128i(x.odd)));
#else
    // Fits 16 bits: 2 * 128 * 127 < 2^15.
    I pairs = I(even * x.even + odd * x.odd);
    return a + (I(Unsigned(pairs) << 16) >> 16) + (pairs >> 16);
#endif
  }
  static I sum(Acc a) { return a; }

  static void prefetch(const void* p) { __builtin_prefetch(p); }
  /** Into the second cache. */
  static void prefetch_far(const void* p) { __builtin_prefetch(p); }
};

}  // namespace fovea::FOVEA_ISA
