// A forward pass: rows in, probabilities or logits out, nothing kept.
#pragma once

#include "dots.h"
#include "predicting.h"
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

// erf(a), 1e-7: the polynomials of Cephes' erff and erfcf (S. L. Moshier).
inline Vector erf_of(Vector a) {
  const auto polynomial = [](Vector x, auto... factors) {
    Vector sum{};
    ((sum = sum * x + splat(factors)), ...);
    return sum;
  };
  const Vector size = larger(-a, a), square = a * a;
  const Vector near = a * polynomial(square, 7.853861353153693e-5f, -8.010193625184903e-4f, 5.188327685732524e-3f,
                                     -2.685381193529856e-2f, 1.128358514861418e-1f, -3.761262582423300e-1f,
                                     1.128379165726710e+0f);
  const Vector q = splat(1.0f) / larger(splat(1.0f), size), y = q * q;
  const Vector middle = polynomial(y, 2.326819970068386e-2f, -1.387039388740657e-1f, 3.687424674597105e-1f,
                                   -5.824733027278666e-1f, 6.210004621745983e-1f, -4.944515323274145e-1f,
                                   3.404879937665872e-1f, -2.741127028184656e-1f, 5.638259427386472e-1f);
  const Vector outer = polynomial(y, -1.047766399936249e+1f, 1.297719955372516e+1f, -7.495518717768503e+0f,
                                  2.921019019210786e+0f, -1.015265279202700e+0f, 4.218463358204948e-1f,
                                  -2.820767439740514e-1f, 5.641895067754075e-1f);
  const Vector rest = exp_of(-square) * q * choose(size < splat(2.0f), middle, outer);
  const Vector far = choose(a < Vector{}, rest - splat(1.0f), splat(1.0f) - rest);
  return choose(size > splat(1.0f), far, near);  // NaN is near
}

inline Vector gelu_of(Vector z) {
  const Vector half = splat(0.5f) * z;
  return half + half * erf_of(splat(0.707106781f) * z);
}

template <class Each>
inline void change_each(float* values, int64_t count, Each each) {
  int64_t k = 0;
  for (; k + kWidth <= count; k += kWidth) store(values + k, each(load(values + k)));
  if (k < count) store_part(values + k, each(load_part(values + k, (int)(count - k), 0.0f)), (int)(count - k));
}

void activate_all(int activation, float* values, int64_t count) {
  if (activation == sumtoone::kGelu) return change_each(values, count, gelu_of);
  if (activation == sumtoone::kIdentity) return;
  change_each(values, count, [=](Vector z) { return activated((sumtoone::Activation)activation, z); });
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
void predict(const Prediction& task, int64_t begin, int64_t end, float* room) {
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
  if (task.softmax) compute<Softmax, false>(out, nullptr, out, classes, 1, 0, rows, false);
}

}  // namespace
}  // namespace SUMTOONE_ISA
