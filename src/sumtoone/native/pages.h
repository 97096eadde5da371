// Fresh memory from the system.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace sumtoone {

// Memory of at least this many bytes comes fresh from the system.
constexpr size_t kFresh = 4 * 1024 * 1024;

// Tells the system that such memory is about to be written whole: two megabytes a page fault instead of four kilobytes,
// which for a tensor just allocated is most of the time.
inline void expect_writing([[maybe_unused]] void* out, [[maybe_unused]] size_t size) {
#if defined(__linux__)
  if (size < kFresh) return;
  constexpr uintptr_t page = 4096;
  const uintptr_t begin = ((uintptr_t)out + page - 1) / page * page, end = ((uintptr_t)out + size) / page * page;
  if (end > begin) madvise((void*)begin, end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace sumtoone
