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

#include "interpreter.h"
#include "memory.h"

namespace fovea {

/** What the engine does in one turn: bytes in, a program, bytes out. */
struct Job {
  struct Upload {
    int64_t buffer;
    size_t offset;
    std::vector<uint8_t> bytes;
  };
  struct Output {
    int64_t buffer;
    size_t offset;
    uint8_t* to;
    size_t bytes;
  };

  std::vector<Upload> uploads;
  std::vector<double> words;
  std::vector<Output> outputs;
  size_t arena_bytes = 0;
  /** For each op, or null. */
  double* nanoseconds = nullptr;
  /** Memory that ends with this job. */
  Memory freed;
  /** Called by a thread of the engine, which gives the job away. */
  std::function<void(std::unique_ptr<Job>)> done;
  /** Set when the job failed. */
  std::string problem;

 private:
  friend class Engine;
  /** Whether one thread alone runs it: meetings would cost more than the others save. */
  bool alone = true;
  std::vector<uint8_t*> buffers;
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
  /** Takes its place in the order of jobs. */
  void write(int64_t buffer, size_t offset, const uint8_t* bytes, size_t length);
  /** False, with a text, when the program names a buffer that does not exist. */
  bool submit(std::unique_ptr<Job> job, std::string& problem);

 private:
  struct Slot {
    Memory memory;
    size_t bytes = 0;
  };

  int64_t new_slot(uint8_t* data, size_t bytes);
  void enqueue(std::unique_ptr<Job> job);
  void lead();
  void follow(int thread);
  bool take_part(int thread);
  void begin(Job& job);
  void finish();
  void stop();

  const KernelTable& table_;
  std::vector<Slot> slots_;
  /** Where each buffer begins, null for numbers that are free; 0 is the arena. */
  std::vector<uint8_t*> buffers_;
  std::vector<int64_t> free_ids_;
  size_t buffer_bytes_ = 0;

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

  // Of the running job; thread 0 changes them before the others start on it.
  std::unique_ptr<Job> job_;
  Program program_ = {};
  Memory arena_, scratch_;
  std::atomic<size_t> arena_bytes_{0};

  Barrier barrier_;
  bool meet_always_ = false;
  /** Where thread 0 meets nobody. */
  Barrier alone_;
  std::vector<std::thread> threads_;
};

}  // namespace fovea
