// Speed of the matrix kernels of one instruction set: `linear_bench [threads] [formats] [m] [k] [megabytes]
// [tokens...]`, with "bf16:" before the formats with operands rounded to that. Walks over copies of a matrix [m, k] that fill so many megabytes (more than the last cache
// holds, for the speed of memory). Links with cpu.cpp. Prints the weight bytes read per second, the operations per second, and the
// speed of packing.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <vector>
#include <sys/mman.h>

#include "../cpu.h"
#include "../kernels.h"

namespace fovea {
struct Barrier {
  std::atomic<int> arrived{0}, phase{0};
  int threads = 1;
  Counters counters;
};
void barrier_wait(Barrier& b) {
  int phase = b.phase.load();
  if (b.arrived.fetch_add(1) + 1 == b.threads) {
    b.arrived = 0;
    b.counters.clear(b.threads);
    b.phase.store(phase + 1);
  } else while (b.phase.load() == phase) __builtin_ia32_pause();
}
}  // namespace fovea

using namespace fovea;
extern "C" { extern const KernelTable BENCH_TABLE; }

static uint8_t* pages(size_t bytes) {
  void* p = mmap(nullptr, bytes + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint8_t* at = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(p) + (2 << 20) - 1) & ~uintptr_t((2 << 20) - 1));
  madvise(at, bytes, MADV_HUGEPAGE);
  return at;
}

struct T { int buffer; DType dtype; Layout layout; int64_t d[3]; };

int main(int count, char** arguments) {
  int threads = count > 1 ? std::atoi(arguments[1]) : 2;
  std::string wanted = count > 2 ? arguments[2] : "q8_0,q4_0";
  const bool rounded = wanted.rfind("bf16:", 0) == 0;
  if (rounded) wanted = wanted.substr(5);
  std::vector<int64_t> tokens;
  // One layer of a TinyLlama by default: 2048 wide, 5632 in the middle.
  const int64_t m = count > 3 ? std::atoll(arguments[3]) : 5632, k = count > 4 ? std::atoll(arguments[4]) : 2048;
  const int64_t megabytes = count > 5 ? std::atoll(arguments[5]) : 1000;
  for (int i = 6; i < count; i++) tokens.push_back(std::atoll(arguments[i]));
  if (tokens.empty()) tokens = {1, 4, 512};
  // Also asks the system for the tiles of AMX.
  machine_runs("amx");
  const KernelTable& table = BENCH_TABLE;
  const char* names[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_K", "q5_K", "q6_K", "i8_row"};
  const int64_t block[] = {1, 1, 1, 32, 32, 32, 32, 32, 256, 256, 256, 1}, size[] = {4, 2, 2, 34, 18, 20, 22, 24, 144, 176, 210, 1};
  for (int f = 0; f < 12; f++) {
    if (("," + wanted + ",").find("," + std::string(names[f]) + ",") == std::string::npos) continue;
    int64_t row_bytes = m * k / block[f] * size[f] + (f == 11 ? 4 * m : 0), panel = table.panel_bytes(DType(f), m, k), most = *std::max_element(tokens.begin(), tokens.end());
    int64_t copies = std::max(int64_t(1), megabytes * 1000000 / panel);
    uint8_t *rows = pages(size_t(row_bytes)), *weights = pages(size_t(panel * copies)), *scratch = pages(64 << 20);
    float *x = reinterpret_cast<float*>(pages(size_t(4 * most * k))), *y = reinterpret_cast<float*>(pages(size_t(4 * most * m)));
    // Bytes of which any two are a plain number in half precision.
    for (int64_t i = 0; i < row_bytes; i++) rows[i] = f < 3 ? uint8_t(i % 4 == 3 ? 0x3c : 0x2c) : uint8_t(16 + i * 37 % 44);
    for (int64_t i = 0; i < most * k; i++) x[i] = float(i * 7919 % 1000) / 1000 - 0.5f;
    Barrier barrier;
    barrier.threads = threads;
    auto run = [&](Kind kind, std::vector<T> ts, int repeat, int64_t step) {
      std::vector<double> words = {double(int(kind)), 0};
      for (T& t : ts)
        for (double w : {double(t.buffer), 0.0, double(int(t.dtype)), double(int(t.layout)), double(t.d[0]), double(t.d[1]), double(t.d[2]), 1.0}) words.push_back(w);
      words.push_back(rounded);
      auto body = [&](int thread) {
        for (int i = 0; i < repeat; i++) {
          uint8_t* buffers[] = {rows, weights + i % copies * step, reinterpret_cast<uint8_t*>(x), reinterpret_cast<uint8_t*>(y)};
          Op op = {words.data(), buffers, int(ts.size())};
          table.run[int(kind)](op, Work{thread, threads, scratch, &barrier, &barrier.counters});
          barrier_wait(barrier);
        }
      };
      double best = 1e9;
      for (int trial = 0; trial < 3; trial++) {
        auto start = std::chrono::steady_clock::now();
        std::clock_t clock = std::clock();
        std::vector<std::thread> others;
        for (int i = 1; i < threads; i++) others.emplace_back(body, i);
        body(0);
        for (auto& t : others) t.join();
        double s = (threads == 1 ? double(std::clock() - clock) / CLOCKS_PER_SEC : std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()) / repeat;
        best = s < best ? s : best;
      }
      return best;
    };
    DType dtype = DType(f);
    double pack = run(Kind::pack, {{0, dtype, Layout::rows, {m, k, 1}}, {1, dtype, Layout::panels, {m, k, 1}}}, int(copies), panel);
    std::printf("%-6s pack %5.1f GB/s", names[f], double(panel) / pack / 1e9);
    for (int64_t n : tokens) {
      double s = run(Kind::linear, {{2, DType::f32, Layout::rows, {n, k, 1}}, {1, dtype, Layout::panels, {m, k, 1}},
                                    {-1, DType::f32, Layout::rows, {1, 1, 1}}, {3, DType::f32, Layout::rows, {n, m, 1}}}, n > 64 ? 3 : int(std::max(int64_t(24), copies)), panel);
      std::printf("  n=%-3d %6.1f GB/s %6.0f GOP/s", int(n), double(panel) / s / 1e9, 2e-9 * double(n * m * k) / s);
    }
    std::printf("\n");
    munmap(rows, size_t(row_bytes)), munmap(weights, size_t(panel * copies));
  }
}
