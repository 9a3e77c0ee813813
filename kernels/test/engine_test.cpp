// The engine under load: many small plans, uploads, writes, frees and replaced memory while plans run, products that
// threads share, small buffers in large memories, an early end:
// `engine_test [threads] [plans]`. Meant for -fsanitize=thread.
#include <algorithm>
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

static void wait_for(const Engine& engine) {
  while (!engine.idle()) std::this_thread::yield();
}

/** Runs a plan of these words to its end; gives the first `n` floats of a buffer, or of the arena at a place. */
static std::vector<float> result(Engine& engine, std::vector<double> words, size_t arena, int64_t buffer, size_t at, size_t n) {
  std::vector<float> out(n);
  std::string problem;
  auto plan = std::make_shared<Plan>();
  plan->words = std::move(words);
  plan->arena_bytes = arena;
  plan->outputs.push_back({buffer, at, reinterpret_cast<uint8_t*>(out.data()), 4 * n});
  expect(engine.submit(plan, nullptr, problem), "submit");
  wait_for(engine);
  return out;
}

/** Small buffers are pieces of large memories: each keeps its own bytes, new ones are zeroed, whatever is freed. */
static void check_pool(const KernelTable& table, int threads) {
  Engine engine(table, threads);
  std::string problem;
  struct Piece {
    int64_t id;
    size_t n;
    float value;
  };
  std::vector<Piece> pieces;
  auto check = [&](const Piece& piece) {
    for (float x : result(engine, {}, 0, piece.id, 0, piece.n)) expect(x == piece.value, "a small buffer keeps its bytes");
  };
  for (int round = 0; round < 3; round++) {
    for (size_t n : {1, 15, 16, 17, 1000, 70000, 2000000, 5000000}) {
      Piece piece = {engine.allocate(4 * n, problem), n, 0};
      expect(piece.id > 0, "allocate");
      check(piece);
      piece.value = float(pieces.size() + 1);
      std::vector<float> values(n, piece.value);
      engine.write(piece.id, 0, reinterpret_cast<uint8_t*>(values.data()), 4 * n);
      pieces.push_back(piece);
    }
    for (const Piece& piece : pieces) check(piece);
    for (size_t i = size_t(round % 2); i < pieces.size(); i++) {
      engine.free(pieces[i].id);
      pieces.erase(pieces.begin() + long(i));
    }
  }
  for (const Piece& piece : pieces) check(piece);
}

/** What was submitted before a buffer is replaced sees its old memory, what comes later the new one. */
static void check_replace(const KernelTable& table, int threads) {
  Engine engine(table, threads);
  std::string problem;
  constexpr size_t n = 3000;
  for (int round = 0; round < 20; round++) {
    std::vector<float> mapped(n, 1.0f), fresh(n, 2.0f), out[2] = {std::vector<float>(n), std::vector<float>(n)};
    int64_t buffer = engine.adopt(reinterpret_cast<uint8_t*>(mapped.data()), 4 * n), by = engine.allocate(4 * n, problem);
    engine.write(by, 0, reinterpret_cast<uint8_t*>(fresh.data()), 4 * n);
    auto plan = [&](std::vector<float>& to) {
      auto plan = std::make_shared<Plan>();
      for (int i = 0; i < 30; i++) push_scale(plan->words, double(buffer), 0, 0, 0, double(n), 1);
      plan->arena_bytes = 4 * n;
      plan->outputs.push_back({0, 0, reinterpret_cast<uint8_t*>(to.data()), 4 * n});
      return plan;
    };
    // Prepared once, it runs with the memory of each time.
    auto again = plan(out[1]);
    expect(engine.submit(plan(out[0]), nullptr, problem) && engine.submit(again, nullptr, problem), "submit");
    engine.replace(buffer, by);
    expect(!engine.knows(by), "the number of what replaces ends");
    wait_for(engine);
    for (float x : out[0]) expect(x == 1, "a plan runs with the memory that it had");
    for (float x : out[1]) expect(x == 1, "so does the next");
    std::fill(mapped.begin(), mapped.end(), 7.0f);
    expect(engine.submit(again, nullptr, problem), "submit again");
    wait_for(engine);
    for (float x : out[1]) expect(x == 2, "a later run has the new memory");
    engine.free(buffer);
    expect(!engine.submit(again, nullptr, problem), "a buffer that was freed is refused");
    expect(engine.allocate(4 * n, problem) == buffer, "its number is given out again");
    expect(!engine.submit(again, nullptr, problem), "and means another buffer");
    expect(engine.submit(plan(out[0]), nullptr, problem), "to all but the plans of before");
    wait_for(engine);
  }
}

