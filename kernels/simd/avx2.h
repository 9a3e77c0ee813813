// AVX2 with FMA and F16C: 8 lanes; byte products by AVX-VNNI where the compiler may use it.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "bits.h"

/** For code beside V that needs these instructions. */
#define FOVEA_AVX2

namespace fovea::FOVEA_ISA {

struct V {
  static constexpr int lanes = 8;
  using F = __m256;
  using I = __m256i;
  using M = __m256;
  using B = __m256i;

  static I first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static F load_tail(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store_tail(float* p, F a, int n) { _mm256_maskstore_ps(p, first(n), a); }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F neg(F a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
  static F sqrt(F a) { return _mm256_sqrt_ps(a); }
  static F floor(F a) { return _mm256_floor_ps(a); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static M lt(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static M le(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  static M eq(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static bool any(M m) { return _mm256_movemask_ps(m) != 0; }
  static F select(M m, F yes, F no) { return _mm256_blendv_ps(no, yes, m); }

  static float reduce_add(F a) {
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
  }
  static float reduce_max(F a) {
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
  }

  static I izero() { return _mm256_setzero_si256(); }
  static I iset1(int32_t x) { return _mm256_set1_epi32(x); }
  static I iload(const int32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  static void istore(int32_t* p, I a) { _mm256_storeu_si256((__m256i*)p, a); }
  static I iadd(I a, I b) { return _mm256_add_epi32(a, b); }
  static I isub(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I imul(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static I to_int(F a) { return _mm256_cvtps_epi32(a); }
  static F to_float(I a) { return _mm256_cvtepi32_ps(a); }
  static I bits(F a) { return _mm256_castps_si256(a); }
  static F from_bits(I a) { return _mm256_castsi256_ps(a); }
  /** a * 2^n for whole n in [-252, 252], in two steps so that neither power overflows. */
  static F scale2(F a, F n) {
    I whole = to_int(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    I p = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    I q = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return mul(mul(a, from_bits(p)), from_bits(q));
  }

  static F load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
  static F load_bf16(const uint16_t* p) {
    return from_bits(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
  }
  static F load_f16_tail(const uint16_t* p, int n) {
    uint16_t whole[8] = {};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return load_f16(whole);
  }
  static F load_bf16_tail(const uint16_t* p, int n) {
    uint16_t whole[8] = {};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return load_bf16(whole);
  }
  static void store_f16(uint16_t* p, F a) {
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_f16_tail(uint16_t* p, F a, int n) {
    uint16_t whole[8];
    store_f16(whole, a);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
  /** As the nearest bf16, ties to even, still in f32. */
  static F to_bf16(F a) {
    I u = bits(a), last = _mm256_and_si256(_mm256_srli_epi32(u, 16), iset1(1));
    I r = _mm256_add_epi32(u, _mm256_add_epi32(last, iset1(0x7fff)));
    F quiet = from_bits(_mm256_or_si256(u, iset1(0x400000)));
    F rounded = select(_mm256_cmp_ps(a, a, _CMP_UNORD_Q), quiet, from_bits(r));
    return _mm256_and_ps(rounded, from_bits(iset1(int32_t(0xffff0000))));
  }
  static void store_bf16(uint16_t* p, F a) {
    I upper = _mm256_srli_epi32(bits(to_bf16(a)), 16);
    __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
    _mm_storeu_si128((__m128i*)p, h);
  }
  static void store_bf16_tail(uint16_t* p, F a, int n) {
    uint16_t whole[8];
    store_bf16(whole, a);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
  static F load_u8(const uint8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
  }
  static F load_s8(const uint8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
  }

  using Act = int8_t;
  using X = __m256i;
  using Acc = __m256i;
  static B bload(const uint8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  static B bset1(int x) { return _mm256_set1_epi8(char(x)); }
  static B band(B a, B b) { return _mm256_and_si256(a, b); }
  static B bor(B a, B b) { return _mm256_or_si256(a, b); }
  /** Shifts of 16-bit pairs: mask away what crosses from one byte to the other. */
  template <int n> static B bshl(B a) { return _mm256_slli_epi16(a, n); }
  template <int n> static B bshr(B a) { return _mm256_srli_epi16(a, n); }
  static void store_act(Act* p, I a) {
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i*)p, _mm_packs_epi16(h, h));
  }
  static X quad(const Act* p) { return _mm256_set1_epi32(load_as<int32_t>(p)); }
  static Acc acc(int32_t start) { return _mm256_set1_epi32(start); }
#if defined(__AVXVNNI__)
  static constexpr int s8_bias = 128;
  static Acc dot(Acc a, B w, X x) { return _mm256_dpbusd_avx_epi32(a, w, x); }
  static Acc dot_s8(Acc a, B w, X x) { return dot(a, _mm256_xor_si256(w, bset1(-128)), x); }
#else
  static constexpr int s8_bias = 0;
  /** Pairs of products fit 16 bits: 2 * 127 * 127 < 2^15. */
  static Acc dot(Acc a, B w, X x) {
    return _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
  }
  /** The sign moves from the weight to the activation; 2 * 128 * 127 < 2^15. */
  static Acc dot_s8(Acc a, B w, X x) { return dot(a, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w)); }
#endif
  static I sum(Acc a) { return a; }

  static void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T0); }
  /** Into the second cache. */
  static void prefetch_far(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T1); }
};

}  // namespace fovea::FOVEA_ISA
