// Speed of dense products on one instruction set: `dense_bench [threads] [case]`. Prints medians beside what
// multiply-adds reach in registers alone, measured just before each round. Matrices b change from run to run,
// as the weights of layers do. Counts processor time when there is one thread, so that others on the machine
// disturb it less.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "../barrier.h"
#include "../dense/matmul.h"
#include "../interpreter.h"
#include "../memory.h"
#include "clock.h"

using namespace fovea;
using FOVEA_ISA::V;

/** Runs each of the works on all threads in turn, `rounds` times; nanoseconds of each round of each. */
static std::vector<std::vector<double>> time_rounds(int threads, int rounds, uint8_t* scratch,
                                                    const std::vector<std::function<void(const Work&, int)>>& works) {
  Barrier barrier;
  barrier.threads = threads;
  barrier.patience = 100000;
  std::vector<std::vector<double>> times(works.size());
  auto body = [&](int t) {
    Work mine = {t, threads, scratch, &barrier, &barrier.counters};
    for (int i = 0; i < rounds; i++)
      for (size_t w = 0; w < works.size(); w++) {
        barrier_wait(barrier);
        double before = threads == 1 ? used() : now();
        works[w](mine, i);
        barrier_wait(barrier);
        if (t == 0) times[w].push_back((threads == 1 ? used() : now()) - before);
      }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back(body, t);
  body(0);
  for (auto& t : others) t.join();
  return times;
}

/** Multiply-adds on registers alone; each thread does `spin_flops` operations. */
constexpr int chains = V::lanes == 16 ? 24 : 12, turns = 20000;
constexpr double spin_flops = 2.0 * chains * V::lanes * turns;
static volatile float sink;
static void spin(const Work&, int) {
  V::F s[chains], a = V::set1(0.999f), b = V::set1(0.001f), sum = V::zero();
  FOVEA_ISA::unroll<0, chains>([&](auto i) FOVEA_FLAT { s[i.value] = V::set1(float(i.value)); });
  for (int t = 0; t < turns; t++)
    FOVEA_ISA::unroll<0, chains>([&](auto i) FOVEA_FLAT { s[i.value] = V::fma(a, s[i.value], b); });
  FOVEA_ISA::unroll<0, chains>([&](auto i) FOVEA_FLAT { sum = V::add(sum, s[i.value]); });
  sink = V::reduce_add(sum);
}

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Case {
  const char* name;
  int64_t batch, n, k, m;
  bool across_a, across_b;
  bool bf16 = false;
};

static void measure(const Case& c, int threads) {
  double flops = 2.0 * double(c.batch * c.n * c.k * c.m);
  int64_t size_a = c.batch * c.n * c.k, size_b = c.batch * c.k * c.m, size_y = c.batch * c.n * c.m;
  int64_t copies = std::max<int64_t>(1, std::min<int64_t>(12, (64 << 20) / (size_b * 4)));
  Memory a, b, y, scratch;
  std::string problem;
  a.allocate(size_t(size_a * 4), problem), b.allocate(size_t(size_b * 4 * copies), problem), y.allocate(size_t(size_y * 4), problem);
  auto fill = [&](const Memory& memory, int64_t size) {
    for (int64_t i = 0; i < size; i++) {
      float x = float(i * 7919 % 1000) / 1000 - 0.5f;
      if (c.bf16) reinterpret_cast<uint16_t*>(memory.data())[i] = uint16_t(FOVEA_ISA::f16_of(x));
      else reinterpret_cast<float*>(memory.data())[i] = x;
    }
  };
  fill(a, size_a), fill(b, size_b * copies);
  std::vector<double> words = {double(Kind::matmul), 0};
  auto tensor = [&](int id, int dtype, std::vector<int64_t> shape) {
    words.insert(words.end(), {double(id), 0, double(dtype), 0});
    for (int64_t d : shape) words.push_back(double(d));
    words.push_back(1);
  };
  int type = c.bf16 ? 2 : 0;
  tensor(1, type, c.across_a ? std::vector<int64_t>{c.batch, c.k, c.n} : std::vector<int64_t>{c.batch, c.n, c.k});
  tensor(2, type, c.across_b ? std::vector<int64_t>{c.batch, c.m, c.k} : std::vector<int64_t>{c.batch, c.k, c.m});
  tensor(-1, 0, {1, 1, 1});
  tensor(3, 0, {c.batch, c.n, c.m});
  words.push_back(c.across_a), words.push_back(c.across_b);
  uint8_t* buffers[] = {nullptr, a.data(), b.data(), y.data()};
  scratch.allocate(size_t(FOVEA_ISA::matmul_scratch(Op{words.data(), buffers, 4}, threads)), problem);
  int rounds = int(std::max(8.0, std::min(200.0, 4e10 / flops)));
  auto times = time_rounds(threads, rounds, scratch.data(), {spin, [&](const Work& work, int round) {
    uint8_t* mine[] = {nullptr, a.data(), b.data() + round % copies * size_b * (c.bf16 ? 2 : 4), y.data()};
    FOVEA_ISA::matmul(Op{words.data(), mine, 4}, work);
  }});
  std::vector<double> shares;
  for (size_t i = 0; i < times[0].size(); i++) shares.push_back(flops / times[1][i] / (spin_flops * threads / times[0][i]));
  double best = *std::min_element(times[1].begin(), times[1].end()), best_spin = *std::min_element(times[0].begin(), times[0].end());
  std::printf("%-42s %8.1f us %6.1f of %6.1f GFLOP/s, share %5.1f %%, best %6.1f of %6.1f, %5.1f %%\n", c.name, median(times[1]) / 1e3,
              flops / median(times[1]), spin_flops * threads / median(times[0]), 100 * median(shares), flops / best,
              spin_flops * threads / best_spin, 100 * flops / best / (spin_flops * threads / best_spin));
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  std::string only = argc > 2 ? argv[2] : "";
  for (const Case& c : {
           Case{"encoder 128x768x768", 1, 128, 768, 768, false, false},
           Case{"encoder 128x768x768, b transposed", 1, 128, 768, 768, false, true},
           Case{"encoder 128x768x3072", 1, 128, 768, 3072, false, false},
           Case{"encoder 128x768x3072, b transposed", 1, 128, 768, 3072, false, true},
           Case{"encoder 128x3072x768", 1, 128, 3072, 768, false, false},
           Case{"encoder 128x3072x768, b transposed", 1, 128, 3072, 768, false, true},
           Case{"encoder 1024x768x3072", 1, 1024, 768, 3072, false, false},
           Case{"encoder 1024x768x3072, b transposed", 1, 1024, 768, 3072, false, true},
           Case{"encoder 1024x768x3072, bf16", 1, 1024, 768, 3072, false, false, true},
           Case{"training 4096x384x1536", 1, 4096, 384, 1536, false, false},
           Case{"training 4096x384x1536, b transposed", 1, 4096, 384, 1536, false, true},
           Case{"training 4096x1536x384", 1, 4096, 1536, 384, false, false},
           Case{"training dW 384x4096x1536, a transposed", 1, 384, 4096, 1536, true, false},
           Case{"training dW 1536x4096x384, a transposed", 1, 1536, 4096, 384, true, false},
           Case{"square 512", 1, 512, 512, 512, false, false},
           Case{"square 1024", 1, 1024, 1024, 1024, false, false},
           Case{"square 1024, both transposed", 1, 1024, 1024, 1024, true, true},
           Case{"square 2048", 1, 2048, 2048, 2048, false, false},
           Case{"scores 12x 128x64x128, b transposed", 12, 128, 64, 128, false, true},
           Case{"values 12x 128x128x64", 12, 128, 128, 64, false, false},
           Case{"skinny 1x768x3072", 1, 1, 768, 3072, false, false},
           Case{"skinny 1x768x3072, b transposed", 1, 1, 768, 3072, false, true},
           Case{"skinny 4x768x3072", 1, 4, 768, 3072, false, false},
           Case{"skinny 16x768x3072", 1, 16, 768, 3072, false, false},
           Case{"skinny 3072x768x4", 1, 3072, 768, 4, false, false},
           Case{"outer 1024x4x1024", 1, 1024, 4, 1024, false, false},
           Case{"small 64x64x64", 1, 64, 64, 64, false, false},
           Case{"small 16x16x16", 1, 16, 16, 16, false, false},
       })
    if (std::string(c.name).find(only) != std::string::npos) measure(c, threads);
}
