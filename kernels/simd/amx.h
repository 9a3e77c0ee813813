// Tiles of AMX: eight registers of up to 16 rows of 64 bytes, and products of them in 8-bit integers or bf16. Knows the
// instructions and the shapes of tiles that the products use; compiled where FOVEA_ISA_AMX is defined.
//
// The tiles of a thread are configured by `begin`, and given back by `end`: while they are in use the system
// must keep 8 KB more of the thread at every switch.
#pragma once
#include <stdint.h>

namespace fovea::FOVEA_ISA::amx {

/** Tokens in a tile, and outputs: the rows and the 32-bit columns of a result. */
constexpr int side = 16;

struct alignas(64) Config {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

/**
 * Registers 0 to 3 hold results [16, 16] of i32; 4 and 5 activations [16, k] and 6 and 7 weights [k / 4, 16, 4]
 * of 8 bits, for k up to 64.
 */
inline void begin(int k) {
  Config c;
  for (int i = 0; i < 4; i++) c.row_bytes[i] = 64, c.rows[i] = side;
  for (int i = 4; i < 6; i++) c.row_bytes[i] = uint16_t(k), c.rows[i] = side;
  for (int i = 6; i < 8; i++) c.row_bytes[i] = 64, c.rows[i] = uint8_t(k / 4);
  __asm__ volatile("ldtilecfg %0" ::"m"(c));
}

inline void end() { __asm__ volatile("tilerelease"); }

// The compiler's own intrinsics do not say which memory they read and write; these do.

/** A tile of `bytes` bytes in all, rows `stride` bytes apart. */
template <int tile, int bytes> inline void load(const void* p, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(tile),
                   "m"(*static_cast<const uint8_t(*)[bytes]>(p)));
}

template <int tile> inline void store(int32_t* p) {
  __asm__ volatile("tilestored %%tmm%c3, (%1,%2,1)"
                   : "=m"(*reinterpret_cast<int32_t(*)[side * side]>(p))
                   : "r"(p), "r"(int64_t(4 * side)), "i"(tile));
}

template <int tile> inline void zero() { __asm__ volatile("tilezero %%tmm%c0" ::"i"(tile)); }

/** to += activations · weights, signed bytes both. */
template <int to, int activations, int weights> inline void dot() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(to), "i"(activations), "i"(weights));
}

/** Sixteen rows of 64 bytes, `stride` bytes apart. */
template <int tile> inline void load_rows(const void* p, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(tile) : "memory");
}

template <int tile> inline void store_rows(void* p, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(tile) : "memory");
}

/** to [16, 16] of f32 += a [16, 32] · b [16 pairs of k, 16, 2], bf16 both; denormals count as zeros. */
template <int to, int a, int b> inline void dot_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(to), "i"(a), "i"(b));
}

}  // namespace fovea::FOVEA_ISA::amx
