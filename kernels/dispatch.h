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

}  // namespace fovea
