// A network in training, with all the memory that its steps need.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "kernels.h"
#include "pages.h"
#include "pool.h"

namespace sumtoone {

class Trainer {
 public:
  struct Settings {
    std::vector<int64_t> sizes;  // inputs, hidden layers, classes
    int64_t batch;
    Activation activation;
    float dropout, smoothing;
    Optimizer optimizer;
    double momentum, decay;
    bool nesterov, rounded;  // rounded: to bfloat16, what the products take
  };

  // What exchange() speaks of.
  enum Slot { kWeights, kFirst, kSecond };

  Trainer(const Kernels* kernels, const Settings& settings, const float* scale, const float* shift)
      : kernels_(kernels),
        steps_(settings.rounded ? *kernels->rounded_steps : kernels->steps),
        batch_(settings.batch),
        rounded_(settings.rounded) {
    const auto& sizes = settings.sizes;
    const bool adam = settings.optimizer != kSgd;
    float* inputs = take(batch_ * stride(sizes[0]));
    Rounded rounded_inputs = take_rounded(sizes[0] + 1);
    for (size_t place = 0; place + 1 < sizes.size(); ++place) {
      Layer layer{};
      layer.in = sizes[place], layer.out = sizes[place + 1];
      layer.in_stride = stride(layer.in), layer.out_stride = stride(layer.out);
      const int64_t count = (layer.in + 1) * padded(layer.out);
      layer.weights = take(count);
      if (adam || settings.momentum != 0.0) layer.first = take(count);
      if (adam) layer.second = take(count);
      if (place && !rounded_) layer.backward = take(layer.out * padded(layer.in));
      if (batch_ > kRowsInOneGo) layer.gradient = take(count);
      layer.inputs = inputs;
      layer.outputs = inputs = take(batch_ * layer.out_stride);
      layer.deltas = take(batch_ * layer.out_stride);
      if (settings.activation == kGelu) layer.slopes = take(batch_ * layer.out_stride);
      if (rounded_) {
        layer.rounded = take_pairs(pairs(layer.in + 1) * padded(layer.out));
        if (place) layer.rounded_backward = take_pairs(pairs(layer.out) * padded(layer.in));
        layer.rounded_inputs = rounded_inputs;
        rounded_inputs = take_rounded(layer.out + 1);
        layer.rounded_deltas = take_rounded(layer.out);
      }
      layers_.push_back(layer);
    }
    correct_.resize((size_t)batch_);
    training_ = {(int)layers_.size(), layers_.data(), settings.activation, settings.dropout, settings.smoothing,
                 settings.optimizer, settings.momentum, settings.decay, settings.nesterov, copy(scale, sizes[0]),
                 copy(shift, sizes[0]), take(batch_), correct_.data()};
  }

  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // Copies a layer's numbers from weight (out, in) and bias (out,) in, or out to them.
  void exchange(int slot, int64_t place, float* weight, float* bias, bool out) {
    const Layer& layer = layers_.at((size_t)place);
    float* panels = slot == kWeights ? layer.weights : slot == kFirst ? layer.first : layer.second;
    for (int64_t column = 0; column < layer.out; ++column) {
      const int64_t begin = at(layer.in + 1, layer.out, 0, column);
      const int64_t width = at(layer.in + 1, layer.out, 1, column) - begin;
      for (int64_t row = 0; row <= layer.in; ++row) {
        float& here = panels[begin + row * width];
        float& there = row < layer.in ? weight[column * layer.in + row] : bias[column];
        (out ? there : here) = out ? here : there;
      }
    }
    if (!out && slot == kWeights) steps_.mirror(layer);
  }

