// Memory from the system: zeroed, committed when touched, in huge pages where it is large; and mapped files.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <string>

namespace fovea {

/** Movable, not copyable; gives the memory back when it ends. */
class Memory {
 public:
  Memory() = default;
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Memory();

  /** False, with a text, when the system refuses. */
  bool allocate(size_t bytes, std::string& problem);
  /** At least that large, with new content if it was smaller: with some room, so that slowly growing needs move it seldom. */
  bool grow(size_t bytes, std::string& problem);

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  friend class Pool;
  void swap(Memory& other) noexcept;

  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
  void* mapping_ = nullptr;
  size_t mapped_ = 0;
  /** What it is a piece of, if it is. */
  std::shared_ptr<Memory> whole_;
};

/**
 * Pieces of large memories: the matrices of a small layer would otherwise lie in small pages, and walking along
 * them would cost a look-up for every 4 KB. A large memory ends with the last of its pieces.
 */
class Pool {
 public:
  /** As Memory::allocate. */
  bool allocate(size_t bytes, Memory& memory, std::string& problem);

 private:
  std::shared_ptr<Memory> whole_;
  size_t used_ = 0;
};

/** Part of a file, read-only. `data` points at the part, `mapping` at the page in which it begins. */
struct MappedFile {
  uint8_t* data;
  void* mapping;
  size_t mapped;
};

bool map_file(const char* path, uint64_t offset, uint64_t length, MappedFile&, std::string& problem);
void unmap_file(const MappedFile&);

/** Gives back the whole pages inside; they are read again from the file when touched. */
void drop_pages(uint8_t* data, size_t length);

}  // namespace fovea
