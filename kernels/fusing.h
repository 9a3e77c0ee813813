// Which neighbouring ops of a program go in one: an rmsnorm, the linear ops over its result, and a gate, an activation
// or a sum over theirs. Saves meetings, the rounding of the same activations once for each matrix, and a way through
// memory. Knows shapes and places; the sums are the same either way.
#pragma once
#include "kernels.h"

namespace fovea {

/** What an op occupies for one of its tensors: in buffer `id`, bytes [begin, end). */
struct Place {
  double id, begin, end;

  static Place of(const Op& op, int tensor) {
    const double* w = op.words + 2 + 8 * tensor;
    return {w[0], w[1], w[1] + 4 * w[4] * w[5] * w[6] * w[7]};
  }
  bool meets(const Place& o) const { return id >= 0 && id == o.id && begin < o.end && o.begin < end; }
  bool equals(const Place& o) const { return id == o.id && begin == o.begin && end == o.end; }
};

/** Whether the tensors are the same: buffer, offset, dtype, layout and shape. */
inline bool same_tensor(const Op& a, int i, const Op& b, int j) {
  for (int w = 0; w < 8; w++)
    if (a.words[2 + 8 * i + w] != b.words[2 + 8 * j + w]) return false;
  return true;
}

/** Ops from `op` on that can be run as `fused`: how many; less than 2 when there is nothing to be gained. */
inline int fuse(const Program& program, const Op& op, Fused& fused) {
  const double* end = program.words + program.count;
  auto is = [&](const double* at, Kind kind) { return at < end && Kind(int(at[0])) == kind; };
  auto op_at = [&](const double* at) { return Op{at, program.buffers, tensors_of[int(at[0])]}; };
  auto dim = [](const Op& op, int tensor, int i) { return op.words[2 + 8 * tensor + 4 + i]; };
  constexpr int x = 0, weight = 1, y = 3, dtype = 2, layout = 3;

  const double* at = op.words;
  int ops = 0;
  fused = {};
  if (is(at, Kind::rmsnorm)) {
    if (dim(op, 1, 0) != 1 || dim(op, 0, 2) != 1) return 0;
    fused.norm = op;
    at += size_t(at[1]);
    ops++;
  }
  for (; is(at, Kind::linear) && fused.count < Fused::most; at += size_t(at[1])) {
    Op next = op_at(at);
    const Op& first = fused.count ? fused.linear[0] : next;
    auto about = [&](const Op& op, int word) { return op.words[2 + 8 * weight + word]; };
    bool alike = about(next, dtype) == about(first, dtype) && about(next, layout) == about(first, layout) &&
                 next.number(0) == first.number(0);
    bool fits = fused.count || !fused.norm.words || same_tensor(next, x, fused.norm, 2);
    if (!alike || !fits || !same_tensor(next, x, first, x) || dim(next, weight, 0) == 0) break;
    fused.linear[fused.count++] = next;
    ops++;
  }
  if (fused.count == 0) return 0;
  auto follows = [&](Kind kind) { return is(at, kind) && same_tensor(op_at(at), 0, fused.linear[0], y); };
  if (fused.count == 2 && follows(Kind::gated) && same_tensor(op_at(at), 1, fused.linear[1], y)) fused.after = op_at(at);
  if (fused.count == 1 && follows(Kind::activation)) fused.after = op_at(at);
  if (fused.count == 1 && is(at, Kind::add)) {
    Op sum = op_at(at);
    // The product may be either operand; one that is repeated for all rows comes in another order.
    fused.other = same_tensor(sum, 0, fused.linear[0], y) ? 1 : 0;
    bool whole = dim(sum, 0, 0) == dim(sum, 1, 0) && dim(sum, 0, 1) == dim(sum, 1, 1);
    if (whole && same_tensor(sum, 1 - fused.other, fused.linear[0], y)) fused.after = sum;
  }
  if (fused.after.words) ops++;
  if (ops < 2) return 0;

  // One after the other, an op may write what an earlier one has read; in one go it may not.
  Place reads[2 + Fused::most], writes[2 + Fused::most];
  int read = 0, written = 0;
  if (fused.norm.words) {
    reads[read++] = Place::of(fused.norm, 0);
    reads[read++] = Place::of(fused.norm, 1);
    writes[written++] = Place::of(fused.norm, 2);
  } else reads[read++] = Place::of(fused.linear[0], x);
  for (int i = 0; i < fused.count; i++) {
    reads[read++] = Place::of(fused.linear[i], 2);
    writes[written++] = Place::of(fused.linear[i], y);
  }
  if (fused.after.words) {
    const Op& after = fused.after;
    const int result = after.tensors - 1;
    bool is_sum = after.kind() == Kind::add, in_place = false;
    // What is added is read when its place in the product is known, so no other place of it may be written before.
    for (int i = 0; is_sum && i < written; i++)
      if (writes[i].meets(Place::of(after, fused.other)) && !writes[i].equals(Place::of(after, fused.other))) return 0;
    for (int i = 0; i < fused.count; i++) in_place = in_place || same_tensor(after, result, fused.linear[i], y);
    if (!in_place) writes[written++] = Place::of(after, result);
  }
  for (int i = 0; i < written; i++) {
    for (int j = 0; j < read; j++)
      if (writes[i].meets(reads[j])) return 0;
    for (int j = 0; j < i; j++)
      if (writes[i].meets(writes[j])) return 0;
  }
  return ops;
}

}  // namespace fovea
