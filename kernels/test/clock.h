// The clocks of tests and benchmarks; the interpreter is linked without the engine, which has its own.
#pragma once
#include <ctime>

namespace fovea {

inline double nanoseconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}

/** For the interpreter; not inline, so that it is there. */
double now() { return nanoseconds_of(CLOCK_MONOTONIC); }

/** Nanoseconds of processor time of this thread. */
inline double used() { return nanoseconds_of(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace fovea
