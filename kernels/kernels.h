// What the interpreter asks of the kernels of one instruction set, and what it gives them.
//
// A kernel of kind NAME is `void NAME(const Op&, const Work&)` in namespace fovea::FOVEA_ISA, called by every
// thread at the same time. One that needs scratch memory also has `int64_t NAME_scratch(const Op&, int
// threads)`, and isa.cpp says so.
#pragma once
#include "commands.h"

namespace fovea {

/** Where the threads of an engine meet; see `barrier.h`. */
struct Barrier;
void barrier_wait(Barrier&);

/** One thread's part in the running of an op. */
struct Work {
  int thread;
  int threads;
  /** Shared by all threads, as large as the op's scratch function said, aligned to 64; content undefined. */
  uint8_t* scratch;
  Barrier* meeting;
  int64_t* counter;

  /**
   * Returns when all threads have come; what each wrote before is seen by all. Whatever decides whether a
   * kernel comes here must be the same for every thread, or they wait for each other for ever.
   */
  FOVEA_INLINE void barrier() const { barrier_wait(*meeting); }
  /**
   * 0, 1, 2, ... as the threads ask, since the op's start or the last barrier: for parts of uneven cost.
   * Whoever takes a part, its result must be the same.
   */
  FOVEA_INLINE int64_t take() const { return __atomic_fetch_add(counter, int64_t(1), __ATOMIC_RELAXED); }

  /** This thread's even share of `count` units, in multiples of `grain`. */
  FOVEA_INLINE void share(int64_t count, int64_t grain, int64_t& begin, int64_t& end) const {
    int64_t grains = (count + grain - 1) / grain;
    begin = grains * thread / threads * grain;
    end = grains * (thread + 1) / threads * grain;
    if (begin > count) begin = count;
    if (end > count) end = count;
  }
};

struct KernelTable {
  const char* isa;
  /** By kind. */
  void (*run[kinds])(const Op&, const Work&);
  /** Bytes of scratch memory that an op needs in all; null where it needs none. */
  int64_t (*scratch[kinds])(const Op&, int threads);
  /** Bytes of an [m, k] matrix in panels, a multiple of 64; 0 when the kernels use the format as rows. */
  int64_t (*panel_bytes)(DType, int64_t m, int64_t k);
  /** Names how bytes lie in panels: equal names, equal bytes, so that panels can be kept in files. */
  const char* layout;
};

}  // namespace fovea
