// What the sanitized programs share: this machine's instruction sets, random numbers, and buffers with nothing behind
// them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "kernels.h"

// Those that this machine has, the baseline first.
inline std::vector<const sumtoone::Kernels*> instruction_sets() {
  std::vector<const sumtoone::Kernels*> found{&sumtoone::baseline};
#if defined(SUMTOONE_X86)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&sumtoone::avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    found.push_back(&sumtoone::avx512);
#endif
  return found;
}

inline std::mt19937_64 randomness(7);

inline int64_t between(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(randomness);
}

// Floats with nothing behind them, at any address that a float may have, no numbers before they are written; what lies
// before them is told as written over when the buffer goes.
class Exact {
 public:
  explicit Exact(int64_t count) : count_(count), bytes_(new char[4 * (count + shift_)]) {
    std::memset(bytes_.get(), kUntouched, 4 * shift_);
    std::fill_n(data(), count, std::numeric_limits<float>::quiet_NaN());
  }
  Exact(int64_t count, float scale) : Exact(count) {
    std::normal_distribution<float> normal;
    for (int64_t k = 0; k < count; ++k) data()[k] = scale * normal(randomness);
  }
  ~Exact() {
    for (int64_t k = 0; k < 4 * shift_; ++k)
      if (bytes_[k] != kUntouched) std::abort();
  }
  float* data() { return reinterpret_cast<float*>(bytes_.get()) + shift_; }
  const float& operator[](int64_t k) { return data()[k]; }
  int64_t count() const { return count_; }

 private:
  static constexpr char kUntouched = 0x5a;
  int64_t count_, shift_ = between(0, 15);
  std::unique_ptr<char[]> bytes_;
};
