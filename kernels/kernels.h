// What the interpreter asks of the kernels of one instruction set, and what it gives them.
//
// A kernel of kind NAME is `void NAME(const Op&, const Work&)` in namespace fovea::FOVEA_ISA, called by every
// thread at the same time. One that needs scratch memory also has `int64_t NAME_scratch(const Op&, int
// threads)`, and isa.cpp says so.
#pragma once
#include "commands.h"
#include "tuning.h"

namespace fovea {

/** Where the threads of an engine meet; see `barrier.h`. */
struct Barrier;
void barrier_wait(Barrier&);

/** How far the parts of an op have been taken; cleared where the threads meet. */
struct Counters {
  static constexpr int most_ranges = 32;

  /** A cache line for each, so that threads that count for themselves do not disturb each other. */
  struct alignas(64) Line {
    int64_t taken = 0;
  };
  Line all, range[most_ranges];

  FOVEA_INLINE int ranges(int threads) const { return threads < most_ranges ? threads : most_ranges; }
  FOVEA_INLINE void clear(int threads) {
    all.taken = 0;
    for (int i = 0; i < ranges(threads); i++) range[i].taken = 0;
  }
};

/** One thread's part in the running of an op. */
struct Work {
  int thread;
  int threads;
  /** Shared by all threads, as large as the op's scratch function said, aligned to 64; content undefined. */
  uint8_t* scratch;
  Barrier* meeting;
  Counters* counters;
  /** Null where nothing is tuned. */
  Tuning* tuning = nullptr;

  /**
   * Returns when all threads have come; what each wrote before is seen by all. Whatever decides whether a
   * kernel comes here must be the same for every thread, or they wait for each other for ever.
   */
  FOVEA_INLINE void barrier() const { barrier_wait(*meeting); }
  /**
   * 0, 1, 2, ... as the threads ask, since the op's start or the last barrier: for parts of uneven cost.
   * Whoever takes a part, its result must be the same.
   */
  FOVEA_INLINE int64_t take() const {
    return __atomic_fetch_add(&counters->all.taken, int64_t(1), __ATOMIC_RELAXED);
  }

  /** This thread's even share of `count` units, in multiples of `grain`. */
  FOVEA_INLINE void share(int64_t count, int64_t grain, int64_t& begin, int64_t& end) const {
    int64_t grains = (count + grain - 1) / grain;
    begin = grains * thread / threads * grain;
    end = grains * (thread + 1) / threads * grain;
    if (begin > count) begin = count;
    if (end > count) end = count;
  }
};

/**
 * Parts [0, count) of an op that lie side by side in memory: each thread walks along a range of its own, as
 * memory likes it, and when that is done helps the others with what is left of theirs.
 */
class Ranges {
 public:
  FOVEA_INLINE Ranges(const Work& work, int64_t count)
      : counters_(*work.counters), count_(count), ranges_(work.counters->ranges(work.threads)),
        first_(work.thread % ranges_) {}

  /** The next part for this thread; -1 when all are taken. */
  FOVEA_INLINE int64_t take() {
    for (; passed_ < ranges_; passed_++) {
      int range = (first_ + passed_) % ranges_;
      int64_t end = count_ * (range + 1) / ranges_;
      int64_t part = count_ * range / ranges_ +
                     __atomic_fetch_add(&counters_.range[range].taken, int64_t(1), __ATOMIC_RELAXED);
      if (part < end) return part;
    }
    return -1;
  }

 private:
  Counters& counters_;
  int64_t count_;
  int ranges_, first_, passed_ = 0;
};

/**
 * Neighbouring ops that are run in one go, their results being those of one after the other: an rmsnorm (or
 * none), one to four linear ops of one format over its result, and what follows them (or nothing): a gate over two
 * results, an activation of one, or the sum of one and another tensor, which is number `other` of that op's.
 */
struct Fused {
  static constexpr int most = 4;
  Op norm, linear[most], after;
  int count, other;
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
  void (*fused)(const Fused&, const Work&);
};

}  // namespace fovea