/** Products large enough to be shared, whose parts threads take from each other; with choices changed in between. */
static void check_sharing(const KernelTable& table, int threads) {
  std::string problem;
  constexpr double n = 5, m = 700, k = 96;
  auto words_of = [&](double weight) {
    std::vector<double> words;
    auto op = [&](Kind kind, int numbers, std::initializer_list<std::initializer_list<double>> tensors) {
      words.push_back(double(int(kind)));
      words.push_back(double(2 + 8 * int(tensors.size()) + numbers));
      for (auto tensor : tensors) words.insert(words.end(), tensor);
    };
    // Rows x = scaled weights; the product of these rows with all rows, in panels.
    op(Kind::pack, 0, {{weight, 0, 0, 0, m, k, 1, 1}, {0, 0, 0, 1, m, k, 1, 1}});
    double panels = double(table.panel_bytes(DType::f32, int64_t(m), int64_t(k)));
    for (int i = 0; i < 4; i++)
      op(Kind::linear, 1, {{weight, 0, 0, 0, n, k, 1, 1}, {0, 0, 0, 1, m, k, 1, 1}, {-1, 0, 0, 0, 0, 1, 1, 1},
                           {0, panels + 4 * n * m * i, 0, 0, n, m, 1, 1}}), words.push_back(0);
    return words;
  };
  std::vector<float> weight(size_t(m * k)), wanted;
  for (size_t i = 0; i < weight.size(); i++) weight[i] = float(int(i * 7919 % 1000) - 500) / 500;
  size_t panels = size_t(table.panel_bytes(DType::f32, int64_t(m), int64_t(k))), y = size_t(n * m);
  for (int used : {1, threads}) {
    Engine engine(table, used);
    int64_t id = engine.adopt(reinterpret_cast<uint8_t*>(weight.data()), 4 * weight.size());
    engine.tuning().note(100);
    for (int round = 0; round < 30; round++) {
      std::vector<float> all = result(engine, words_of(double(id)), panels + 16 * y, 0, panels, 4 * y);
      if (wanted.empty()) wanted = all;
      expect(std::equal(all.begin(), all.end(), wanted.begin()), "shared products have the bits of unshared ones");
      std::vector<Sample> samples = engine.tuning().noted();
      expect(!samples.empty(), "times are noted");
      Choice choice;
      choice.panels = round % 5;
      choice.ahead = 512 * (round % 3);
      std::vector<Tuned> choices;
      for (const Sample& sample : samples) choices.push_back({sample.shape, choice});
      expect(engine.tuning().choose(choices, problem), "choices");
    }
    Choice wrong;
    wrong.step = 100;
    ProductShape shape;
    shape.m = 1;
    expect(!engine.tuning().choose({{shape, wrong}}, problem), "a choice out of range is refused");
  }
}

constexpr int n = 5000, chain = 20;

/** Submits the plan and waits for its end, in which it must not fail. */
static void run_in_turn(Engine& engine, const std::shared_ptr<Plan>& plan) {
  std::string problem;
  std::atomic<bool> done{false};
  auto ended = [&](std::string failure) {
    expect(failure.empty(), "a plan runs");
    done = true;
  };
  expect(engine.submit(plan, ended, problem), "submit");
  while (!done) std::this_thread::yield();
}

/** Many plans at once; the value of their buffer changes between them: each must see the one written just before it. */
static void check_order(const KernelTable& table, int threads, int plans) {
  Engine engine(table, threads);
  std::string problem;
  std::atomic<int> done{0};
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
    std::vector<float> values(n, float(p % 7 + 1));
    engine.write(buffer, 0, reinterpret_cast<uint8_t*>(values.data()), 4 * n);
    auto plan = std::make_shared<Plan>();
    for (int i = 0; i < chain; i++) push_scale(plan->words, i ? 0 : double(buffer), i ? 4.0 * n * (i - 1) : 0, 0, 4.0 * n * i, n, i % 2 ? 0.5 : 2);
    push_scale(plan->words, 0, 4.0 * n * chain, 0, 4.0 * n * (chain + 1), n, 3);
    plan->uploads.push_back({size_t(4 * n * chain), reinterpret_cast<uint8_t*>(ones.data()), 4 * n});
    plan->arena_bytes = size_t(4 * n * (chain + 2 + p % 3));
    plan->outputs.push_back({0, size_t(4 * n * (chain - 1)), reinterpret_cast<uint8_t*>(results[size_t(p)].data()), 4 * n});
    if (p % 10 == 0) plan->nanoseconds = nanoseconds.data();
    expect(engine.submit(plan, ended, problem), "submit");
    if (p % 50 == 0) engine.free(engine.allocate(1 << 20, problem));
    if (p % 3 == 0) wait_for(engine);
  }
  while (done < plans) std::this_thread::yield();
  for (int p = 0; p < plans; p++)
    for (float x : results[size_t(p)]) expect(x == float(p % 7 + 1), "a plan sees what was written before it");
}

