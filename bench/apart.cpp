// Preloaded into a peer: threads that are made with default attributes start on another core than their maker's. The
// peer makes its threads anew for each step, and where the kernel leaves them on the core of a maker that spins, both
// lose the rest of a time slice.
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>

using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* given, void* (*run)(void*), void* argument) {
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  static std::atomic<unsigned> made{0};
  cpu_set_t allowed;
  if (given || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return create(thread, given, run, argument);
  const int here = sched_getcpu(), count = CPU_COUNT(&allowed);
  if (count < 2 || !CPU_ISSET(here, &allowed)) return create(thread, given, run, argument);
  int core = here;
  for (unsigned left = made++ % unsigned(count - 1) + 1; left > 0;) {
    core = (core + 1) % CPU_SETSIZE;
    if (CPU_ISSET(core, &allowed)) left--;
  }
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  CPU_SET(core, &chosen);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setaffinity_np(&attributes, sizeof chosen, &chosen);
  const int status = create(thread, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  return status;
}