  // Trains on a chunk with up to so many threads; the result has the same bits for any number.
  //
  // Threads that meet twice a step gain nothing where another process holds a core that one of them waits for, and
  // that changes from one moment to the next. So both ways are timed now and then, and the faster is taken; one thread
  // alone loses more where it is wrong, and is doubted sooner. A chunk may be one long step, which a trial takes whole.
  void train(const Chunk& chunk, int threads) {
    int64_t products = 0;
    for (const Layer& layer : layers_) products += 3 * batch_ * layer.in * layer.out;
    const int64_t most = std::min(products / kProductsForThread, batch_ / kRowsForThread);
    const int parts = (int)std::clamp<int64_t>(most, 1, std::max(threads, 1));
    if (parts == 1) return compute(chunk, 1);
    const bool together = seconds_[1] <= seconds_[0];
    const bool tries = chunks_ % (together ? kChunksTogether : kChunksAlone) == 0;
    const int64_t trial = tries ? std::max<int64_t>(1, chunk.steps / 6) : 0;
    ++chunks_;
    timed(chunk.part(0, trial), !together, parts);
    timed(chunk.part(trial, chunk.steps), together, parts);
  }

 private:
  static int64_t pairs(int64_t count) { return (count + 1) / 2; }

  // A thread with less of a step to itself, about ten microseconds, costs more than it brings.
  static constexpr int64_t kProductsForThread = 512 * 1024;
  static constexpr int64_t kRowsForThread = 4;
  static constexpr int64_t kChunksTogether = 16, kChunksAlone = 4;  // from one trial to the next

  void timed(const Chunk& chunk, bool together, int parts) {
    if (chunk.steps == 0) return;
    const auto begin = std::chrono::steady_clock::now();
    compute(chunk, together ? parts : 1);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    seconds_[together] = taken.count() / (double)chunk.steps;
  }

  void compute(const Chunk& chunk, int parts) {
    parts = Pool::shared().ready(parts);
    Barrier barrier(parts), alone(1);
    const auto part_of = [&](int part) { steps_.train(training_, chunk, part, parts, meeting(barrier)); };
    if (Pool::shared().run_together(parts, part_of)) return;
    steps_.train(training_, chunk, 0, 1, meeting(alone));
  }

  static constexpr std::align_val_t kLine{64};

  static Meeting meeting(Barrier& barrier) {
    return {[](void* place) { static_cast<Barrier*>(place)->wait(); }, &barrier};
  }

  int64_t padded(int64_t count) const { return (count + kernels_->width - 1) / kernels_->width * kernels_->width; }

  // Of rows with a one behind them: an odd number of cache lines, or columns would share few places in the caches.
  static int64_t stride(int64_t count) { return ((count + 16) / 16 | 1) * 16; }

  // Where (row, column) of a matrix in panels lies.
  int64_t at(int64_t rows, int64_t columns, int64_t row, int64_t column) const {
    const int64_t first = column / kernels_->panel * kernels_->panel;
    const int64_t width = std::min(kernels_->panel, padded(columns) - first);
    return first * rows + row * width + column - first;
  }

  float* take(int64_t count) {
    const size_t size = (size_t)count * sizeof(float);
    memory_.emplace_back(static_cast<float*>(::operator new(size, kLine)));
    expect_writing(memory_.back().get(), size);
    std::memset(memory_.back().get(), 0, size);
    return memory_.back().get();
  }

  Pair* take_pairs(int64_t count) { return reinterpret_cast<Pair*>(take(count)); }

  Rounded take_rounded(int64_t columns) {
    if (!rounded_) return {};
    const int64_t along = stride(columns / 2), across = stride(columns);
    return {take_pairs(batch_ * along), take_pairs(pairs(batch_) * across), along, across};
  }

  float* copy(const float* from, int64_t count) {
    float* to = take(count);
    std::copy(from, from + count, to);
    return to;
  }

  struct Free {
    void operator()(float* memory) const { ::operator delete(memory, kLine); }
  };

  const Kernels* kernels_;
  const Steps steps_;
  int64_t batch_;
  bool rounded_;
  std::vector<std::unique_ptr<float, Free>> memory_;
  std::vector<unsigned char> correct_;
  std::vector<Layer> layers_;
  Training training_{};
  double seconds_[2] = {};  // a step: alone, together
  int64_t chunks_ = 0;
};

}  // namespace sumtoone
