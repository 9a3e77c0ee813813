// Walks the commands of a plan with the kernels of one instruction set. Every thread walks all of them, in
// lockstep; knows neither where threads come from nor where memory does.
#pragma once
#include "barrier.h"
#include "kernels.h"

namespace fovea {

struct Program {
  const double* words;
  int64_t count;
  uint8_t* const* buffers;
  uint8_t* scratch;
  /** For each op, when it is to be timed. */
  double* nanoseconds;
  /** Null where nothing is tuned. */
  Tuning* tuning = nullptr;
};

/** Number of tensors of each kind. */
extern const int tensors_of[kinds];

/** "activation 2 1, add 3 0, ...": the kinds in the order of their opcodes, with their tensors and numbers. */
extern const char* const op_list;

/** The first buffer that the program names and that is none of the `known` ones, or -1. */
int64_t unknown_buffer(const Program&, int64_t known);

/** Bytes of scratch memory that the program needs. */
int64_t scratch_bytes(const KernelTable&, const Program&, int threads);

/**
 * Whether one thread alone is sooner done with the program than several that meet after each op: by an estimate, of
 * which `part` counts.
 */
bool is_small(const Program&, double part = 1);

/** Runs the program; called by each thread, all returning together. False when it was told to stop. */
bool interpret(const KernelTable&, const Program&, Barrier&, int thread);

/** Nanoseconds from a fixed moment. */
double now();

}  // namespace fovea
