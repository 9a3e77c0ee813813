// The kernels of one instruction set: this file is compiled once for each, with its flags and
// one of the macros defined that simd/simd.h names.
#include "kernels.h"

#include "attend/attend.h"
#include "dense/matmul.h"
#include "linear/embed.h"
#include "linear/linear.h"
#include "ops/block_softmax.h"
#include "ops/cached.h"
#include "ops/checksum.h"
#include "ops/elementwise.h"
#include "ops/elementwise_grad.h"
#include "ops/experts.h"
#include "ops/losses.h"
#include "ops/movement.h"
#include "ops/norm.h"
#include "ops/norm_grad.h"
#include "ops/optimizer.h"
#include "ops/reduce.h"
#include "within/attend_within.h"

#define FOVEA_TEXT(x) #x
#define FOVEA_TEXT_OF(x) FOVEA_TEXT(x)
#define FOVEA_JOIN(a, b) a##b
#define FOVEA_JOIN_OF(a, b) FOVEA_JOIN(a, b)

namespace fovea::FOVEA_ISA {
static constexpr KernelTable table() {
  KernelTable t = {FOVEA_TEXT_OF(FOVEA_ISA), {}, {}, panel_bytes, panel_layout, fused};
#define FOVEA_RUN(name, tensors, numbers) t.run[int(Kind::name)] = name;
  FOVEA_OPS(FOVEA_RUN)
#undef FOVEA_RUN
  t.scratch[int(Kind::attend)] = attend_scratch;
  t.scratch[int(Kind::attend_within)] = attend_within_scratch;
  t.scratch[int(Kind::attend_within_grad)] = attend_within_grad_scratch;
  t.scratch[int(Kind::expert_linear)] = expert_linear_scratch;
  t.scratch[int(Kind::linear)] = linear_scratch;
  t.scratch[int(Kind::matmul)] = matmul_scratch;
  t.scratch[int(Kind::norm_weight_grad)] = norm_weight_grad_scratch;
  t.scratch[int(Kind::route)] = route_scratch;
  t.scratch[int(Kind::sum)] = sum_scratch;
  t.scratch[int(Kind::sum_squares)] = sum_squares_scratch;
  return t;
}

}  // namespace fovea::FOVEA_ISA

extern "C" {
extern const fovea::KernelTable FOVEA_JOIN_OF(fovea_kernels_, FOVEA_ISA);
constexpr fovea::KernelTable FOVEA_JOIN_OF(fovea_kernels_, FOVEA_ISA) = fovea::FOVEA_ISA::table();
}
