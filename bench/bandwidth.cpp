// Bytes per second at which n threads read memory, each its own part of one gigabyte; the best of several passes.
// usage: bandwidth THREADS  ->  GB/s on standard output
#include <sys/mman.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

static uint64_t read_all(const uint64_t* p, size_t n) {
  uint64_t sum[32] = {};
  for (size_t i = 0; i < n; i += 32) {
    __builtin_prefetch(p + i + 512);
    __builtin_prefetch(p + i + 520);
    __builtin_prefetch(p + i + 528);
    __builtin_prefetch(p + i + 536);
    for (int j = 0; j < 32; j++) sum[j] += p[i + j];
  }
  uint64_t total = 0;
  for (uint64_t s : sum) total += s;
  return total;
}

int main(int, char** argv) {
  const int threads = atoi(argv[1]);
  const size_t bytes = size_t(1) << 30;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  memset(memory, 1, bytes);
  const uint64_t* words = static_cast<const uint64_t*>(memory);
  const size_t each = bytes / 8 / size_t(threads) / 32 * 32;
  double best = 0;
  volatile uint64_t sink = 0;
  for (int pass = 0; pass < 8; pass++) {
    std::vector<uint64_t> sums(size_t(threads) * 16);
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> others;
    for (int t = 1; t < threads; t++)
      others.emplace_back([&, t] { sums[size_t(t) * 16] = read_all(words + each * size_t(t), each); });
    sums[0] = read_all(words, each);
    for (std::thread& thread : others) thread.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double speed = double(each) * 8 * threads / seconds.count() / 1e9;
    if (speed > best) best = speed;
    for (uint64_t s : sums) sink = sink + s;
  }
  printf("%.2f\n", best);
}
