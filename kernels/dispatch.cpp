#include "dispatch.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "cpu.h"

// FOVEA_TABLES names what was built, best first: `TABLE(avx2) TABLE(scalar)`, say.
extern "C" {
#define TABLE(isa) extern const fovea::KernelTable fovea_kernels_##isa;
FOVEA_TABLES
#undef TABLE
}

namespace fovea {

namespace {

#define TABLE(isa) &fovea_kernels_##isa,
const KernelTable* const built[] = {FOVEA_TABLES};
#undef TABLE

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


#if defined(__linux__)
/** Physical cores that this thread may run on: their processors, by the names of all that it has. */
std::map<std::string, std::vector<int>> cores() {
  std::map<std::string, std::vector<int>> all;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return all;
  for (int i = 0; i < CPU_SETSIZE; i++) {
    if (!CPU_ISSET(i, &set)) continue;
    // Two threads on one core share its arithmetic: the second would only be in the way.
    std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(i) + "/topology/thread_siblings_list";
    std::string siblings;
    if (!(std::ifstream(path) >> siblings)) siblings = "cpu" + std::to_string(i);
    all[siblings].push_back(i);
  }
  return all;
}
#endif

}  // namespace

std::vector<const KernelTable*> supported_kernels() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : built)
    if (machine_runs(table->isa)) tables.push_back(table);
  return tables;
}

const KernelTable* choose_kernels(const std::string& isa, std::string& problem) {
  std::string names;
  bool known = false;
  for (const KernelTable* table : built) {
    known = known || isa == table->isa;
    if (!machine_runs(table->isa)) continue;
    if (isa.empty() || isa == table->isa) return table;
    names += (names.empty() ? "" : ", ") + std::string(table->isa);
  }
  problem = "FOVEA_ISA is \"" + isa + "\", which " + (known ? "this machine does not support" : "is not in this build") +
            "; it can be " + names;
  return nullptr;
}

int available_cores() {
#if defined(__linux__)
  if (int count = int(cores().size()); count > 0) {
    int limit = quota();
    return limit > 0 ? std::min(limit, count) : count;
  }
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

#if defined(__linux__)
/** False when it is refused. */
static bool run_on(const std::vector<int>& processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i : processors) CPU_SET(i, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

OwnCores::OwnCores(int threads) {
  std::map<std::string, std::vector<int>> all = cores();
  if (threads < 2 || int(all.size()) != threads) return;
  for (auto& [name, processors] : all) cores_.push_back(processors);
}

void OwnCores::stay(int thread) const {
  // One that is refused runs where it is put.
  if (!cores_.empty()) run_on(cores_[size_t(thread)]);
}

void OwnCores::lead() const {
  if (cores_.empty()) return;
  const int here = sched_getcpu();
  for (int i : cores_[0])
    if (i == here) return;
  cpu_set_t before;
  if (sched_getaffinity(0, sizeof before, &before) != 0) return;
  if (run_on(cores_[0])) sched_setaffinity(0, sizeof before, &before);
}
#else
OwnCores::OwnCores(int) {}
void OwnCores::stay(int) const {}
void OwnCores::lead() const {}
#endif

}  // namespace fovea
