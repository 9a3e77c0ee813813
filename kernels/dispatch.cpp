#include "dispatch.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

extern "C" {
extern const fovea::KernelTable fovea_kernels_scalar;
#if defined(__x86_64__)
extern const fovea::KernelTable fovea_kernels_avx512, fovea_kernels_avx2;
#elif defined(__aarch64__)
extern const fovea::KernelTable fovea_kernels_neon_dot, fovea_kernels_neon;
#endif
}

namespace fovea {

namespace {

struct Entry {
  const KernelTable* table;
  bool supported;
};

std::vector<Entry> built() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vnni");
  return {{&fovea_kernels_avx512, avx512}, {&fovea_kernels_avx2, avx2}, {&fovea_kernels_scalar, true}};
#elif defined(__aarch64__)
#if defined(__linux__)
  bool dot = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  bool dot = true;
#endif
  return {{&fovea_kernels_neon_dot, dot}, {&fovea_kernels_neon, true}, {&fovea_kernels_scalar, true}};
#else
  return {{&fovea_kernels_scalar, true}};
#endif
}

#if defined(__linux__)
/** Whole processors that the control group grants, or 0 for no limit. */
int quota() {
  std::string limit;
  double period = 0, granted = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> limit >> period)
    granted = limit == "max" ? 0 : std::atof(limit.c_str());
  else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> granted;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  return granted > 0 && period > 0 ? std::max(1, int(std::ceil(granted / period))) : 0;
}
#endif

}  // namespace

std::vector<const KernelTable*> supported_kernels() {
  std::vector<const KernelTable*> tables;
  for (const Entry& entry : built())
    if (entry.supported) tables.push_back(entry.table);
  return tables;
}

const KernelTable* choose_kernels(const std::string& isa, std::string& problem) {
  std::string names;
  for (const Entry& entry : built()) {
    if (entry.supported && (isa.empty() || isa == entry.table->isa)) return entry.table;
    if (isa == entry.table->isa) {
      problem = "this machine does not support the instruction set " + isa;
      return nullptr;
    }
    names += (names.empty() ? "" : ", ") + std::string(entry.table->isa);
  }
  problem = "there is no instruction set " + isa + "; there are " + names;
  return nullptr;
}

int available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    // Two threads on one core share its arithmetic: the second would only be in the way.
    std::set<std::string> cores;
    for (int i = 0; i < CPU_SETSIZE; i++) {
      if (!CPU_ISSET(i, &set)) continue;
      std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(i) + "/topology/thread_siblings_list";
      std::string siblings;
      if (!(std::ifstream(path) >> siblings)) siblings = "cpu" + std::to_string(i);
      cores.insert(siblings);
    }
    int limit = quota(), count = std::max(1, int(cores.size()));
    return limit > 0 ? std::min(limit, count) : count;
  }
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace fovea
