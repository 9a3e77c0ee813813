// Speed of attention on one instruction set: `attend_bench [threads] [case]`. Prints GFLOP/s (of the products that the
// causal mask leaves) for prompts, and GB/s of keys and values for single tokens. Counts processor time when
// there is one thread, so that others on the machine disturb it less.
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "../attend/attend.h"
#include "../interpreter.h"
#include "../memory.h"
#include "clock.h"

using namespace fovea;

struct Case {
  const char* name;
  int64_t n, position, heads, kv_heads, d;
  /** Of the cache. */
  DType format;
  int64_t sequences;
  bool causal = true;
  /** Keys that all sequences have in common, of which a sequence has whole tiles before `position`; 0: none. */
  int64_t common = 0;
  /** Whether they attend to these together. */
  bool together = false;
};

static void measure(const Case& c, int threads) {
  constexpr int64_t page = 64;
  int64_t longest = c.position + c.n, pages_each = (longest + page - 1) / page;
  int64_t common_pages = c.common / page, pages = pages_each * c.sequences - common_pages * (c.sequences - 1);
  int64_t rows = c.n * c.sequences, cache = pages * c.kv_heads * page * c.d;
  std::vector<float> q(size_t(rows * c.heads * c.d)), y(q.size());
  Memory keys, values;
  std::string problem;
  for (Memory* m : {&keys, &values}) m->allocate(size_t(FOVEA_ISA::format_bytes(c.format, cache)), problem);
  std::vector<int32_t> table, spans, order, shares(size_t(4 * c.sequences), 0);
  auto random = [] { return float(std::rand()) / float(RAND_MAX) - 0.5f; };
  for (float& x : q) x = random();
  for (const Memory* bytes : {&keys, &values})
    for (int64_t p = 0; p < pages * c.kv_heads; p++) {
      // As q8_0: codes, then scales.
      uint8_t* at = bytes->data() + p * FOVEA_ISA::format_bytes(c.format, page * c.d);
      for (int64_t i = 0; i < page * c.d; i++) {
        if (c.format == DType::f16) reinterpret_cast<uint16_t*>(at)[i] = FOVEA_ISA::f16_of(random());
        else if (c.format == DType::f32) reinterpret_cast<float*>(at)[i] = random();
        else at[i] = uint8_t(std::rand());
      }
      if (c.format == DType::q8_0)
        for (int64_t i = 0; i < page * c.d / 32; i++)
          reinterpret_cast<uint16_t*>(at + page * c.d)[i] = FOVEA_ISA::f16_of(0.004f);
    }
  int32_t next = int32_t(common_pages);
  for (int64_t s = 0; s < c.sequences; s++) {
    for (int64_t p = 0; p < pages_each; p++) table.push_back(p < common_pages ? int32_t(p) : next++);
    order.push_back(int32_t(s));
    spans.push_back(int32_t(s * c.n));
    spans.push_back(int32_t(c.n));
    spans.push_back(int32_t(c.position));
  }
  std::vector<double> words = {double(Kind::attend), 0};
  auto tensor = [&](double id, double dtype, std::vector<double> shape) {
    words.insert(words.end(), {id, 0, dtype, 0});
    for (size_t i = 0; i < 4; i++) words.push_back(i < shape.size() ? shape[i] : 1);
  };
  double type = double(int(c.format));
  tensor(1, 0, {double(rows), double(c.heads), double(c.d)});
  tensor(2, type, {double(pages), double(c.kv_heads), page, double(c.d)});
  tensor(3, type, {double(pages), double(c.kv_heads), page, double(c.d)});
  tensor(4, 11, {double(c.sequences), double(pages_each)});
  tensor(5, 11, {double(c.sequences), 3});
  tensor(c.together ? 7 : -1, 11, {double(c.sequences)});
  tensor(c.together ? 8 : -1, 11, {double(c.sequences), 4});
  tensor(6, 0, {double(rows), double(c.heads), double(c.d)});
  for (double number : {0.125, 0.0, 0.0, double(longest), c.causal ? 1.0 : 0.0, c.together ? double(rows) : 0.0}) words.push_back(number);
  if (c.together) shares[1] = int32_t(c.sequences), shares[3] = int32_t(c.common / FOVEA_ISA::Attention::tile);
  uint8_t* buffers[] = {nullptr, (uint8_t*)q.data(), keys.data(), values.data(), (uint8_t*)table.data(), (uint8_t*)spans.data(), (uint8_t*)y.data(), (uint8_t*)order.data(), (uint8_t*)shares.data()};
  Op op = {words.data(), buffers, 8};
  Memory memory;
  memory.allocate(size_t(FOVEA_ISA::attend_scratch(op, threads)), problem);
  uint8_t* scratch = memory.data();
  Barrier barrier;
  barrier.threads = threads;
  barrier.patience = 1000;
  double best = 1e30;
  auto body = [&](int t) {
    Work work = {t, threads, scratch, &barrier, &barrier.counters};
    for (int i = 0; i < 12; i++) {
      double before = threads == 1 ? used() : now();
      barrier_wait(barrier);
      FOVEA_ISA::attend(op, work);
      barrier_wait(barrier);
      double time = (threads == 1 ? used() : now()) - before;
      if (t == 0 && time < best) best = time;
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back(body, t);
  body(0);
  for (auto& t : others) t.join();
  double pairs = 0;
  for (int64_t i = 0; i < c.n; i++) pairs += double(c.causal ? c.position + i + 1 : longest);
  double flops = 4.0 * pairs * double(c.heads * c.d * c.sequences), bytes = 2.0 * double(FOVEA_ISA::format_bytes(c.format, longest * c.kv_heads * c.d * c.sequences));
  std::printf("%-34s %9.1f us %8.1f GFLOP/s %7.2f GB/s\n", c.name, best / 1e3, flops / best, bytes / best);
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  int only = argc > 2 ? std::atoi(argv[2]) : -1, index = 0;
  constexpr DType f32 = DType::f32, f16 = DType::f16, q8 = DType::q8_0;
  for (const Case& c : {
           Case{"512 at 0, 32/4 heads of 64, f16", 512, 0, 32, 4, 64, f16, 1},
           Case{"512 at 0, 32/4 heads of 64, f32", 512, 0, 32, 4, 64, f32, 1},
           Case{"512 at 7680, 32/4 heads of 64, f16", 512, 7680, 32, 4, 64, f16, 1},
           Case{"512 at 7680, 32/4 heads of 64, f32", 512, 7680, 32, 4, 64, f32, 1},
           Case{"512 at 7680, 32/4 heads of 64, q8", 512, 7680, 32, 4, 64, q8, 1},
           Case{"512 at 7680, 14/2 heads of 64, f16", 512, 7680, 14, 2, 64, f16, 1},
           Case{"512 at 7680, 32/8 heads of 128, f16", 512, 7680, 32, 8, 128, f16, 1},
           Case{"512 at 0, 12/12 heads of 64, f32", 512, 0, 12, 12, 64, f32, 1},
           Case{"1 at 127, 32/4 heads of 64, f16", 1, 127, 32, 4, 64, f16, 1},
           Case{"1 at 127, 14/2 heads of 64, f16", 1, 127, 14, 2, 64, f16, 1},
           Case{"1 at 511, 32/4 heads of 64, f16", 1, 511, 32, 4, 64, f16, 1},
           Case{"1 at 511, 14/2 heads of 64, f16", 1, 511, 14, 2, 64, f16, 1},
           Case{"1 at 8191, 32/4 heads of 64, f16", 1, 8191, 32, 4, 64, f16, 1},
           Case{"1 at 8191, 32/4 heads of 64, f32", 1, 8191, 32, 4, 64, f32, 1},
           Case{"1 at 8191, 32/4 heads of 64, q8", 1, 8191, 32, 4, 64, q8, 1},
           Case{"1 at 8191, 14/2 heads of 64, f16", 1, 8191, 14, 2, 64, f16, 1},
           Case{"1 at 8191, 14/2 heads of 64, q8", 1, 8191, 14, 2, 64, q8, 1},
           Case{"1 at 8191, 32/8 heads of 128, f16", 1, 8191, 32, 8, 128, f16, 1},
           Case{"1 at 8191, 32/8 heads of 128, q8", 1, 8191, 32, 8, 128, q8, 1},
           Case{"1 at 8191, 32/32 heads of 128, f16", 1, 8191, 32, 32, 128, f16, 1},
           Case{"1 at 8191, 32/32 heads of 128, q8", 1, 8191, 32, 32, 128, q8, 1},
           Case{"8 sequences at 1000, 32/4, f16", 1, 1000, 32, 4, 64, f16, 8},
           Case{"32 sequences at 1000, 32/4, f16", 1, 1000, 32, 4, 64, f16, 32},
           Case{"128 both sides, 12/12 heads of 64", 128, 0, 12, 12, 64, f32, 1, false},
           Case{"8 x 128 both sides, 12/12 of 64", 128, 0, 12, 12, 64, f32, 8, false},
           Case{"32 at 4100, common, 4/4, f16", 1, 4100, 4, 4, 64, f16, 32, true, 4096, true},
           Case{"the same, each by itself", 1, 4100, 4, 4, 64, f16, 32, true, 4096},
           Case{"32 at 4100, common, 4/2, f16", 1, 4100, 4, 2, 64, f16, 32, true, 4096, true},
           Case{"the same, each by itself", 1, 4100, 4, 2, 64, f16, 32, true, 4096},
           Case{"32 at 8192, common, 4/4, f32", 1, 8192, 4, 4, 64, f32, 32, true, 8192, true},
           Case{"the same, each by itself", 1, 8192, 4, 4, 64, f32, 32, true, 8192},
           Case{"32 at 8192, common, 16/4, f32", 1, 8192, 16, 4, 64, f32, 32, true, 8192, true},
           Case{"the same, each by itself", 1, 8192, 16, 4, 64, f32, 32, true, 8192},
       })
    if (int i = index++; only < 0 || only == i) measure(c, threads);
}
