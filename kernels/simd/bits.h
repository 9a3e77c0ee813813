// Number formats by bits, one value at a time: for scalar code, and for instruction sets without conversions.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace fovea::FOVEA_ISA {

inline float float_of(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

inline uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}

template <class T> inline T load_as(const void* p) {
  T x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

/** IEEE binary16 to f32, exact. Exponent and mantissa move down by 112 in one exact product. */
inline float float_of_f16(uint16_t h) {
  uint32_t rest = h & 0x7fffu;
  uint32_t bits = bits_of(float_of(rest << 13) * 0x1p112f);
  if (rest >= 0x7c00u) bits |= 0x7f800000u;
  return float_of(bits | (uint32_t(h & 0x8000u) << 16));
}

inline float float_of_bf16(uint16_t b) { return float_of(uint32_t(b) << 16); }

/** f32 to bf16, to nearest, ties to even; a NaN becomes quiet. */
inline uint16_t bf16_of(float x) {
  uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t(bits >> 16 | 0x40u);
  return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/** f32 to IEEE binary16, to nearest, ties to even. */
inline uint16_t f16_of(float x) {
  uint32_t bits = bits_of(x), a = bits & 0x7fffffffu;
  uint32_t sign = (bits ^ a) >> 16;
  if (a >= 0x47800000u) return uint16_t(sign | (a > 0x7f800000u ? 0x7e00u | ((a >> 13) & 0x3ffu) : 0x7c00u));
  // Below 2^-14 the last place of 0.5f is that of a subnormal half: the sum does the rounding.
  if (a < 0x38800000u) return uint16_t(sign | (bits_of(float_of(a) + 0.5f) - 0x3f000000u));
  uint32_t r = a - 0x38000000u;
  return uint16_t(sign | ((r + 0xfffu + ((r >> 13) & 1u)) >> 13));
}

}  // namespace fovea::FOVEA_ISA
