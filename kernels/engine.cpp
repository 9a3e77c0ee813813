#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatch.h"

namespace fovea {

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}

Engine::Engine(const KernelTable& table, int threads) : table_(table), slots_(1), buffers_(1, nullptr) {
  barrier_.threads = threads;
  // About 20 µs. With more threads than cores the one that is waited for may need this very core.
  barrier_.patience = threads <= available_cores() ? 1000 : 0;
  // FOVEA_ALONE=0: all threads meet over the smallest plan too, for tests of just that.
  const char* alone = getenv("FOVEA_ALONE");
  meet_always_ = alone && strcmp(alone, "0") == 0;
  try {
    for (int i = 0; i < threads; i++) threads_.emplace_back([this, i] { i == 0 ? lead() : follow(i); });
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
  buffers_[size_t(id)] = data;
  return id;
}

int64_t Engine::allocate(size_t bytes, std::string& problem) {
  Memory memory;
  if (!memory.allocate(bytes, problem)) return 0;
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
}

void Engine::write(int64_t buffer, size_t offset, const uint8_t* bytes, size_t length) {
  if (idle()) {
    memcpy(buffers_[size_t(buffer)] + offset, bytes, length);
    return;
  }
  auto job = std::make_unique<Job>();
  job->uploads.push_back({buffer, offset, std::vector<uint8_t>(bytes, bytes + length)});
  enqueue(std::move(job));
}

bool Engine::submit(std::unique_ptr<Job> job, std::string& problem) {
  Program program = {job->words.data(), int64_t(job->words.size()), buffers_.data(), nullptr, nullptr};
  int64_t unknown = unknown_buffer(program, int64_t(buffers_.size()));
  for (const Job::Output& output : job->outputs)
    if (output.buffer > 0 && !knows(output.buffer)) unknown = output.buffer;
  if (unknown >= 0) {
    problem = "the plan names buffer " + std::to_string(unknown) + ", which does not exist (any more)";
    return false;
  }
  enqueue(std::move(job));
  return true;
}

void Engine::enqueue(std::unique_ptr<Job> job) {
  job->buffers = buffers_;
  Program program = {job->words.data(), int64_t(job->words.size()), buffers_.data(), nullptr, nullptr};
  bool alone = barrier_.threads == 1 || (!meet_always_ && is_small(program));
  job->alone = alone;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(job));
  }
  queued_++;
  change(&submitted_, submitted_ + 1, &sleepers_);
  if (!alone) change(&called_, called_ + 1, &uncalled_);
}

/** Makes `memory` at least that large, with some room so that slowly growing needs move it seldom. */
static bool grow(Memory& memory, size_t bytes, std::string& problem) {
  if (memory.bytes() >= bytes) return true;
  memory = Memory();
  return memory.allocate(bytes + bytes / 8, problem);
}

/** Thread 0 prepares what all threads will read. */
void Engine::begin(Job& job) {
  program_ = {job.words.data(), int64_t(job.words.size()), job.buffers.data(), nullptr, job.nanoseconds};
  size_t scratch = size_t(scratch_bytes(table_, program_, job.alone ? 1 : barrier_.threads));
  if (!grow(arena_, job.arena_bytes, job.problem) || !grow(scratch_, scratch, job.problem)) program_.count = 0;
  arena_bytes_.store(arena_.bytes());
  job.buffers[0] = arena_.data();
  program_.scratch = scratch_.data();
  if (!job.problem.empty()) return;
  for (const Job::Upload& upload : job.uploads)
    memcpy(job.buffers[size_t(upload.buffer)] + upload.offset, upload.bytes.data(), upload.bytes.size());
}

/** Thread 0: takes the jobs, and calls the others to meet when a job is for all. */
void Engine::lead() {
  for (uint32_t next = 0;; next++) {
    wait_for_change(&submitted_, next, &sleepers_, barrier_.patience);
    bool alone = false;
    if (!__atomic_load_n(&barrier_.stop, __ATOMIC_ACQUIRE)) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
        job_ = std::move(queue_.front());
        queue_.pop_front();
      }
      begin(*job_);
      alone = job_->alone;
    }
    if (!(alone ? interpret(table_, program_, alone_, 0) : take_part(0))) {
      // The others are, or will be, at their meeting, and end there.
      if (alone) barrier_wait(barrier_);
      return;
    }
    finish();
  }
}

/** The other threads. */
void Engine::follow(int thread) {
  for (uint32_t next = 0;; next++) {
    wait_for_change(&called_, next, &uncalled_, barrier_.patience);
    if (!take_part(thread)) return;
  }
}

/** One thread's way through a job for all; false when the engine stops. */
bool Engine::take_part(int thread) {
  barrier_wait(barrier_);
  if (barrier_.stopped || !interpret(table_, program_, barrier_, thread)) return false;
  // Behind this no other thread looks at the job.
  barrier_wait(barrier_);
  return !barrier_.stopped;
}

void Engine::finish() {
  std::unique_ptr<Job> job = std::move(job_);
  if (job->problem.empty())
    for (const Job::Output& output : job->outputs)
      memcpy(output.to, job->buffers[size_t(output.buffer)] + output.offset, output.bytes);
  job->freed = Memory();
  auto done = std::move(job->done);
  finished_.fetch_add(1, std::memory_order_release);
  if (done) done(std::move(job));
}

}  // namespace fovea
