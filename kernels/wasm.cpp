// The kernels as a WebAssembly module: freestanding, over a memory that the host imports and divides. The host
// is src/device/wasm.ts; each thread has an instance of its own over the same memory.
#include "interpreter.h"
#include "simd/wasm_check.h"

#if defined(FOVEA_ISA_WASM_RELAXED)
#define FOVEA_KERNELS fovea_kernels_wasm_relaxed
#else
#define FOVEA_KERNELS fovea_kernels_wasm
#endif
extern "C" const fovea::KernelTable FOVEA_KERNELS;

/** Nanoseconds, given by the host. */
extern "C" __attribute__((import_module("env"), import_name("now"))) double fovea_host_now();

using namespace fovea;

double fovea::now() { return fovea_host_now(); }

static Barrier barrier;
static Program program;
/** Jobs submitted: what idle threads wait for. */
static uint32_t submitted;
static uint32_t sleepers;

#define FOVEA_EXPORT(name) extern "C" __attribute__((export_name(#name)))

FOVEA_EXPORT(ops) const char* ops() { return op_list; }

/** 0 when the instructions compute what the kernels assume. */
FOVEA_EXPORT(check) int check() { return FOVEA_ISA::faults(); }

FOVEA_EXPORT(panelBytes) double panel_bytes(int dtype, double m, double k) {
  return double(FOVEA_KERNELS.panel_bytes(DType(dtype), int64_t(m), int64_t(k)));
}

FOVEA_EXPORT(panelLayout) const char* panel_layout() { return FOVEA_KERNELS.layout; }

FOVEA_EXPORT(setThreads) void set_threads(int threads, int patience) {
  barrier.threads = threads;
  barrier.patience = patience;
}

/** Sets what is to be run, with scratch memory still missing; gives the bytes of it that are needed. */
FOVEA_EXPORT(prepare)
double prepare(const double* words, int count, uint8_t* const* buffers, double* nanoseconds) {
  program = {words, count, buffers, nullptr, nanoseconds};
  return double(scratch_bytes(FOVEA_KERNELS, program, barrier.threads));
}

/** Lets the threads run what was prepared. */
FOVEA_EXPORT(submit) void submit(uint8_t* scratch) {
  program.scratch = scratch;
  change(&submitted, submitted + 1, &sleepers);
}

/** Runs what was prepared on the calling thread, which is the only one. */
FOVEA_EXPORT(runHere) void run_here(uint8_t* scratch) {
  program.scratch = scratch;
  interpret(FOVEA_KERNELS, program, barrier, 0);
}

/** A thread's part in the job after `done` others: waits for it and returns when all threads have done it. */
FOVEA_EXPORT(work) void work(int thread, uint32_t done) {
  wait_for_change(&submitted, done, &sleepers, barrier.patience);
  interpret(FOVEA_KERNELS, program, barrier, thread);
  // Behind this no other thread looks at the program.
  barrier_wait(barrier);
}
