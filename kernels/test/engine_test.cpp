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
    auto ended = [&](std::string failure) {
      expect(failure.empty(), "a plan runs");
      done++;
    };
    int64_t buffer = engine.allocate(4 * n, problem);
    expect(buffer > 0, "allocate");
    std::vector<float> ones(n, 1.0f);
    for (int p = 0; p < plans; p++) {
      // The value of the buffer changes between plans: each must see the one written just before it.
      float start = float(p % 7 + 1);
      std::vector<float> values(n, start);
      engine.write(buffer, 0, reinterpret_cast<uint8_t*>(values.data()), 4 * n);
      auto plan = std::make_shared<Plan>();
      for (int i = 0; i < chain; i++) push_scale(plan->words, i ? 0 : double(buffer), i ? 4.0 * n * (i - 1) : 0, 0, 4.0 * n * i, n, i % 2 ? 0.5 : 2);
      push_scale(plan->words, 0, 4.0 * n * chain, 0, 4.0 * n * (chain + 1), n, 3);
      plan->uploads.push_back({size_t(4 * n * chain), reinterpret_cast<uint8_t*>(ones.data()), 4 * n});
      plan->arena_bytes = size_t(4 * n * (chain + 2 + p % 3));
      plan->outputs.push_back({0, size_t(4 * n * (chain - 1)), reinterpret_cast<uint8_t*>(results[size_t(p)].data()), 4 * n});
      if (p % 10 == 0) plan->nanoseconds = nanoseconds.data();
      expect(engine.submit(plan, ended, problem), "submit");
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
    auto wrong = std::make_shared<Plan>();
    push_scale(wrong->words, 99, 0, 0, 0, n, 1);
    expect(!engine.submit(wrong, ended, problem), "an unknown buffer is refused");

    int submitted = plans;
    // One plan again and again, on this thread where that is allowed and in its turn where not: each run takes the
    // upload as it is then, and adds nothing of its own. Longer and shorter ones, for all threads and for one.
    for (int size : {10, 3000}) {
      auto plan = std::make_shared<Plan>();
      std::vector<float> in(size), out(size);
      push_scale(plan->words, 0, 0, 0, 4.0 * size, size, 2);
      for (int i = 1; i < chain; i++) push_scale(plan->words, 0, 4.0 * size * i, 0, 4.0 * size * (i + 1), size, 1);
      plan->uploads.push_back({0, reinterpret_cast<uint8_t*>(in.data()), size_t(4 * size)});
      plan->outputs.push_back({0, size_t(4 * size * chain), reinterpret_cast<uint8_t*>(out.data()), size_t(4 * size)});
      plan->arena_bytes = size_t(4 * size * (chain + 1));
      int here = 0;
      for (int p = 0; p < plans; p++) {
        for (float& x : in) x = float(p);
        problem.clear();
        if (engine.run_here(*plan, problem)) {
          here++;
        } else {
          expect(problem.empty() && engine.submit(plan, ended, problem), "submit again");
          submitted++;
          while (done < submitted) std::this_thread::yield();
        }
        for (float x : out) expect(x == float(2 * p), "a plan runs again");
        if (p % 100 == 0) {
          // Something else that runs just now.
          engine.free(engine.allocate(1 << 20, problem));
          engine.submit(plan, ended, problem);
          submitted++;
          expect(!engine.run_here(*plan, problem) || engine.idle(), "plans run one after another");
          while (done < submitted) std::this_thread::yield();
        }
      }
      expect(here > plans / 2, "short plans run on the thread that asks");
    }
  }
  for (int round = 0; round < 30; round++) {
    // Ended while plans run and wait.
    Engine engine(*table, threads);
    for (int p = 0; p < 20; p++) {
      auto plan = std::make_shared<Plan>();
      for (int i = 0; i < 50; i++) push_scale(plan->words, 0, 0, 0, 4.0 * n, n, 2);
      plan->arena_bytes = 8 * n;
      engine.submit(plan, nullptr, problem);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(37 * round));
  }
  std::puts("ok");
}
