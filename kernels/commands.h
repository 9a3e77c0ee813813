// The commands that a plan consists of, as `src/device/encode.ts` writes them: reading them, and the one list
// of the kinds of op. Knows no kernel.
//
// An op is f64 words: [opcode, words in all, tensors..., numbers..., words...]; a tensor is [buffer, byte
// offset, dtype, layout, d0, d1, d2, d3], with buffer 0 for the arena and -1 for an absent optional tensor.
#pragma once
#include <stddef.h>
#include <stdint.h>

/** Compiled into every caller: a shared copy might hold instructions that another machine lacks. */
#define FOVEA_INLINE __attribute__((always_inline)) inline

/** Every kind of op, with its numbers of tensors and of numbers (words included). The order is the opcode. */
#define FOVEA_OPS(X)           \
  X(activation, 2, 1)          \
  X(activation_grad, 3, 1)     \
  X(adamw, 10, 4)              \
  X(add, 3, 0)                 \
  X(attend, 8, 6)              \
  X(attend_within, 6, 6)       \
  X(attend_within_grad, 10, 6) \
  X(average, 4, 0)             \
  X(block_softmax, 3, 0)       \
  X(cache_write, 5, 0)         \
  X(cast, 2, 0)                \
  X(checksum, 2, 0)            \
  X(clip, 2, 2)                \
  X(combine, 3, 0)             \
  X(copy, 2, 0)                \
  X(cross_entropy, 4, 2)       \
  X(cross_entropy_grad, 5, 2)  \
  X(embed, 3, 0)               \
  X(expert_linear, 5, 0)       \
  X(gated, 3, 1)               \
  X(gated_grad, 5, 1)          \
  X(gather, 3, 0)              \
  X(kl_divergence, 4, 1)       \
  X(kl_divergence_grad, 5, 1)  \
  X(layernorm, 4, 1)           \
  X(linear, 4, 1)              \
  X(matmul, 4, 3)              \
  X(mul, 3, 0)                 \
  X(norm_grad, 5, 2)           \
  X(norm_weight_grad, 4, 2)    \
  X(pack, 2, 0)                \
  X(rmsnorm, 3, 1)             \
  X(rope, 4, 1)                \
  X(route, 3, 1)               \
  X(scale, 2, 1)               \
  X(scatter_add, 4, 0)         \
  X(softcap, 2, 1)             \
  X(sum, 3, 0)                 \
  X(sum_squares, 3, 0)

namespace fovea {

enum class Kind : uint8_t {
#define FOVEA_KIND(name, tensors, numbers) name,
  FOVEA_OPS(FOVEA_KIND)
#undef FOVEA_KIND
};

#define FOVEA_ONE(name, tensors, numbers) +1
constexpr int kinds = 0 FOVEA_OPS(FOVEA_ONE);
#undef FOVEA_ONE

/** The order is that of `dtypes` in `src/device/encode.ts`. */
enum class DType : uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_K, q5_K, q6_K, i8_row, i32 };

enum class Layout : uint8_t { rows, panels };

struct Tensor {
  /** Null when an optional tensor is absent. */
  uint8_t* data;
  DType dtype;
  Layout layout;
  /** 1 for the dimensions that the tensor does not have. */
  int64_t d[4];

  FOVEA_INLINE float* f32() const { return reinterpret_cast<float*>(data); }
  FOVEA_INLINE int32_t* i32() const { return reinterpret_cast<int32_t*>(data); }
  FOVEA_INLINE int64_t elements() const { return d[0] * d[1] * d[2] * d[3]; }
};

struct Op {
  const double* words;
  /** Where each buffer begins, by its id; 0 is the arena. */
  uint8_t* const* buffers;
  int tensors;

  FOVEA_INLINE Kind kind() const { return Kind(int(words[0])); }
  /** Tensor `i`, counted through the fields that are read and then those that are written. */
  FOVEA_INLINE Tensor tensor(int i) const {
    const double* w = words + 2 + 8 * i;
    Tensor t = {nullptr, DType(int(w[2])), Layout(int(w[3])),
                {int64_t(w[4]), int64_t(w[5]), int64_t(w[6]), int64_t(w[7])}};
    if (w[0] >= 0) t.data = buffers[size_t(w[0])] + size_t(w[1]);
    return t;
  }
  /** Number `i`, counted through the numbers and then the words (given as the index in their list). */
  FOVEA_INLINE double number(int i) const { return words[2 + 8 * tensors + i]; }
};

}  // namespace fovea
