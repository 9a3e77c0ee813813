// AVX-512 F, BW, VL and DQ: 16 lanes; byte products by VNNI where the compiler may use it.
#pragma once
// g++ 12 takes the deliberately undefined operands of its own intrinsics for mistakes (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#include <stddef.h>
#include <stdint.h>

#include "bits.h"

/** For code beside V that needs these instructions. */
#define FOVEA_AVX512

namespace fovea::FOVEA_ISA {

struct V {
  static constexpr int lanes = 16;
  using F = __m512;
  using I = __m512i;
  using M = __mmask16;
  using B = __m512i;

  static M first(int n) { return M((1u << n) - 1u); }

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static F load_tail(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_tail(float* p, F a, int n) { _mm512_mask_storeu_ps(p, first(n), a); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F neg(F a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
  static F sqrt(F a) { return _mm512_sqrt_ps(a); }
  static F floor(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static M lt(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static M le(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static M eq(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static bool any(M m) { return m != 0; }
  static F select(M m, F yes, F no) { return _mm512_mask_blend_ps(m, no, yes); }

  static float reduce_add(F a) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
  }
  static float reduce_max(F a) {
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
  }

  static I izero() { return _mm512_setzero_si512(); }
  static I iset1(int32_t x) { return _mm512_set1_epi32(x); }
  static I iload(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void istore(int32_t* p, I a) { _mm512_storeu_si512(p, a); }
  static I iadd(I a, I b) { return _mm512_add_epi32(a, b); }
  static I isub(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I imul(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static I to_int(F a) { return _mm512_cvtps_epi32(a); }
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  static I bits(F a) { return _mm512_castps_si512(a); }
  static F from_bits(I a) { return _mm512_castsi512_ps(a); }
  /** a * 2^n, rounded once, for whole n of any size. */
  static F scale2(F a, F n) { return _mm512_scalef_ps(a, n); }

  static F load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
  static F load_bf16(const uint16_t* p) {
    return from_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
  }
  static F load_f16_tail(const uint16_t* p, int n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
  }
  static F load_bf16_tail(const uint16_t* p, int n) {
    return from_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), p)), 16));
  }
  static void store_f16(uint16_t* p, F a) {
    _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_f16_tail(uint16_t* p, F a, int n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
  /** As the nearest bf16, ties to even, still in f32. */
  static F to_bf16(F a) {
    I u = bits(a), last = _mm512_and_si512(_mm512_srli_epi32(u, 16), iset1(1));
    I r = _mm512_add_epi32(u, _mm512_add_epi32(last, iset1(0x7fff)));
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), u, iset1(0x400000));
    return from_bits(_mm512_and_si512(r, iset1(int32_t(0xffff0000))));
  }
  static __m256i narrowed(F a) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits(to_bf16(a)), 16)); }
  static void store_bf16(uint16_t* p, F a) { _mm256_storeu_si256((__m256i*)p, narrowed(a)); }
  static void store_bf16_tail(uint16_t* p, F a, int n) { _mm256_mask_storeu_epi16(p, first(n), narrowed(a)); }
  static F load_u8(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
  }
  static F load_s8(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
  }

  using Act = int8_t;
  using Acc = __m512i;
  static B bload(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static B bset1(int x) { return _mm512_set1_epi8(char(x)); }
  static B band(B a, B b) { return _mm512_and_si512(a, b); }
  static B bor(B a, B b) { return _mm512_or_si512(a, b); }
  /** Shifts of 16-bit pairs: mask away what crosses from one byte to the other. */
  template <int n> static B bshl(B a) { return _mm512_slli_epi16(a, n); }
  template <int n> static B bshr(B a) { return _mm512_srli_epi16(a, n); }
  static void store_act(Act* p, I a) { _mm_storeu_si128((__m128i*)p, _mm512_cvtsepi32_epi8(a)); }
  static Acc acc(int32_t start) { return _mm512_set1_epi32(start); }
#if defined(__AVX512VNNI__)
  static constexpr int s8_bias = 128;
  /**
   * Where they lie: the product repeats them itself. A load for each product, which is what compilers make of it, would
   * take the places of instructions that ask memory for what comes next.
   */
  struct X {
    const Act* at;
  };
  static X quad(const Act* p) { return {p}; }
  static Acc dot(Acc a, B w, X x) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(a) : "v"(w), "m"(*reinterpret_cast<const Act(*)[4]>(x.at)));
    return a;
  }
  static Acc dot_s8(Acc a, B w, X x) { return dot(a, _mm512_xor_si512(w, bset1(-128)), x); }
#else
  static constexpr int s8_bias = 0;
  using X = __m512i;
  static X quad(const Act* p) { return _mm512_set1_epi32(load_as<int32_t>(p)); }
  /** Pairs of products fit 16 bits: 2 * 127 * 127 < 2^15. */
  static Acc dot(Acc a, B w, X x) {
    return _mm512_add_epi32(a, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
  }
  /** The sign moves from the weight to the activation; 2 * 128 * 127 < 2^15. */
  static Acc dot_s8(Acc a, B w, X x) {
    X turned = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    return dot(a, _mm512_abs_epi8(w), turned);
  }
#endif
  static I sum(Acc a) { return a; }

  static void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T0); }
  /** Into the second cache. */
  static void prefetch_far(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T1); }
  /** As its only owner: what another core has written before can be read from there at once, but not written. */
  static void prefetch_to_write(const void* p) { __asm__ volatile("prefetchw %0" ::"m"(*(const char*)p)); }
};

}  // namespace fovea::FOVEA_ISA
