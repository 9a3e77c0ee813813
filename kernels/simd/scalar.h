// Plain C++ for any machine: 4 lanes in arrays, which compilers turn into what the machine has.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "bits.h"

namespace fovea::FOVEA_ISA {

struct V {
  static constexpr int lanes = 4;
  struct F {
    float v[4];
  };
  struct I {
    int32_t v[4];
  };
  struct M {
    bool v[4];
  };
  struct B {
    uint8_t v[16];
  };

  template <class T, class Fn> static T each(Fn fn) {
    T r;
    for (int i = 0; i < 4; i++) r.v[i] = fn(i);
    return r;
  }

  static F zero() { return {}; }
  static F set1(float x) { return {{x, x, x, x}}; }
  static F load(const float* p) { return load_as<F>(p); }
  static void store(float* p, F a) { __builtin_memcpy(p, a.v, sizeof a.v); }
  static F load_tail(const float* p, int n) {
    F r = {};
    for (int i = 0; i < n; i++) r.v[i] = p[i];
    return r;
  }
  static void store_tail(float* p, F a, int n) {
    for (int i = 0; i < n; i++) p[i] = a.v[i];
  }

  static F add(F a, F b) { return each<F>([&](int i) { return a.v[i] + b.v[i]; }); }
  static F sub(F a, F b) { return each<F>([&](int i) { return a.v[i] - b.v[i]; }); }
  static F mul(F a, F b) { return each<F>([&](int i) { return a.v[i] * b.v[i]; }); }
  static F div(F a, F b) { return each<F>([&](int i) { return a.v[i] / b.v[i]; }); }
  static F fma(F a, F b, F c) { return add(mul(a, b), c); }
  static F fnma(F a, F b, F c) { return sub(c, mul(a, b)); }
  static F min(F a, F b) { return each<F>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; }); }
  static F max(F a, F b) { return each<F>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; }); }
  static F abs(F a) { return each<F>([&](int i) { return __builtin_fabsf(a.v[i]); }); }
  static F neg(F a) { return each<F>([&](int i) { return -a.v[i]; }); }
  static F sqrt(F a) { return each<F>([&](int i) { return __builtin_sqrtf(a.v[i]); }); }
  static F floor(F a) { return each<F>([&](int i) { return __builtin_floorf(a.v[i]); }); }
  /** Adding and taking off 1.5 * 2^23 rounds to nearest even whatever is not whole already. */
  static F round(F a) {
    return each<F>([&](int i) {
      float x = a.v[i], big = __builtin_copysignf(0x1p23f, x);
      return __builtin_fabsf(x) < 0x1p23f ? __builtin_copysignf((x + big) - big, x) : x;
    });
  }

  static M lt(F a, F b) { return each<M>([&](int i) { return a.v[i] < b.v[i]; }); }
  static M le(F a, F b) { return each<M>([&](int i) { return a.v[i] <= b.v[i]; }); }
  static M eq(F a, F b) { return each<M>([&](int i) { return a.v[i] == b.v[i]; }); }
  static bool any(M m) { return m.v[0] || m.v[1] || m.v[2] || m.v[3]; }
  static F select(M m, F yes, F no) { return each<F>([&](int i) { return m.v[i] ? yes.v[i] : no.v[i]; }); }

  static float reduce_add(F a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
  static float reduce_max(F a) {
    float x = a.v[0] > a.v[2] ? a.v[0] : a.v[2], y = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
    return x > y ? x : y;
  }

  static I izero() { return {}; }
  static I iset1(int32_t x) { return {{x, x, x, x}}; }
  static I iload(const int32_t* p) { return load_as<I>(p); }
  static void istore(int32_t* p, I a) { __builtin_memcpy(p, a.v, sizeof a.v); }
  static I iadd(I a, I b) {
    return each<I>([&](int i) { return int32_t(uint32_t(a.v[i]) + uint32_t(b.v[i])); });
  }
  static I isub(I a, I b) {
    return each<I>([&](int i) { return int32_t(uint32_t(a.v[i]) - uint32_t(b.v[i])); });
  }
  static I imul(I a, I b) {
    return each<I>([&](int i) { return int32_t(uint32_t(a.v[i]) * uint32_t(b.v[i])); });
  }
  static I to_int(F a) {
    F r = round(a);
    return each<I>([&](int i) { return __builtin_fabsf(r.v[i]) < 0x1p31f ? int32_t(r.v[i]) : INT32_MIN; });
  }
  static F to_float(I a) { return each<F>([&](int i) { return float(a.v[i]); }); }
  static I bits(F a) { return load_as<I>(&a); }
  static F from_bits(I a) { return load_as<F>(&a); }
  /** a * 2^n for whole n in [-252, 252], in two steps so that neither power overflows. */
  static F scale2(F a, F n) {
    I whole = to_int(n);
    return each<F>([&](int i) {
      uint32_t n1 = uint32_t(whole.v[i] >> 1), n2 = uint32_t(whole.v[i]) - n1;
      return a.v[i] * float_of((n1 + 127u) << 23) * float_of((n2 + 127u) << 23);
    });
  }

  static F load_f16(const uint16_t* p) { return load_f16_tail(p, 4); }
  static F load_bf16(const uint16_t* p) { return load_bf16_tail(p, 4); }
  static F load_f16_tail(const uint16_t* p, int n) {
    F r = {};
    for (int i = 0; i < n; i++) r.v[i] = float_of_f16(p[i]);
    return r;
  }
  static F load_bf16_tail(const uint16_t* p, int n) {
    F r = {};
    for (int i = 0; i < n; i++) r.v[i] = float_of_bf16(p[i]);
    return r;
  }
  static void store_f16(uint16_t* p, F a) { store_f16_tail(p, a, 4); }
  static void store_f16_tail(uint16_t* p, F a, int n) {
    for (int i = 0; i < n; i++) p[i] = f16_of(a.v[i]);
  }
  static F load_u8(const uint8_t* p) { return each<F>([&](int i) { return float(p[i]); }); }
  static F load_s8(const uint8_t* p) { return each<F>([&](int i) { return float(int8_t(p[i])); }); }

  using Act = int8_t;
  struct X {
    int8_t v[4];
  };
  using Acc = I;
  static constexpr int s8_bias = 0;
  template <class Fn> static B each_byte(Fn fn) {
    B r;
    for (int i = 0; i < 16; i++) r.v[i] = uint8_t(fn(i));
    return r;
  }
  static B bload(const uint8_t* p) { return load_as<B>(p); }
  static B bset1(int x) { return each_byte([&](int) { return x; }); }
  static B band(B a, B b) { return each_byte([&](int i) { return a.v[i] & b.v[i]; }); }
  static B bor(B a, B b) { return each_byte([&](int i) { return a.v[i] | b.v[i]; }); }
  template <int n> static B bshl(B a) { return each_byte([&](int i) { return a.v[i] << n; }); }
  template <int n> static B bshr(B a) { return each_byte([&](int i) { return a.v[i] >> n; }); }
  static void store_act(Act* p, I a) {
    for (int i = 0; i < 4; i++) p[i] = int8_t(a.v[i] < -128 ? -128 : a.v[i] > 127 ? 127 : a.v[i]);
  }
  static X quad(const Act* p) { return load_as<X>(p); }
  static Acc acc(int32_t start) { return iset1(start); }
  static Acc dot(Acc a, B w, X x) { return dot_s8(a, w, x); }
  static Acc dot_s8(Acc a, B w, X x) {
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++) a.v[i] += int8_t(w.v[4 * i + j]) * x.v[j];
    return a;
  }
  static I sum(Acc a) { return a; }

  static void prefetch(const void*) {}
};

}  // namespace fovea::FOVEA_ISA
