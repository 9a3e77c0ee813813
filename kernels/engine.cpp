#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>

namespace fovea {

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}

/**
 * A millisecond: ten times what handing a plan over and the way back cost, and no long time for a caller who has other
 * things to do.
 */
static constexpr double short_plan = 1e6;

/** Patience with the next plan: it comes through JavaScript, which takes some 100 µs from token to token. */
static constexpr int patience_of_calls = 5;

Engine::Engine(const KernelTable& table, int threads) : table_(table), slots_(1), buffers_(1, nullptr), cores_(threads) {
  barrier_.threads = threads;
  // About 20 µs. With more threads than cores the one that is waited for may need this very core.
  barrier_.patience = threads <= available_cores() ? 1000 : 0;
  // FOVEA_ALONE=0: all threads meet over the smallest plan too, for tests of just that.
  const char* alone = getenv("FOVEA_ALONE");
  meet_always_ = alone && strcmp(alone, "0") == 0;
  try {
    for (int i = 0; i < threads; i++)
      threads_.emplace_back([this, i] {
        if (i > 0) cores_.stay(i);
        i == 0 ? lead() : follow(i);
      });
  } catch (...) {
    barrier_.threads = int(threads_.size());
    stop();
    throw;
  }
}

Engine::~Engine() { stop(); }

void Engine::stop() {
  __atomic_store_n(&barrier_.stop, 1u, __ATOMIC_SEQ_CST);
  __atomic_store_n(&alone_.stop, 1u, __ATOMIC_SEQ_CST);
  change(&submitted_, submitted_ + 1, &sleepers_);
  change(&called_, called_ + 1, &uncalled_);
  for (std::thread& thread : threads_) thread.join();
}

int64_t Engine::new_slot(uint8_t* data, size_t bytes) {
  int64_t id = int64_t(slots_.size());
  if (!free_ids_.empty()) {
    id = free_ids_.back();
    free_ids_.pop_back();
  } else {
    slots_.emplace_back();
    buffers_.push_back(nullptr);
  }
  slots_[size_t(id)].bytes = bytes;
  slots_[size_t(id)].since = frees_;
  buffers_[size_t(id)] = data;
  return id;
}

int64_t Engine::allocate(size_t bytes, std::string& problem) {
  Memory memory;
  if (!pool_.allocate(bytes, memory, problem)) return 0;
  int64_t id = new_slot(memory.data(), bytes);
  slots_[size_t(id)].memory = std::move(memory);
  buffer_bytes_ += bytes;
  return id;
}

int64_t Engine::adopt(uint8_t* data, size_t bytes) {
  // Memory of no bytes may have no address; it is never read.
  static uint8_t nothing;
  return new_slot(data ? data : &nothing, bytes);
}

bool Engine::knows(int64_t buffer) const {
  return buffer > 0 && buffer < int64_t(buffers_.size()) && buffers_[size_t(buffer)];
}

void Engine::free(int64_t buffer) {
  Slot& slot = slots_[size_t(buffer)];
  if (slot.memory.data()) buffer_bytes_ -= slot.bytes;
  Memory memory = std::move(slot.memory);
  slot.bytes = 0;
  buffers_[size_t(buffer)] = nullptr;
  free_ids_.push_back(buffer);
  frees_++;
  if (idle() || !memory.data()) return;
  auto job = std::make_unique<Job>();
  job->freed = std::move(memory);
  enqueue(std::move(job));
}

void Engine::replace(int64_t buffer, int64_t by) {
  Slot &to = slots_[size_t(buffer)], &from = slots_[size_t(by)];
  to.memory = std::move(from.memory);
  buffers_[size_t(buffer)] = to.memory.data();
  from.bytes = 0;
  buffers_[size_t(by)] = nullptr;
  free_ids_.push_back(by);
  frees_++;
}

void Engine::write(int64_t buffer, size_t offset, const uint8_t* bytes, size_t length) {
  if (idle()) {
    memcpy(buffers_[size_t(buffer)] + offset, bytes, length);
    return;
  }
  auto job = std::make_unique<Job>();
  job->to = buffers_[size_t(buffer)] + offset;
  job->bytes.assign(bytes, bytes + length);
  enqueue(std::move(job));
}

