// Which kernels this machine can run, and how many threads it gives us.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace fovea {

/** The kernels that were built and that this machine supports, best first. */
std::vector<const KernelTable*> supported_kernels();

/** The kernels named `isa`, or the best when it is empty; null, with a text, when that cannot be. */
const KernelTable* choose_kernels(const std::string& isa, std::string& problem);

/**
 * Cores that this process may use: its affinity, one for each physical core, limited by the processor quota of
 * its control group.
 */
int available_cores();

/**
 * Keeps threads on cores of their own when there are as many as cores that this process may use. Left to itself the
 * system may put two that wake up together on one core, and take milliseconds to see it.
 */
class OwnCores {
 public:
  explicit OwnCores(int threads);
  /** The calling thread is this one of them from now on; not for thread 0, which is sometimes alone. */
  void stay(int thread) const;
  /** The calling thread is for now thread 0: it leaves the core of another, and may be moved again. */
  void lead() const;

 private:
  /** By thread, the processors of its core; empty when there are not as many cores. */
  std::vector<std::vector<int>> cores_;
};

}  // namespace fovea
