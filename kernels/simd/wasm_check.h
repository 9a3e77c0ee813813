// Whether the relaxed instructions compute here what the kernels assume of them. The standard leaves engines a
// choice of results; within the bounds that the kernels keep to, all choices but that of rounding agree.
#pragma once
#include "simd.h"

namespace fovea::FOVEA_ISA {

#if defined(FOVEA_ISA_WASM_RELAXED)

/** Read through volatile, so that no compiler works a result out beforehand. */
inline V::F opaque(float x) {
  volatile float at = x;
  return V::set1(at);
}

/** Whether all lanes have exactly these bits. */
inline bool all_are(V::F a, float x) { return wasm_i32x4_all_true(wasm_i32x4_eq(a, V::set1(x))); }

/** Multiply-adds round once, or else twice; which of both is the same for all. */
inline bool check_fma() {
  struct Case {
    float a, b, c, once, twice;
  };
  const float inf = __builtin_inff();
  const Case cases[] = {
      {1 + 0x1p-12f, 1 + 0x1p-12f, -(1 + 0x1p-11f), 0x1p-24f, 0},
      {1 - 0x1p-12f, 1 + 0x1p-12f, -1, -0x1p-24f, 0},
      {0x1p127f, 2, -0x1p127f, 0x1p127f, inf},
      {0x1p-75f, 0x1p-75f, 0x1p-149f, 0x1p-148f, 0x1p-149f},
      {3, -7, 0.5f, -20.5f, -20.5f},
      {0x1.8p-149f, 1, 0, 0x1p-148f, 0x1p-148f},
      {inf, 2, 1, inf, inf},
  };
  int once = 0, twice = 0, count = 0;
  for (const Case& c : cases) {
    V::F a = opaque(c.a), b = opaque(c.b), add = opaque(c.c);
    V::F y = V::fma(a, b, add), z = V::fnma(V::neg(a), b, add);
    once += all_are(y, c.once) && all_are(z, c.once);
    twice += all_are(y, c.twice) && all_are(z, c.twice);
    count++;
  }
  V::F none = V::fma(opaque(inf), opaque(0), opaque(1));
  return (once == count || twice == count) && !wasm_v128_any_true(V::eq(none, none));
}

/** Signed bytes times 0 to 127, four products added to a 32-bit number. */
inline bool check_dot() {
  const int8_t firsts[] = {-128, -127, -1, 0, 1, 127}, seconds[] = {0, 1, 63, 126, 127};
  uint32_t state = 1;
  auto random = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
  for (int trial = 0; trial < 200; trial++) {
    alignas(16) int8_t a[16], b[16];
    alignas(16) int32_t c[4], wanted[4];
    for (int i = 0; i < 16; i++) {
      // The corners alone and among themselves, then anything.
      a[i] = trial < 30 ? firsts[trial / 5] : trial < 100 ? firsts[random() % 6] : int8_t(random());
      b[i] = trial < 30 ? seconds[trial % 5] : trial < 100 ? seconds[random() % 5] : int8_t(random() & 127);
    }
    for (int i = 0; i < 4; i++) {
      c[i] = trial < 30 ? 0 : int32_t(random() << 15) - (1 << 30);
      wanted[i] = c[i];
      for (int j = 0; j < 4; j++) wanted[i] += a[4 * i + j] * b[4 * i + j];
    }
    v128_t y = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_load(a), wasm_v128_load(b), wasm_v128_load(c));
    if (!wasm_i32x4_all_true(wasm_i32x4_eq(y, wasm_v128_load(wanted)))) return false;
  }
  return true;
}

/** Lanes chosen by masks that are all ones or all zeros; whole numbers out of floats that are whole. */
inline bool check_rest() {
  V::F x = V::load((const float[]){-2147483648.0f, 2147483520.0f, -7, 8});
  V::F mask = V::lt(x, opaque(0));
  V::F chosen = V::select(mask, opaque(1), opaque(2));
  bool right = wasm_i32x4_all_true(wasm_i32x4_eq(chosen, V::load((const float[]){1, 2, 1, 2})));
  V::I whole = V::to_int(wasm_v128_xor(x, opaque(0)));
  return right && wasm_i32x4_all_true(wasm_i32x4_eq(whole, wasm_i32x4_make(-2147483647 - 1, 2147483520, -7, 8)));
}

/** 0 when all is as assumed, else the checks that failed: 1 multiply-add, 2 dot product, 4 the rest. */
inline int faults() { return !check_fma() + 2 * !check_dot() + 4 * !check_rest(); }

#else

/** The plain instructions leave no choice. */
inline int faults() { return 0; }

#endif

}  // namespace fovea::FOVEA_ISA
