// Where the threads of an engine meet. A thread that comes early spins for a moment, which is what the end of
// a well-shared op takes, and then sleeps, so that a core is never burnt on a thread that is not running. It does not
// give way before: beside a process that wants all of a core it would wait for milliseconds to get it back.
#pragma once
#include "kernels.h"
#include "wait.h"

namespace fovea {

struct Barrier {
  alignas(64) uint32_t arrived = 0;
  alignas(64) uint32_t phase = 0;
  uint32_t sleepers = 0;
  /** Set by the last to arrive, before it lets the others go: all see the same. */
  bool stopped = false;
  Counters counters;
  /** Anyone may set it, at any time: the plan is given up at the next meeting. */
  alignas(64) uint32_t stop = 0;
  int threads = 1;
  /** Rounds of spinning before sleep. */
  int patience = 0;
};

/** Spins, then sleeps, while *word == old; sleepers are counted in `sleepers`. To be woken up costs 30 to 50 µs. */
inline void wait_for_change(uint32_t* word, uint32_t old, uint32_t* sleepers, int patience) {
  for (int i = 0; i < patience; i++) {
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != old) return;
    relax();
  }
  __atomic_fetch_add(sleepers, 1u, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old) wait_while(word, old);
  __atomic_fetch_sub(sleepers, 1u, __ATOMIC_SEQ_CST);
}

/** Changes *word and wakes whoever sleeps on it. */
inline void change(uint32_t* word, uint32_t value, uint32_t* sleepers) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(sleepers, __ATOMIC_SEQ_CST) != 0) wake_all(word);
}

}  // namespace fovea
