// What happens to the rows of a batch between the products: packing, activation, dropout, loss.
#pragma once

#include "entropy.h"
#include "tiles.h"
#include "training_task.h"

namespace SUMTOONE_ISA {
namespace {

using sumtoone::Chunk;
using sumtoone::Layer;
using sumtoone::Training;

typedef uint32_t Words __attribute__((vector_size(4 * kWidth)));

inline uint64_t mixed(uint64_t x) {  // splitmix64 (Steele, Lea & Flood 2014)
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Random numbers that are a function of where they are used: they need no state.
struct Mask {
  uint32_t low, high, threshold;
  Vector kept;

  Mask(float dropout, uint64_t seed, int64_t step, int64_t layer) {
    const uint64_t key = mixed(mixed(seed ^ mixed((uint64_t)step)) + (uint64_t)layer);
    low = (uint32_t)key, high = (uint32_t)(key >> 32);
    threshold = (uint32_t)((double)dropout * 4294967296.0);
    kept = splat(1.0f / (1.0f - dropout));
  }

  // 1 / (1 - dropout) where a value is kept, else 0, for the values from `element` on.
  Vector operator()(int64_t element) const {
    Words x;
    for (int lane = 0; lane < kWidth; ++lane) x[lane] = (uint32_t)lane;
    x = scrambled((x + (uint32_t)element) ^ low);
    x = scrambled(x + high);
    return choose((Integers)(x >= (threshold - Words{})), kept, Vector{});
  }

  static Words scrambled(Words x) {  // C. Wellons' lowbias32
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
  }
};

inline Vector sigmoid_of(Vector z) {
  const Integers negative = z < Vector{};
  const Vector e = exp_of(choose(negative, z, -z));
  return choose(negative, e, splat(1.0f)) / (splat(1.0f) + e);
}

// The polynomial near 0 is that of Cephes' tanhf (S. L. Moshier).
inline Vector tanh_of(Vector z) {
  const Vector size = choose(z < Vector{}, -z, z), square = z * z;
  const Vector e = exp_of(splat(-2.0f) * size);
  const Vector far = (splat(1.0f) - e) / (splat(1.0f) + e);
  Vector p = splat(-5.70498872745e-3f);
  p = p * square + splat(2.06390887954e-2f);
  p = p * square + splat(-5.37397155531e-2f);
  p = p * square + splat(1.33314422036e-1f);
  p = p * square + splat(-3.33332819422e-1f);
  const Vector near = p * square * z + z;
  return choose(size < splat(0.625f), near, choose(z < Vector{}, -far, far));
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

// The share of a normal distribution below z.
inline Vector normal_below(Vector z) { return splat(0.5f) + splat(0.5f) * erf_of(splat(0.707106781f) * z); }

inline Vector normal_density(Vector z) { return splat(0.398942280f) * exp_of(splat(-0.5f) * z * z); }

constexpr float kLeakySlope = 0.01f;

inline Vector activated(sumtoone::Activation activation, Vector z) {
  switch (activation) {
    case sumtoone::kSigmoid: return sigmoid_of(z);
    case sumtoone::kTanh: return tanh_of(z);
    case sumtoone::kRelu: return larger(Vector{}, z);
    case sumtoone::kLeakyRelu: return choose(z < Vector{}, z * splat(kLeakySlope), z);
    case sumtoone::kGelu: return z * normal_below(z);
    case sumtoone::kIdentity: break;
  }
  return z;
}

// The activation's derivative, from its value; that of gelu does not follow from it.
inline Vector slope_at(sumtoone::Activation activation, Vector value) {
  const Vector one = splat(1.0f);
  switch (activation) {
    case sumtoone::kSigmoid: return value * (one - value);
    case sumtoone::kTanh: return one - value * value;
    case sumtoone::kRelu: return choose(value > Vector{}, one, Vector{});
    case sumtoone::kLeakyRelu: return choose(value > Vector{}, one, splat(kLeakySlope));
    case sumtoone::kGelu:
    case sumtoone::kIdentity: break;
  }
  return one;
}

void pack_row(const Training& training, const Chunk& chunk, int64_t from, float* to) {
  const int64_t count = training.layer[0].in;
  int64_t place = 0;
  if (chunk.bytes) {
    const uint8_t* row = (const uint8_t*)chunk.inputs + from * count;
    for (; place + kWidth <= count; place += kWidth)
      store(to + place, load_bytes(row + place) * load(training.scale + place) + load(training.shift + place));
    for (; place < count; ++place) to[place] = (float)row[place] * training.scale[place] + training.shift[place];
  } else {
    const float* row = (const float*)chunk.inputs + from * count;
    for (; place + kWidth <= count; place += kWidth)
      store(to + place, load(row + place) * load(training.scale + place) + load(training.shift + place));
    for (; place < count; ++place) to[place] = row[place] * training.scale[place] + training.shift[place];
  }
  to[count] = 1.0f;
}

void activate(const Training& training, const Layer& layer, const Mask& mask, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    float* values = layer.outputs + row * layer.out_stride;
    for (int64_t column = 0; column < layer.out; column += kWidth) {
      const Vector sum = load(values + column);
      if (layer.slopes)
        store(layer.slopes + row * layer.out_stride + column, normal_below(sum) + sum * normal_density(sum));
      Vector value = activated(training.activation, sum);
      if (mask.threshold) value *= mask(row * layer.out + column);
      store(values + column, value);
    }
    values[layer.out] = 1.0f;
  }
}

// From what the loss grows by for each hidden value to what it grows by for each hidden sum.
void through_activation(const Training& training, const Layer& layer, const Mask& mask, int64_t begin, int64_t end) {
  const Vector kept = splat(1.0f - training.dropout);
  for (int64_t row = begin; row < end; ++row) {
    const float* values = layer.outputs + row * layer.out_stride;
    float* deltas = layer.deltas + row * layer.out_stride;
    for (int64_t column = 0; column < layer.out; column += kWidth) {
      Vector value = load(values + column), delta = load(deltas + column);
      if (mask.threshold) {
        value *= kept;
        delta *= mask(row * layer.out + column);
      }
      const float* slopes = layer.slopes ? layer.slopes + row * layer.out_stride + column : nullptr;
      store(deltas + column, delta * (slopes ? load(slopes) : slope_at(training.activation, value)));
    }
  }
}

// Softmax and cross entropy of one row: its loss, whether it is right, and its deltas.
void judge_row(const Training& training, const Layer& last, int64_t row, int64_t label, float weight, float share) {
  const float* logits = last.outputs + row * last.out_stride;
  float* deltas = last.deltas + row * last.out_stride;
  const int64_t classes = last.out;
  const float loss = entropy_of_row(logits, classes, label, training.smoothing, weight * share, deltas);
  training.row_loss[row] = weight == 0.0f ? 0.0f : weight * loss;
  for (int64_t column = classes; column < padded(classes); ++column) deltas[column] = 0.0f;
  bool right = true;  // of several largest, the first is the answer
  for (int64_t k = 0; k < classes; ++k) right &= k < label ? logits[k] < logits[label] : logits[k] <= logits[label];
  training.row_correct[row] = right;
}

}  // namespace
}  // namespace SUMTOONE_ISA
