#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace fovea {

static constexpr size_t huge_page = size_t(2) << 20;

static size_t page_size() {
  static const size_t size = size_t(sysconf(_SC_PAGESIZE));
  return size;
}

bool Memory::allocate(size_t bytes, std::string& problem) {
  // Room to begin at a huge page where the memory holds one.
  size_t slack = bytes >= huge_page ? huge_page : 0;
  size_t mapped = (bytes + slack + page_size()) / page_size() * page_size();
  if (mapped < bytes) {
    problem = "no memory of " + std::to_string(bytes) + " bytes";
    return false;
  }
  void* mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    problem = std::to_string(bytes) + " bytes of memory: " + strerror(errno);
    return false;
  }
  Memory fresh;
  fresh.mapping_ = mapping;
  fresh.mapped_ = mapped;
  fresh.bytes_ = bytes;
  uintptr_t at = reinterpret_cast<uintptr_t>(mapping);
  if (slack) at = (at + huge_page - 1) / huge_page * huge_page;
  fresh.data_ = reinterpret_cast<uint8_t*>(at);
#if defined(MADV_HUGEPAGE)
  if (slack) madvise(fresh.data_, bytes, MADV_HUGEPAGE);
#endif
  swap(fresh);
  return true;
}

bool Memory::grow(size_t bytes, std::string& problem) {
  if (bytes_ >= bytes) return true;
  *this = Memory();
  bytes += bytes / 8;
  if (bytes > huge_page / 4) bytes = (bytes + huge_page - 1) / huge_page * huge_page;
  return allocate(bytes, problem);
}

Memory::~Memory() {
  if (mapping_) munmap(mapping_, mapped_);
}

void Memory::swap(Memory& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  std::swap(whole_, other.whole_);
}

bool Pool::allocate(size_t bytes, Memory& memory, std::string& problem) {
  constexpr size_t whole = 16 * huge_page, line = 64;
  if (bytes > whole / 2) return memory.allocate(bytes, problem);
  if (!whole_ || bytes > whole - used_) {
    auto fresh = std::make_shared<Memory>();
    if (!fresh->allocate(whole, problem)) return false;
    whole_ = std::move(fresh);
    used_ = 0;
  }
  Memory piece;
  piece.data_ = whole_->data_ + used_;
  piece.bytes_ = bytes;
  piece.whole_ = whole_;
  used_ += (bytes + line - 1) / line * line;
  memory.swap(piece);
  return true;
}

bool map_file(const char* path, uint64_t offset, uint64_t length, MappedFile& file, std::string& problem) {
  auto failed = [&] {
    problem = std::string(path) + ": " + strerror(errno);
    return false;
  };
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed();
  struct stat about;
  bool known = fstat(fd, &about) == 0;
  if (!known || offset > uint64_t(about.st_size) || length > uint64_t(about.st_size) - offset) {
    problem = known ? std::string(path) + ": has " + std::to_string(about.st_size) + " bytes, not " +
                          std::to_string(length) + " from byte " + std::to_string(offset)
                    : std::string(path) + ": " + strerror(errno);
    close(fd);
    return false;
  }
  size_t before = size_t(offset % page_size());
  size_t mapped = size_t(length) + before;
  void* mapping = mmap(nullptr, mapped, PROT_READ, MAP_PRIVATE, fd, off_t(offset - before));
  int error = errno;
  close(fd);
  errno = error;
  if (mapping == MAP_FAILED) return failed();
  file = {static_cast<uint8_t*>(mapping) + before, mapping, mapped};
  return true;
}

void unmap_file(const MappedFile& file) { munmap(file.mapping, file.mapped); }

void drop_pages(uint8_t* data, size_t length) {
  uintptr_t begin = reinterpret_cast<uintptr_t>(data), end = begin + length;
  begin = (begin + page_size() - 1) / page_size() * page_size();
  end = end / page_size() * page_size();
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace fovea