/** Why the plan cannot run; empty when it can. */
std::string Engine::fault_of(const Plan& plan) const {
  std::vector<uint8_t*> known = buffers_;
  for (size_t id = 1; plan.checked && id < known.size(); id++)
    if (slots_[id].since > plan.checked) known[id] = nullptr;
  Program program = {plan.words.data(), int64_t(plan.words.size()), known.data(), nullptr, nullptr};
  auto missing = [](int64_t id) {
    return "the plan names buffer " + std::to_string(id) + ", which does not exist (any more)";
  };
  auto outside = [](size_t offset, size_t bytes, size_t room) { return offset > room || bytes > room - offset; };
  if (int64_t id = unknown_buffer(program, int64_t(known.size())); id >= 0) return missing(id);
  for (const Plan::Output& output : plan.outputs) {
    bool buffer = output.buffer != 0, exists = knows(output.buffer) && known[size_t(output.buffer)];
    if (buffer && !exists) return missing(output.buffer);
    if (outside(output.offset, output.bytes, buffer ? bytes_of(output.buffer) : plan.arena_bytes))
      return "an output of the plan lies outside its buffer";
  }
  for (const Plan::Upload& upload : plan.uploads)
    if (outside(upload.offset, upload.bytes, plan.arena_bytes)) return "an upload of the plan lies outside the arena";
  return "";
}

bool Engine::check(Plan& plan, std::string& problem) {
  if (plan.checked == frees_) {
    choose(plan);
    return true;
  }
  problem = fault_of(plan);
  if (!problem.empty()) return false;
  Program program = {plan.words.data(), int64_t(plan.words.size()), buffers_.data(), nullptr, nullptr};
  if (!plan.checked) {
    bool free_choice = barrier_.threads > 1 && !meet_always_;
    plan.alone = plan.estimated = barrier_.threads == 1 || (free_choice && is_small(program));
    plan.doubtful = free_choice && !is_small(program, 0.25) && is_small(program, 32);
    for (int threads : {1, barrier_.threads})
      plan.scratch_bytes = std::max(plan.scratch_bytes, size_t(scratch_bytes(table_, program, threads)));
  }
  plan.checked = frees_;
  choose(plan);
  return true;
}

/**
 * Whether one thread runs the plan or all do. What meetings cost and threads save differs from machine to machine, so
 * for a short plan that runs again and again both ways are tried now and then, and the quicker one is taken.
 */
void Engine::choose(Plan& plan) {
  if (!plan.doubtful || !idle()) return;
  uint32_t turn = plan.runs % 1024;
  // The estimate is not so wrong that a trial of a longer plan could pay.
  bool worth_trying = std::min(plan.quickest[0], plan.quickest[1]) < 4 * short_plan;
  if (!worth_trying || turn < 4) plan.alone = plan.estimated;
  // The quickest of several threads is the luckiest: each that is late delays all. It must win by a tenth.
  else plan.alone = turn < 8 ? !plan.estimated : plan.quickest[1] < 1.1 * plan.quickest[0];
}

bool Engine::submit(std::shared_ptr<Plan> plan, std::function<void(std::string)> done, std::string& problem) {
  auto job = std::make_unique<Job>();
  if (plan) {
    if (!check(*plan, problem)) return false;
    for (const Plan::Upload& upload : plan->uploads)
      job->bytes.insert(job->bytes.end(), upload.from, upload.from + upload.bytes);
    job->buffers = buffers_;
  }
  job->plan = std::move(plan);
  job->done = std::move(done);
  enqueue(std::move(job));
  return true;
}

bool Engine::run_here(Plan& plan, std::string& problem) {
  if (!idle() || plan.took > short_plan || !check(plan, problem)) return false;
  if (!plan.alone) {
    cores_.lead();
    change(&called_, called_ + 1, &uncalled_);
  }
  perform(plan, buffers_.data(), nullptr, problem);
  return problem.empty();
}

