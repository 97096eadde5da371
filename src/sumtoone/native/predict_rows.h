// A forward pass: rows in, probabilities or logits out, nothing kept.
#pragma once

#include "dots.h"
#include "prediction_task.h"
#include "rows.h"
#include "softmax.h"

namespace SUMTOONE_ISA {
namespace {

using sumtoone::Prediction;

// What the compiler may not fuse with an addition: PyTorch rounds here.
inline Vector rounded(Vector value) {
  asm("" : "+m"(value));
  return value;
}

template <class Each>
inline void change_each(float* values, int64_t count, Each each) {
  int64_t k = 0;
  for (; k + kWidth <= count; k += kWidth) store(values + k, each(load(values + k)));
  if (k < count) store_part(values + k, each(load_part(values + k, (int)(count - k), 0.0f)), (int)(count - k));
}

void activate_all(sumtoone::Activation activation, float* values, int64_t count) {
  if (activation == sumtoone::kIdentity) return;
  change_each(values, count, [=](Vector z) { return activated(activation, z); });
}

// inputs * scale + shift, rounded twice as PyTorch does it.
template <class Number>
void prepare(const Prediction& task, int64_t row, float* to) {
  const int64_t count = task.sizes[0];
  const Number* from = (const Number*)task.inputs + row * count;
  for (int64_t k = 0; k < count; k += kWidth) {
    const int here = (int)std::min<int64_t>(kWidth, count - k);
    Vector value;
    if (here < kWidth) {
      float lanes[kWidth] = {};
      for (int lane = 0; lane < here; ++lane) lanes[lane] = (float)from[k + lane];
      value = load(lanes);
    } else if constexpr (sizeof(Number) == 1) {
      value = load_bytes(from + k);
    } else {
      value = load(from + k);
    }
    const Vector scale = load_part(task.scale + k, here, 0.0f), shift = load_part(task.shift + k, here, 0.0f);
    store_part(to + k, rounded(value * scale) + shift, here);
  }
}

// Rows begin … end - 1, with room for (end - begin) * (inputs + 2 * the widest layer) floats.
void predict(const Prediction& task, int64_t begin, int64_t end, float* room) noexcept {
  const int64_t rows = end - begin, classes = task.sizes[task.layers];
  const float* inputs = (const float*)task.inputs + begin * task.sizes[0];
  if (task.scale) {
    for (int64_t row = 0; row < rows; ++row)
      task.bytes ? prepare<uint8_t>(task, begin + row, room + row * task.sizes[0])
                 : prepare<float>(task, begin + row, room + row * task.sizes[0]);
    inputs = room;
    room += rows * task.sizes[0];
  }
  const int64_t half = rows * task.widest;
  float* out = task.out + begin * classes;
  for (int place = 0; place < task.layers; ++place) {
    const int64_t in_size = task.sizes[place], out_size = task.sizes[place + 1];
    const bool last = place + 1 == task.layers;
    float* outputs = last ? out : room + (place & 1 ? half : 0);
    dots(inputs, rows, task.parameters[2 * place], task.parameters[2 * place + 1], in_size, out_size, outputs);
    if (!last) activate_all(task.activation, outputs, rows * out_size);
    inputs = outputs;
  }
  if (task.softmax) compute<Softmax, false>(out, nullptr, out, classes, 1, 0, rows);
}

}  // namespace
}  // namespace SUMTOONE_ISA
