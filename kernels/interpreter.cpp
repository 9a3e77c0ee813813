#include "interpreter.h"

#include "fusing.h"

namespace fovea {

const int tensors_of[kinds] = {
#define FOVEA_TENSORS(name, tensors, numbers) tensors,
    FOVEA_OPS(FOVEA_TENSORS)
#undef FOVEA_TENSORS
};

#define FOVEA_NAME(name, tensors, numbers) #name " " #tensors " " #numbers ","
const char* const op_list = FOVEA_OPS(FOVEA_NAME);
#undef FOVEA_NAME

void barrier_wait(Barrier& b) {
  uint32_t phase = __atomic_load_n(&b.phase, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&b.arrived, 1u, __ATOMIC_ACQ_REL) != uint32_t(b.threads)) {
    wait_for_change(&b.phase, phase, &b.sleepers, b.patience);
    return;
  }
  b.stopped = __atomic_load_n(&b.stop, __ATOMIC_ACQUIRE) != 0;
  b.arrived = 0;
  b.counters.clear(b.threads);
  change(&b.phase, phase + 1, &b.sleepers);
}

/** Calls visit(op, kind, index, next) for each op until it returns false; it may move `next`, where it goes on. */
template <class Fn> static bool each_op(const Program& program, Fn visit) {
  int64_t index = 0;
  for (int64_t at = 0, next; at < program.count; at = next, index++) {
    int kind = int(program.words[at]);
    next = at + int64_t(program.words[at + 1]);
    if (!visit(Op{program.words + at, program.buffers, tensors_of[kind]}, kind, index, next)) return false;
  }
  return true;
}

int64_t unknown_buffer(const Program& program, int64_t known) {
  int64_t unknown = -1;
  each_op(program, [&](const Op& op, int, int64_t, int64_t&) {
    for (int i = 0; i < op.tensors; i++) {
      double id = op.words[2 + 8 * i];
      if (id > 0 && (id >= double(known) || !program.buffers[size_t(id)])) unknown = int64_t(id);
    }
    return unknown < 0;
  });
  return unknown;
}

int64_t scratch_bytes(const KernelTable& table, const Program& program, int threads) {
  int64_t most = 0;
  each_op(program, [&](const Op& op, int kind, int64_t, int64_t&) {
    int64_t bytes = table.scratch[kind] ? table.scratch[kind](op, threads) : 0;
    if (bytes > most) most = bytes;
    return true;
  });
  return most;
}

bool is_small(const Program& program, double part) {
  // Rough costs on one thread: 20 multiply-adds or 4 elements in a nanosecond, and 1.4 µs for a meeting, of
  // which half would be saved work.
  double cost = 0, meetings = 0;
  each_op(program, [&](const Op& op, int kind, int64_t, int64_t&) {
    auto d = [&](int tensor, int i) { return op.words[2 + 8 * tensor + 4 + i]; };
    auto elements_of = [&](int tensor) { return d(tensor, 0) * d(tensor, 1) * d(tensor, 2) * d(tensor, 3); };
    double elements = elements_of(op.tensors - 1), first = elements_of(0);
    meetings += 1400;
    switch (Kind(kind)) {
      case Kind::linear: cost += (d(0, 0) + 1) * d(1, 0) * d(1, 1) / 20; break;
      case Kind::matmul: cost += elements * d(0, op.number(0) != 0 ? 1 : 2) / 20; break;
      case Kind::expert_linear: cost += 2 * elements * d(1, 2) / 20; break;
      // Queries times heads times width, for keys and values, times the number of keys.
      case Kind::attend: cost += 2 * elements * op.number(3) / 20; break;
      case Kind::attend_within:
      case Kind::attend_within_grad: cost += 2 * first * op.number(4) / 20; break;
      // Memory that may not even be mapped yet: some 20 bytes in a nanosecond.
      case Kind::checksum: cost += first / 5; break;
      case Kind::adamw: cost += first * 3; break;
      case Kind::average: cost += first; break;
      case Kind::cross_entropy:
      case Kind::cross_entropy_grad:
      case Kind::kl_divergence:
      case Kind::kl_divergence_grad: cost += first; break;
      case Kind::block_softmax:
      case Kind::norm_weight_grad:
      case Kind::scatter_add:
      case Kind::sum:
      case Kind::sum_squares: cost += first / 4; break;
      // Of tables and caches only a part is touched.
      default: cost += 100 + (first < elements ? first : elements) / 4;
    }
    return cost < 1e6;
  });
  return cost < part * meetings;
}

bool interpret(const KernelTable& table, const Program& program, Barrier& barrier, int thread) {
  Work work = {thread, barrier.threads, program.scratch, &barrier, &barrier.counters, program.tuning};
  bool timed = program.nanoseconds && thread == 0;
  Tuning* noting = thread == 0 && program.tuning && program.tuning->samples ? program.tuning : nullptr;
  double before = timed ? now() : 0;
  return each_op(program, [&](const Op& op, int kind, int64_t index, int64_t& next) {
    Fused group;
    double start = noting ? now() : 0;
    if (noting) noting->now.m = 0;
    // Ops that are timed are run one by one.
    bool may = !program.nanoseconds && (Kind(kind) == Kind::linear || Kind(kind) == Kind::rmsnorm);
    int ops = may ? fuse(program, op, group) : 0;
    if (ops > 1) {
      table.fused(group, work);
      // Before the meeting: behind the last one nobody looks at the words any more.
      for (int i = 1; i < ops; i++) next += int64_t(program.words[next + 1]);
    } else table.run[kind](op, work);
    barrier_wait(barrier);
    if (noting && noting->now.m != 0 && noting->count < noting->room)
      noting->samples[noting->count++] = {noting->now, now() - start};
    if (timed) {
      double after = now();
      program.nanoseconds[index] = after - before;
      before = after;
    }
    return !barrier.stopped;
  });
}

}  // namespace fovea
