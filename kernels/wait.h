// Sleeping until a word of shared memory changes: the one thing about threads that differs among systems.
#pragma once
#include <stdint.h>

namespace fovea {

/** Sleeps while *word == old; may return early. */
void wait_while(uint32_t* word, uint32_t old);
/** Wakes all who sleep on `word`. */
void wake_all(uint32_t* word);

/** A short pause within a loop that waits for another core. */
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace fovea
