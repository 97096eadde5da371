// A forward pass of any number of rows: portions that stay in the caches, on as many threads as pay.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace sumtoone {

class Predictor {
 public:
  Predictor(const Kernels& kernels, const Prediction& task, int64_t rows)
      : kernels_(kernels), task_(task), rows_(rows) {
    for (int place = 0; place < task.layers; ++place) products_ += task.sizes[place] * task.sizes[place + 1];
  }

  // So much work that others should have the interpreter meanwhile.
  bool takes_long() const { return rows_ > kProductsForThread / products_; }

  void run(int threads) const {
    const int64_t most = std::min(rows_ / (kProductsForThread / products_ + 1), rows_ / kRowsInTile);
    const int parts = (int)std::clamp<int64_t>(most, 1, std::max(threads, 1));
    const int64_t each = (rows_ + parts - 1) / parts;
    const int64_t at_once = std::min(rows_at_once(), (each + kRowsInTile - 1) / kRowsInTile * kRowsInTile);
    std::vector<std::unique_ptr<float[]>> rooms((size_t)parts);
    for (auto& room : rooms) room.reset(new float[(size_t)(std::min(at_once, rows_) * numbers_for_row())]);
    // Portions go to whoever is free: a thread that comes late leaves its share to the others.
    std::atomic<int64_t> next{0};
    const auto work = [&](int part) {
      for (int64_t begin; (begin = next.fetch_add(at_once)) < rows_;)
        kernels_.predict(task_, begin, std::min(begin + at_once, rows_), rooms[(size_t)part].get());
    };
    parts == 1 ? work(0) : Pool::shared().run(parts, work);
  }

 private:
  // A thread with less to do costs more than it brings.
  static constexpr int64_t kProductsForThread = 1024 * 1024;
  static constexpr int64_t kRowsInTile = 4;
  static constexpr int64_t kRowsAtOnce = 64;
  static constexpr int64_t kRoom = 1024 * 1024;  // floats

  int64_t numbers_for_row() const { return (task_.scale ? task_.sizes[0] : 0) + 2 * task_.widest; }

  int64_t rows_at_once() const {
    return std::clamp(kRoom / numbers_for_row() / kRowsInTile * kRowsInTile, kRowsInTile, kRowsAtOnce);
  }

  const Kernels& kernels_;
  const Prediction& task_;
  int64_t rows_, products_ = 0;
};

}  // namespace sumtoone
