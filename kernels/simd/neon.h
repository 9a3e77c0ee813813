// NEON on aarch64: 4 lanes; byte products by the dot-product extension where the compiler may use it.
#pragma once
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "bits.h"

namespace fovea::FOVEA_ISA {

struct V {
  static constexpr int lanes = 4;
  using F = float32x4_t;
  using I = int32x4_t;
  using M = uint32x4_t;
  using B = uint8x16_t;

  static F zero() { return vdupq_n_f32(0); }
  static F set1(float x) { return vdupq_n_f32(x); }
  static F load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, F a) { vst1q_f32(p, a); }
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

  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }
  static F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static F abs(F a) { return vabsq_f32(a); }
  static F neg(F a) { return vnegq_f32(a); }
  static F sqrt(F a) { return vsqrtq_f32(a); }
  static F floor(F a) { return vrndmq_f32(a); }
  static F round(F a) { return vrndnq_f32(a); }

  static M lt(F a, F b) { return vcltq_f32(a, b); }
  static M le(F a, F b) { return vcleq_f32(a, b); }
  static M eq(F a, F b) { return vceqq_f32(a, b); }
  static bool any(M m) { return vmaxvq_u32(m) != 0; }
  static F select(M m, F yes, F no) { return vbslq_f32(m, yes, no); }

  static float reduce_add(F a) {
    float32x2_t h = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
  }
  static float reduce_max(F a) {
    F b = max(a, vextq_f32(a, a, 2));
    float x = vgetq_lane_f32(b, 0), y = vgetq_lane_f32(b, 1);
    return x > y ? x : y;
  }

  static I izero() { return vdupq_n_s32(0); }
  static I iset1(int32_t x) { return vdupq_n_s32(x); }
  static I iload(const int32_t* p) { return vld1q_s32(p); }
  static void istore(int32_t* p, I a) { vst1q_s32(p, a); }
  static I iadd(I a, I b) { return vaddq_s32(a, b); }
  static I isub(I a, I b) { return vsubq_s32(a, b); }
  static I imul(I a, I b) { return vmulq_s32(a, b); }
  static I to_int(F a) { return vcvtnq_s32_f32(a); }
  static F to_float(I a) { return vcvtq_f32_s32(a); }
  static I bits(F a) { return vreinterpretq_s32_f32(a); }
  static F from_bits(I a) { return vreinterpretq_f32_s32(a); }
  /** a * 2^n for whole n in [-252, 252], in two steps so that neither power overflows. */
  static F scale2(F a, F n) {
    I whole = to_int(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    I p = vshlq_n_s32(vaddq_s32(half, bias), 23);
    I q = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
    return mul(mul(a, from_bits(p)), from_bits(q));
  }

  static F load_f16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static F load_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
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
  static void store_f16(uint16_t* p, F a) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a))); }
  static void store_f16_tail(uint16_t* p, F a, int n) {
    uint16_t whole[4];
    store_f16(whole, a);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
  /** As the nearest bf16, ties to even, still in f32. */
  static F to_bf16(F a) {
    uint32x4_t u = vreinterpretq_u32_f32(a), last = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t r = vaddq_u32(u, vaddq_u32(last, vdupq_n_u32(0x7fff)));
    r = vbslq_u32(vceqq_f32(a, a), r, vorrq_u32(u, vdupq_n_u32(0x400000)));
    return vreinterpretq_f32_u32(vandq_u32(r, vdupq_n_u32(0xffff0000u)));
  }
  static void store_bf16(uint16_t* p, F a) { vst1_u16(p, vshrn_n_u32(vreinterpretq_u32_f32(to_bf16(a)), 16)); }
  static void store_bf16_tail(uint16_t* p, F a, int n) {
    uint16_t whole[4];
    store_bf16(whole, a);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
  static F load_u8(const uint8_t* p) {
    uint8x8_t b = vreinterpret_u8_u32(vdup_n_u32(load_as<uint32_t>(p)));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(b))));
  }
  static F load_s8(const uint8_t* p) {
    int8x8_t b = vreinterpret_s8_u32(vdup_n_u32(load_as<uint32_t>(p)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(b))));
  }

  using Act = int8_t;
  using X = int8x16_t;
  static constexpr int s8_bias = 0;
  static B bload(const uint8_t* p) { return vld1q_u8(p); }
  static B bset1(int x) { return vdupq_n_u8(uint8_t(x)); }
  static B band(B a, B b) { return vandq_u8(a, b); }
  static B bor(B a, B b) { return vorrq_u8(a, b); }
  template <int n> static B bshl(B a) { return vshlq_n_u8(a, n); }
  template <int n> static B bshr(B a) { return vshrq_n_u8(a, n); }
  static void store_act(Act* p, I a) {
    int16x4_t h = vqmovn_s32(a);
    int32_t four = vget_lane_s32(vreinterpret_s32_s8(vqmovn_s16(vcombine_s16(h, h))), 0);
    __builtin_memcpy(p, &four, 4);
  }
  static X quad(const Act* p) { return vreinterpretq_s8_s32(vdupq_n_s32(load_as<int32_t>(p))); }

#if defined(__ARM_FEATURE_DOTPROD)
  using Acc = int32x4_t;
  static Acc acc(int32_t start) { return vdupq_n_s32(start); }
  static Acc dot(Acc a, B w, X x) { return vdotq_s32(a, vreinterpretq_s8_u8(w), x); }
  static I sum(Acc a) { return a; }
#else
  /** Sums of neighbouring pairs: of the first two lanes, of the last two. */
  struct Acc {
    int32x4_t low, high;
  };
  static Acc acc(int32_t start) { return {vsetq_lane_s32(start, vsetq_lane_s32(start, izero(), 0), 2),
                                          vsetq_lane_s32(start, vsetq_lane_s32(start, izero(), 0), 2)}; }
  static Acc dot(Acc a, B w, X x) {
    int8x16_t s = vreinterpretq_s8_u8(w);
    return {vpadalq_s16(a.low, vmull_s8(vget_low_s8(s), vget_low_s8(x))),
            vpadalq_s16(a.high, vmull_high_s8(s, x))};
  }
  static I sum(Acc a) { return vpaddq_s32(a.low, a.high); }
#endif
  static Acc dot_s8(Acc a, B w, X x) { return dot(a, w, x); }

  static void prefetch(const void* p) { __builtin_prefetch(p); }
  /** Into the second cache. */
  static void prefetch_far(const void* p) { __builtin_prefetch(p); }
};

}  // namespace fovea::FOVEA_ISA
