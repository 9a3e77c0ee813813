// The vector layer: `V`, one struct of operations for the instruction set that this translation unit is
// compiled for. Knows instructions; knows nothing of tensors, ops or formats.
//
// A kernel is written once over V and compiled once for each instruction set, in a namespace of its own
// (fovea::avx512, ...). What every V offers:
//
//   lanes            f32 values in a vector (4, 8 or 16)
//   F, I, M, B       vectors: f32, i32, the mask of a comparison, and 4 * lanes bytes
//   Act, X           how 8-bit activations lie in memory, and four of them repeated for each i32 lane
//   Acc              sums of a byte product before they are folded into an I
//
// Conventions. fma(a, b, c) is a*b + c, rounded once where the instruction exists, else twice: bits are
// promised within one instruction set only. min and max return the second argument when one is NaN.
// to_int rounds to nearest even; out of range and NaN give any integer. *_tail reads or writes the first n
// lanes (0 <= n <= lanes), touches nothing behind them, and reads zeros for the rest. reduce_add adds in a
// fixed order. to_bf16 and store_bf16 round to nearest even and keep NaN. dot() takes codes in [0, 127]; dot_s8() takes signed bytes and returns the product plus
// s8_bias * (sum of the four activations), which the caller takes off. math.h has exp, tanh, erf and so on.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(FOVEA_ISA_AMX)
#define FOVEA_ISA amx
#include "avx512.h"
#elif defined(FOVEA_ISA_AVX512_VNNI)
#define FOVEA_ISA avx512_vnni
#include "avx512.h"
#elif defined(FOVEA_ISA_AVX512)
#define FOVEA_ISA avx512
#include "avx512.h"
#elif defined(FOVEA_ISA_AVX_VNNI)
#define FOVEA_ISA avx_vnni
#include "avx2.h"
#elif defined(FOVEA_ISA_AVX2)
#define FOVEA_ISA avx2
#include "avx2.h"
#elif defined(FOVEA_ISA_NEON_DOT)
#define FOVEA_ISA neon_dot
#include "neon.h"
#elif defined(FOVEA_ISA_NEON)
#define FOVEA_ISA neon
#include "neon.h"
#elif defined(FOVEA_ISA_WASM_RELAXED)
#define FOVEA_ISA wasm_relaxed
#include "wasm.h"
#elif defined(FOVEA_ISA_WASM)
#define FOVEA_ISA wasm
#include "wasm.h"
#elif defined(FOVEA_ISA_SCALAR)
#define FOVEA_ISA scalar
#include "scalar.h"
#else
#error "define one of FOVEA_ISA_AMX, _AVX512_VNNI, _AVX512, _AVX_VNNI, _AVX2, _NEON_DOT, _NEON, _WASM, _WASM_RELAXED, _SCALAR"
#endif

/** Unrolls the loop that follows, which must have a small constant count. */
#define FOVEA_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define FOVEA_UNROLL(n) FOVEA_PRAGMA(clang loop unroll(full))
#else
#define FOVEA_UNROLL(n) FOVEA_PRAGMA(GCC unroll n)
#endif

namespace fovea::FOVEA_ISA {

template <int n> struct Int {
  static constexpr int value = n;
};

/** For lambdas that must become part of their caller, or the vectors that they hold leave the registers. */
#define FOVEA_FLAT __attribute__((always_inline))

/** fn(Int<from>{}), fn(Int<from + 1>{}), ... up to `to` excluded, written out by the compiler. */
template <int from, int to, class Fn> FOVEA_FLAT inline void unroll(const Fn& fn) {
  if constexpr (from < to) {
    fn(Int<from>{});
    unroll<from + 1, to>(fn);
  }
}

}  // namespace fovea::FOVEA_ISA
