// Which instruction sets this machine can run.
#pragma once
#include <string>

namespace fovea {

/** Whether the processor has what the kernels named `isa` need, and the system keeps the registers they use. */
bool machine_runs(const std::string& isa);

}  // namespace fovea
