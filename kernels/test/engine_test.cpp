// The engine under load: many small plans, uploads, writes and frees while plans run, an early end:
// `engine_test [threads] [plans]`. Meant for -fsanitize=thread.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "../dispatch.h"
#include "../engine.h"

using namespace fovea;

static void tensor(std::vector<double>& words, double buffer, double offset, double n, double d) {
  for (double w : {buffer, offset, 0.0, 0.0, n, d, 1.0, 1.0}) words.push_back(w);
}

/** y = factor * x over n elements of the given places. */
static void push_scale(std::vector<double>& words, double from, double at, double to, double to_at, double n, double factor) {
  words.insert(words.end(), {double(Kind::scale), 19});
  tensor(words, from, at, 1, n);
  tensor(words, to, to_at, 1, n);
  words.push_back(factor);
}

static void expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("failed: %s\n", what);
  std::exit(1);
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 3, plans = argc > 2 ? std::atoi(argv[2]) : 3000;
  std::string problem;
  const KernelTable* table = choose_kernels("", problem);
  expect(table, "kernels");
  constexpr int n = 5000, chain = 20;
  std::atomic<int> done{0};
  {
    Engine engine(*table, threads);
    std::vector<std::vector<float>> results(plans, std::vector<float>(n));
    std::vector<double> nanoseconds(chain + 1);
    int64_t buffer = engine.allocate(4 * n, problem);
    expect(buffer > 0, "allocate");
    std::vector<float> ones(n, 1.0f);
    for (int p = 0; p < plans; p++) {
      // The value of the buffer changes between plans: each must see the one written just before it.
      float start = float(p % 7 + 1);
      std::vector<float> values(n, start);
      engine.write(buffer, 0, reinterpret_cast<uint8_t*>(values.data()), 4 * n);
      auto job = std::make_unique<Job>();
      for (int i = 0; i < chain; i++) push_scale(job->words, i ? 0 : double(buffer), i ? 4.0 * n * (i - 1) : 0, 0, 4.0 * n * i, n, i % 2 ? 0.5 : 2);
      push_scale(job->words, 0, 4.0 * n * chain, 0, 4.0 * n * (chain + 1), n, 3);
      auto* bytes = reinterpret_cast<uint8_t*>(ones.data());
      job->uploads.push_back({0, size_t(4 * n * chain), std::vector<uint8_t>(bytes, bytes + 4 * n)});
      job->arena_bytes = size_t(4 * n * (chain + 2 + p % 3));
      job->outputs.push_back({0, size_t(4 * n * (chain - 1)), reinterpret_cast<uint8_t*>(results[size_t(p)].data()), 4 * n});
      if (p % 10 == 0) job->nanoseconds = nanoseconds.data();
      job->done = [&](std::unique_ptr<Job> ended) {
        expect(ended->problem.empty(), "a plan runs");
        done++;
      };
      expect(engine.submit(std::move(job), problem), "submit");
      if (p % 50 == 0) {
        int64_t other = engine.allocate(1 << 20, problem);
        engine.free(other);
      }
      if (p % 3 == 0)
        while (!engine.idle()) std::this_thread::yield();
    }
    while (!engine.idle()) std::this_thread::yield();
    while (done < plans) std::this_thread::yield();
    for (int p = 0; p < plans; p++)
      for (float x : results[size_t(p)]) expect(x == float(p % 7 + 1), "a plan sees what was written before it");
    auto wrong = std::make_unique<Job>();
    push_scale(wrong->words, 99, 0, 0, 0, n, 1);
    expect(!engine.submit(std::move(wrong), problem), "an unknown buffer is refused");
  }
  for (int round = 0; round < 30; round++) {
    // Ended while plans run and wait.
    Engine engine(*table, threads);
    for (int p = 0; p < 20; p++) {
      auto job = std::make_unique<Job>();
      for (int i = 0; i < 50; i++) push_scale(job->words, 0, 0, 0, 4.0 * n, n, 2);
      job->arena_bytes = 8 * n;
      engine.submit(std::move(job), problem);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(37 * round));
  }
  std::puts("ok");
}
