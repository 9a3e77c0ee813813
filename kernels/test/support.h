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

/** Ops as a plan has them; equal addresses are the same buffer. */
struct Commands {
  std::vector<double> words;
  std::vector<uint8_t*> buffers;

  void add(Kind kind, const std::vector<Operand>& operands, const std::vector<double>& numbers) {
    const size_t start = words.size();
    words.insert(words.end(), {double(int(kind)), 0.0});
    for (const Operand& o : operands) {
      uint8_t* data = static_cast<uint8_t*>(const_cast<void*>(o.data));
      size_t id = 0;
      while (id < buffers.size() && buffers[id] != data) id++;
      if (id == buffers.size()) buffers.push_back(data);
      for (double word : {data ? double(id) : -1.0, 0.0, double(int(o.dtype)), double(int(o.layout))})
        words.push_back(word);
      for (size_t i = 0; i < 4; i++) words.push_back(i < o.shape.size() ? double(o.shape[i]) : 1);
    }
    words.insert(words.end(), numbers.begin(), numbers.end());
    words[start + 1] = double(words.size() - start);
  }
};

/** Runs the program on so many threads; one by one when its ops are to be timed. */
inline void interpret_all(const KernelTable& table, const Commands& commands, int threads, bool one_by_one,
                          Tuning* tuning = nullptr) {
  std::vector<double> nanoseconds(commands.words.size());
  Program program = {commands.words.data(), int64_t(commands.words.size()), commands.buffers.data(), nullptr,
                     one_by_one ? nanoseconds.data() : nullptr, tuning};
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, size_t(scratch_bytes(table, program, threads))) != 0) std::abort();
  program.scratch = static_cast<uint8_t*>(memory);
  Barrier barrier;
  barrier.threads = threads;
  std::vector<std::thread> others;
  for (int i = 1; i < threads; i++) others.emplace_back([&, i] { interpret(table, program, barrier, i); });
  interpret(table, program, barrier, 0);
  for (std::thread& thread : others) thread.join();
  std::free(memory);
}

/** Runs an op on so many threads, in scratch memory that ends where the kernel said it would. */
inline void run(const KernelTable& table, Kind kind, const std::vector<Operand>& operands,
                const std::vector<double>& numbers, int threads) {
  Commands commands;
  commands.add(kind, operands, numbers);
  const std::vector<double>& words = commands.words;
  const std::vector<uint8_t*>& buffers = commands.buffers;
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