void Engine::enqueue(std::unique_ptr<Job> job) {
  bool alone = !job->plan || job->plan->alone;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(job));
  }
  queued_++;
  change(&submitted_, submitted_ + 1, &sleepers_);
  if (!alone) change(&called_, called_ + 1, &uncalled_);
}

/**
 * A plan from uploads to outputs, led by the calling thread. `bytes` are those of the uploads, one after another;
 * null: where the plan says. False when the engine stops. A plan that fails leaves a text.
 */
bool Engine::perform(Plan& plan, uint8_t** buffers, const uint8_t* bytes, std::string& problem) {
  double start = now();
  program_ = {plan.words.data(), int64_t(plan.words.size()), buffers, nullptr, plan.nanoseconds, tuning_.used()};
  if (!arena_.grow(plan.arena_bytes, problem) || !scratch_.grow(plan.scratch_bytes, problem)) program_.count = 0;
  arena_bytes_.store(arena_.bytes());
  buffers[0] = arena_.data();
  program_.scratch = scratch_.data();
  if (problem.empty())
    for (const Plan::Upload& upload : plan.uploads) {
      memcpy(buffers[0] + upload.offset, bytes ? bytes : upload.from, upload.bytes);
      if (bytes) bytes += upload.bytes;
    }
  if (!plan.alone) change(&started_, started_ + 1, &unstarted_);
  if (!(plan.alone ? interpret(table_, program_, alone_, 0) : take_part(0))) return false;
  if (problem.empty())
    for (const Plan::Output& output : plan.outputs)
      memcpy(output.to, buffers[size_t(output.buffer)] + output.offset, output.bytes);
  plan.runs++;
  plan.took = now() - start;
  double& quickest = plan.quickest[plan.alone];
  // What was once quick may be so no longer: it is forgotten slowly.
  quickest = quickest == Plan::unknown ? plan.took : std::min(plan.took, 1.01 * quickest);
  return true;
}

bool Engine::perform(Job& job) {
  if (job.plan) return perform(*job.plan, job.buffers.data(), job.bytes.data(), job.problem);
  // A buffer's memory ends with a later job, so it is still there.
  if (!job.bytes.empty()) memcpy(job.to, job.bytes.data(), job.bytes.size());
  return true;
}

/** Thread 0: takes the jobs in order. */
void Engine::lead() {
  for (uint32_t next = 0;; next++) {
    wait_for_change(&submitted_, next, &sleepers_, barrier_.patience);
    std::unique_ptr<Job> job;
    if (!__atomic_load_n(&barrier_.stop, __ATOMIC_ACQUIRE)) {
      std::lock_guard<std::mutex> lock(mutex_);
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    if (job && job->plan && !job->plan->alone) cores_.lead();
    if (!job || !perform(*job)) {
      ended_ = true;
      change(&started_, started_ + 1, &unstarted_);
      return;
    }
    job->freed = Memory();
    std::string problem = std::move(job->problem);
    auto done = std::move(job->done);
    job = nullptr;
    finished_.fetch_add(1, std::memory_order_release);
    if (done) done(std::move(problem));
  }
}

/** The other threads. */
void Engine::follow(int thread) {
  for (uint32_t next = 0;; next++) {
    wait_for_change(&called_, next, &uncalled_, patience_of_calls * barrier_.patience);
    // By now whoever leads has its first part under way, or will have soon.
    wait_for_change(&started_, next, &unstarted_, barrier_.patience);
    if (ended_ || !take_part(thread)) return;
  }
}

/** One thread's way through a job for all; false when the engine stops. */
bool Engine::take_part(int thread) {
  // Of its own: the leader goes on to the next job when all have come to the last meeting, not left it.
  const Program program = program_;
  if (!interpret(table_, program, barrier_, thread)) return false;
  if (program.count > 0) return true;
  barrier_wait(barrier_);
  return !barrier_.stopped;
}

}  // namespace fovea
