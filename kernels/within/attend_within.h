// Attention of a batch's rows to each other and its derivative; the equations are in src/ops/attend-within.ts.
//
// A thread takes a sequence and a head (for the derivative: a head of keys with all that share it), packs it once,
// and goes through squares of 64 queries by 64 keys. Everything is computed transposed, keys or components down
// and queries in the lanes: maxima and sums of the softmax run down vectors, and what one product gives is what
// the next one takes. Sums over keys run in order from the first that is seen, those of the derivative over the
// heads of a group and the queries in order.
#pragma once
#include "backward.h"

namespace fovea::FOVEA_ISA {

inline int64_t attend_within_scratch(const Op& op, int threads) {
  return threads * within::Forward(within::Shape(op), nullptr).bytes;
}

inline void attend_within(const Op& op, const Work& work) {
  within::Shape s(op);
  Tensor offsets = op.tensor(3);
  int64_t bytes = within::Forward(s, nullptr).bytes;
  within::Forward memory(s, work.scratch + work.thread * bytes);
  within::Tiles tiles(s);
  int64_t units = (offsets.d[0] - 1) * s.heads;
  for (int64_t i = work.take(); i < units; i = work.take())
    within::attend(op, s, memory, {offsets, i / s.heads, op.tensor(0).d[0], s.longest}, i % s.heads);
}

inline int64_t attend_within_grad_scratch(const Op& op, int threads) {
  return threads * within::Backward(within::Shape(op), nullptr).bytes;
}

inline void attend_within_grad(const Op& op, const Work& work) {
  within::Shape s(op);
  Tensor offsets = op.tensor(3);
  int64_t bytes = within::Backward(s, nullptr).bytes, kv_heads = s.heads / s.group;
  within::Backward memory(s, work.scratch + work.thread * bytes);
  within::Tiles tiles(s);
  int64_t units = (offsets.d[0] - 1) * kv_heads;
  for (int64_t i = work.take(); i < units; i = work.take())
    within::attend_grad(op, s, memory, {offsets, i / kv_heads, op.tensor(0).d[0], s.longest}, i % kv_heads);
}

}  // namespace fovea::FOVEA_ISA
