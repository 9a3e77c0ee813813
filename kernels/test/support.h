// What the tests of kernels share: the instruction sets that were built, an op run by hand on so many threads,
// and random numbers. Link interpreter.cpp, wait.cpp, cpu.cpp and the objects of FOVEA_TABLES.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../cpu.h"
#include "../interpreter.h"
#include "clock.h"

extern "C" {
#define TABLE(isa) extern const fovea::KernelTable fovea_kernels_##isa;
FOVEA_TABLES
#undef TABLE
}

namespace fovea {
namespace test {

using Bytes = std::vector<uint8_t>;
using Floats = std::vector<float>;

inline int failures = 0;
/** What is being tested, for messages. */
inline std::string where;
inline void fail(const std::string& what) {
  if (++failures <= 20) std::printf("FAIL %s: %s\n", where.c_str(), what.c_str());
}

inline uint64_t state = 1;
inline uint32_t random32() {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return uint32_t(state >> 32);
}
inline double uniform() { return random32() / 4294967296.0; }
inline double normal() { return std::sqrt(-2 * std::log(uniform() + 1e-12)) * std::cos(2 * M_PI * uniform()); }

inline bool same(const Floats& a, const Floats& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), 4 * a.size()) == 0);
}

struct Operand {
  /** Null for an absent one. */
  const void* data;
  DType dtype;
  Layout layout;
  std::vector<int64_t> shape;
};

/** Runs an op on so many threads, in scratch memory that ends where the kernel said it would. */
inline void run(const KernelTable& table, Kind kind, const std::vector<Operand>& operands,
                const std::vector<double>& numbers, int threads) {
  std::vector<double> words = {double(int(kind)), 0};
  std::vector<uint8_t*> buffers;
  for (const Operand& o : operands) {
    for (double word : {o.data ? double(buffers.size()) : -1.0, 0.0, double(int(o.dtype)), double(int(o.layout))})
      words.push_back(word);
    for (size_t i = 0; i < 4; i++) words.push_back(i < o.shape.size() ? double(o.shape[i]) : 1);
    buffers.push_back(static_cast<uint8_t*>(const_cast<void*>(o.data)));
  }
  words.insert(words.end(), numbers.begin(), numbers.end());
  Op op = {words.data(), buffers.data(), int(operands.size())};
  size_t need = size_t(table.scratch[int(kind)] ? table.scratch[int(kind)](op, threads) : 0);
  // Full of NaN, and no larger than was asked for, so that the address sanitizer sees what lies behind.
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, need) != 0) std::abort();
  std::unique_ptr<uint8_t, void (*)(uint8_t*)> scratch(static_cast<uint8_t*>(memory), [](uint8_t* p) { std::free(p); });
  std::memset(scratch.get(), 0xff, need);
  Barrier barrier;
  barrier.threads = threads;
  auto body = [&](int i) { table.run[int(kind)](op, Work{i, threads, scratch.get(), &barrier, &barrier.counters}); };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; i++) others.emplace_back(body, i);
  body(0);
  for (std::thread& thread : others) thread.join();
}

/** Calls check(table) for each set that was built and that this machine runs; the exit status of the program. */
inline int for_each_table(const std::function<void(const KernelTable&)>& check) {
#define TABLE(isa) &fovea_kernels_##isa,
  for (const KernelTable* table : {FOVEA_TABLES}) {
#undef TABLE
    if (!machine_runs(table->isa)) {
      std::printf("%s: SKIPPED, this machine has no such instructions\n", table->isa);
      continue;
    }
    int before = failures;
    check(*table);
    std::printf("%s: %s\n", table->isa, failures == before ? "ok" : "FAILED");
    std::fflush(stdout);
  }
  return failures != 0;
}

}  // namespace test
}  // namespace fovea
