// Which kernels this machine can run, and how many threads it gives us.
#pragma once
#include <functional>
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
 * Called by each of `threads` threads with its number, keeps them on cores of their own when there are as many as
 * cores that this process may use. Left to itself the system may put two that wake up together on one core, and take
 * milliseconds to see it.
 */
std::function<void(int thread)> own_cores(int threads);

}  // namespace fovea
