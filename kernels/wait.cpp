#include "wait.h"

#if defined(__wasm__)

namespace fovea {
void wait_while(uint32_t* word, uint32_t old) { __builtin_wasm_memory_atomic_wait32((int*)word, int(old), -1); }
void wake_all(uint32_t* word) { __builtin_wasm_memory_atomic_notify((int*)word, 0xffffffffu); }
}  // namespace fovea

#elif defined(__linux__)
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fovea {
void wait_while(uint32_t* word, uint32_t old) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0); }
void wake_all(uint32_t* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }
}  // namespace fovea

#else
#include <condition_variable>
#include <mutex>

namespace fovea {
static std::mutex mutex;
static std::condition_variable changed;

void wait_while(uint32_t* word, uint32_t old) {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return __atomic_load_n(word, __ATOMIC_SEQ_CST) != old; });
}
void wake_all(uint32_t*) {
  std::lock_guard<std::mutex> lock(mutex);
  changed.notify_all();
}
}  // namespace fovea

#endif