/**
 * One plan again and again, on this thread where that is allowed and in its turn where not: each run takes the upload
 * as it is then, and adds nothing of its own. Longer and shorter ones, for all threads and for one.
 */
static void check_repeats(const KernelTable& table, int threads, int plans) {
  Engine engine(table, threads);
  std::string problem;
  int here = 0;
  for (int size : {10, 3000}) {
    auto plan = std::make_shared<Plan>();
    std::vector<float> in(size), out(size);
    push_scale(plan->words, 0, 0, 0, 4.0 * size, size, 2);
    for (int i = 1; i < chain; i++) push_scale(plan->words, 0, 4.0 * size * i, 0, 4.0 * size * (i + 1), size, 1);
    plan->uploads.push_back({0, reinterpret_cast<uint8_t*>(in.data()), size_t(4 * size)});
    plan->outputs.push_back({0, size_t(4 * size * chain), reinterpret_cast<uint8_t*>(out.data()), size_t(4 * size)});
    plan->arena_bytes = size_t(4 * size * (chain + 1));
    for (int p = 0; p < plans; p++) {
      for (float& x : in) x = float(p);
      problem.clear();
      if (engine.run_here(*plan, problem)) here++;
      else {
        expect(problem.empty(), "a plan that cannot run here can run");
        run_in_turn(engine, plan);
      }
      for (float x : out) expect(x == float(2 * p), "a plan runs again");
      if (p % 100 == 0) {
        // Something else that runs just now.
        engine.free(engine.allocate(1 << 20, problem));
        expect(engine.submit(plan, nullptr, problem), "submit");
        expect(!engine.run_here(*plan, problem) || engine.idle(), "plans run one after another");
        wait_for(engine);
      }
    }
  }
  // Where threads must meet over the smallest plan, a busy machine may leave none that is short.
  if (!std::getenv("FOVEA_ALONE")) expect(here > 0, "short plans run on the thread that asks");
}

/** What lies outside the arena or a buffer, or names none. */
static void check_refusals(const KernelTable& table, int threads) {
  Engine engine(table, threads);
  std::string problem;
  float at[4] = {};
  auto* bytes = reinterpret_cast<uint8_t*>(at);
  int64_t small = engine.allocate(16, problem);
  auto refused = [&](double from, std::vector<Plan::Upload> uploads, std::vector<Plan::Output> outputs) {
    Plan plan;
    push_scale(plan.words, from, 0, 0, 0, 4, 1);
    plan.uploads = std::move(uploads);
    plan.outputs = std::move(outputs);
    plan.arena_bytes = 16;
    return !engine.check(plan, problem);
  };
  expect(!refused(0, {{0, bytes, 16}}, {{0, 0, bytes, 16}, {small, 12, bytes, 4}}), "a plan within its memory is taken");
  expect(refused(99, {}, {}), "an unknown buffer is refused");
  expect(refused(0, {}, {{99, 0, bytes, 4}}) && refused(0, {}, {{-1, 0, bytes, 4}}), "so it is as an output");
  expect(refused(0, {{4, bytes, 16}}, {}) && refused(0, {{SIZE_MAX, bytes, 4}}, {}), "uploads stay in the arena");
  expect(refused(0, {}, {{0, 1, bytes, 16}}), "so do outputs");
  expect(refused(0, {}, {{small, 13, bytes, 4}}) && refused(0, {}, {{small, SIZE_MAX, bytes, 4}}), "and in their buffers");
}

/** Engines that end while plans run and wait. */
static void check_early_end(const KernelTable& table, int threads) {
  for (int round = 0; round < 30; round++) {
    Engine engine(table, threads);
    std::string problem;
    for (int p = 0; p < 20; p++) {
      auto plan = std::make_shared<Plan>();
      for (int i = 0; i < 50; i++) push_scale(plan->words, 0, 0, 0, 4.0 * n, n, 2);
      plan->arena_bytes = 8 * n;
      engine.submit(plan, nullptr, problem);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(37 * round));
  }
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 3, plans = argc > 2 ? std::atoi(argv[2]) : 3000;
  std::string problem;
  const KernelTable* table = choose_kernels("", problem);
  expect(table, "kernels");
  check_order(*table, threads, plans);
  check_repeats(*table, threads, plans);
  check_refusals(*table, threads);
  check_pool(*table, threads);
  check_replace(*table, threads);
  check_sharing(*table, threads);
  check_early_end(*table, threads);
  std::puts("ok");
}
