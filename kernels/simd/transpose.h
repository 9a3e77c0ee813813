// A square of V::lanes by V::lanes floats, transposed in registers. Beside V because only attention needs it.
#pragma once
#include "simd.h"

namespace fovea::FOVEA_ISA {

/** In place: lane c of v[r] changes place with lane r of v[c]. */
inline void transpose(V::F (&v)[V::lanes]) {
#if defined(FOVEA_AVX512)
  // Squares of 4 by 4 within each quarter of four rows, then the quarters in two rounds.
  __m512 t[16];
  FOVEA_UNROLL(4)
  for (int i = 0; i < 16; i += 4) {
    __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
    __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
    __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(v[i + 2], v[i + 3]));
    __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(v[i + 2], v[i + 3]));
    t[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    t[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    t[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    t[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
  FOVEA_UNROLL(4)
  for (int i = 0; i < 4; i++) {
    __m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
    __m512 c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
    v[i] = _mm512_shuffle_f32x4(a, c, 0x88);
    v[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
    v[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    v[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
#elif defined(FOVEA_AVX2)
  __m256 t[8];
  FOVEA_UNROLL(2)
  for (int i = 0; i < 8; i += 4) {
    __m256 a = _mm256_unpacklo_ps(v[i], v[i + 1]), b = _mm256_unpackhi_ps(v[i], v[i + 1]);
    __m256 c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
    t[i] = _mm256_shuffle_ps(a, c, 0x44);
    t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  FOVEA_UNROLL(4)
  for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
  }
#elif defined(__ARM_NEON)
  float32x4x2_t a = vtrnq_f32(v[0], v[1]), b = vtrnq_f32(v[2], v[3]);
  v[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  v[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  v[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  v[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
#elif defined(__wasm_simd128__)
  v128_t a = wasm_i32x4_shuffle(v[0], v[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(v[2], v[3], 0, 4, 1, 5);
  v128_t c = wasm_i32x4_shuffle(v[0], v[1], 2, 6, 3, 7), d = wasm_i32x4_shuffle(v[2], v[3], 2, 6, 3, 7);
  v[0] = wasm_i32x4_shuffle(a, b, 0, 1, 4, 5);
  v[1] = wasm_i32x4_shuffle(a, b, 2, 3, 6, 7);
  v[2] = wasm_i32x4_shuffle(c, d, 0, 1, 4, 5);
  v[3] = wasm_i32x4_shuffle(c, d, 2, 3, 6, 7);
#else
  float s[V::lanes][V::lanes], t[V::lanes][V::lanes];
  for (int r = 0; r < V::lanes; r++) V::store(s[r], v[r]);
  for (int r = 0; r < V::lanes; r++)
    for (int c = 0; c < V::lanes; c++) t[r][c] = s[c][r];
  for (int r = 0; r < V::lanes; r++) v[r] = V::load(t[r]);
#endif
}

}  // namespace fovea::FOVEA_ISA
