// A device's memory and its threads: buffers by number, and plans that run one after another, off the thread
// that submits them. Knows nothing of JavaScript.
//
// All methods are called by one thread, the owner.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dispatch.h"
#include "interpreter.h"
#include "memory.h"
#include "tuning_table.h"

namespace fovea {

/**
 * A program, the bytes that go into its arena and those that are wanted back. It may run again and again; what it
 * points at belongs to the caller and must outlive the runs.
 */
struct Plan {
  struct Upload {
    size_t offset;
    const uint8_t* from;
    size_t bytes;
  };
  struct Output {
    int64_t buffer;
    size_t offset;
    uint8_t* to;
    size_t bytes;
  };

  std::vector<double> words;
  std::vector<Upload> uploads;
  std::vector<Output> outputs;
  size_t arena_bytes = 0;
  /** For each op, or null. */
  double* nanoseconds = nullptr;

 private:
  friend class Engine;
  /** What `Engine::frees_` was when its own buffers were last seen to exist; 0: never. */
  uint64_t checked = 0;
  /** Whether one thread alone runs it: meetings would cost more than the others save. */
  bool alone = true;
  /** What was estimated of that, and whether the estimate is to be tried. */
  bool estimated = true, doubtful = false;
  size_t scratch_bytes = 0;
  uint32_t runs = 0;
  /** Nanoseconds of the last run, and of the quickest lately by all threads and by one alone. */
  double took = unknown, quickest[2] = {unknown, unknown};
  static constexpr double unknown = 1e18;
};

class Engine {
 public:
  Engine(const KernelTable& table, int threads);
  /** Gives up what runs, after the op that it is at, and what waits; `done` is not called for those. */
  ~Engine();

  const KernelTable& table() const { return table_; }
  int threads() const { return barrier_.threads; }
  size_t buffer_bytes() const { return buffer_bytes_; }
  size_t arena_bytes() const { return arena_bytes_.load(); }

  /** The id of a new buffer, zeroed; 0, with a text, when there is no memory. */
  int64_t allocate(size_t bytes, std::string& problem);
  /** The id of a buffer over memory that outlives it. */
  int64_t adopt(uint8_t* data, size_t bytes);
  bool knows(int64_t buffer) const;
  size_t bytes_of(int64_t buffer) const { return slots_[size_t(buffer)].bytes; }
  /** Whether all that was submitted has run. */
  bool idle() const { return finished_.load(std::memory_order_acquire) == queued_; }
  /** The number is free at once, the memory when all that was submitted has run. */
  void free(int64_t buffer);
  /**
   * Gives a buffer that was adopted the memory of another, whose number ends. What was submitted before goes on
   * with the memory that it had.
   */
  void replace(int64_t buffer, int64_t by);
  /** Choices for products; not to be touched while a plan runs. */
  TuningTable& tuning() { return tuning_; }
  /** Takes its place in the order of jobs. */
  void write(int64_t buffer, size_t offset, const uint8_t* bytes, size_t length);
  /**
   * Sees that the plan stays within the arena and names buffers that exist, and the first time finds out what it
   * needs; false, with a text, when it cannot run. Numbers of freed buffers are given out again, so a plan that is
   * kept is checked at once: from then on it means the buffers of that moment.
   */
  bool check(Plan& plan, std::string& problem);
  /**
   * Runs the plan (or nothing, when it is null) in its turn, with its uploads as they are now; then a thread of the
   * engine calls `done` with the reason why it failed, or an empty text. False, with a text, when the plan is refused.
   */
  bool submit(std::shared_ptr<Plan> plan, std::function<void(std::string)> done, std::string& problem);
  /**
   * Runs the plan at once, the calling thread taking the place of thread 0, if nothing else runs and the last run
   * was so short that handing it over would cost more than it is worth. False when it was not run; with a text when
   * it cannot be.
   */
  bool run_here(Plan& plan, std::string& problem);

 private:
  /** What thread 0 does in one turn. */
  struct Job {
    std::shared_ptr<Plan> plan;
    /** The bytes of the plan's uploads, one after another; without a plan, those that are written `to` a buffer. */
    std::vector<uint8_t> bytes;
    uint8_t* to = nullptr;
    /** Memory that ends with this job. */
    Memory freed;
    std::function<void(std::string)> done;
    /** Set when the job failed. */
    std::string problem;
    std::vector<uint8_t*> buffers;
  };

  struct Slot {
    Memory memory;
    size_t bytes = 0;
    /** What `frees_` was when the number was given out. */
    uint64_t since = 0;
  };

  int64_t new_slot(uint8_t* data, size_t bytes);
  std::string fault_of(const Plan& plan) const;
  void choose(Plan& plan);
  void enqueue(std::unique_ptr<Job> job);
  void lead();
  void follow(int thread);
  bool take_part(int thread);
  bool perform(Plan& plan, uint8_t** buffers, const uint8_t* bytes, std::string& problem);
  bool perform(Job& job);
  void stop();

  const KernelTable& table_;
  Pool pool_;
  std::vector<Slot> slots_;
  /** Where each buffer begins, null for numbers that are free; 0 is the arena. */
  std::vector<uint8_t*> buffers_;
  std::vector<int64_t> free_ids_;
  size_t buffer_bytes_ = 0;
  /** Buffers freed so far, and one. */
  uint64_t frees_ = 1;

  std::mutex mutex_;
  std::deque<std::unique_ptr<Job>> queue_;
  uint32_t queued_ = 0;
  std::atomic<uint32_t> finished_{0};
  /** Jobs submitted: what thread 0 waits for when it is idle. */
  alignas(64) uint32_t submitted_ = 0;
  uint32_t sleepers_ = 0;
  /** Those of them that are for all threads: what the others wait for. */
  alignas(64) uint32_t called_ = 0;
  uint32_t uncalled_ = 0;
  /** Those of these that whoever leads has begun; one more when it has ended. */
  alignas(64) uint32_t started_ = 0;
  uint32_t unstarted_ = 0;
  bool ended_ = false;

  TuningTable tuning_;

  // Of the running plan; whoever leads changes them before the others start on it.
  Program program_ = {};
  Memory arena_, scratch_;
  std::atomic<size_t> arena_bytes_{0};

  const OwnCores cores_;
  Barrier barrier_;
  bool meet_always_ = false;
  /** Where who runs a plan alone meets nobody. */
  Barrier alone_;
  std::vector<std::thread> threads_;
};

}  // namespace fovea
