// What happens to the rows of a batch between the products: packing, activation, dropout, loss.
#pragma once

#include "tiles.h"
#include "training.h"

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

// The share of a normal distribution below z. erf is x P(x^2) / Q(x^2) with the coefficients of Eigen and XLA, flat
// beyond 4.
inline Vector normal_below(Vector z) {
  Vector x = larger(splat(-4.0f), z * splat(0.707106781f));
  x = -larger(splat(-4.0f), -x);
  const Vector s = x * x;
  Vector p = splat(-2.72614225801306e-10f);
  p = p * s + splat(2.77068142495902e-8f);
  p = p * s + splat(-2.10102402082508e-6f);
  p = p * s + splat(-5.69250639462346e-5f);
  p = p * s + splat(-7.34990630326855e-4f);
  p = p * s + splat(-2.95459980854025e-3f);
  p = p * s + splat(-1.60960333262415e-2f);
  Vector q = splat(-1.45660718464996e-5f);
  q = q * s + splat(-2.13374055278905e-4f);
  q = q * s + splat(-1.68282697438203e-3f);
  q = q * s + splat(-7.37332916720468e-3f);
  q = q * s + splat(-1.42647390514189e-2f);
  return splat(0.5f) + splat(0.5f) * x * p / q;
}

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
void judge_row(const Training& training, const Layer& last, int64_t row, int64_t label, float share) {
  const float* logits = last.outputs + row * last.out_stride;
  float* deltas = last.deltas + row * last.out_stride;
  const int64_t classes = last.out;
  const float lowest = -std::numeric_limits<float>::infinity();
  const auto part = [&](int64_t column, float rest) {
    return load_part(logits + column, (int)least(kWidth, classes - column), rest);
  };
  Vector largest = splat(lowest);
  for (int64_t column = 0; column < classes; column += kWidth) largest = larger(part(column, lowest), largest);
  const float most = largest_of(largest);
  Vector total{}, shifted{};
  for (int64_t column = 0; column < classes; column += kWidth) {
    const Vector e = exp_of(part(column, lowest) - splat(most));
    total += e;
    store(deltas + column, e);
    if (training.smoothing > 0.0f) shifted += part(column, most) - splat(most);
  }
  const float sum = sum_of(total), log_sum = __builtin_logf(sum);
  const float spread = training.smoothing / (float)classes;
  float loss = (1.0f - training.smoothing) * (log_sum - (logits[label] - most));
  if (training.smoothing > 0.0f) loss += spread * ((float)classes * log_sum - sum_of(shifted));
  const Vector factor = splat(share / sum), less = splat(spread * share);
  for (int64_t column = 0; column < classes; column += kWidth)
    store(deltas + column, load(deltas + column) * factor - less);
  deltas[label] -= (1.0f - training.smoothing) * share;
  for (int64_t column = classes; column < padded(classes); ++column) deltas[column] = 0.0f;
  bool right = logits[label] == most;
  for (int64_t before = 0; right && before < label; ++before) right = logits[before] != most;
  training.row_loss[row] = loss;
  training.row_correct[row] = right;
}

}  // namespace
}  // namespace SUMTOONE_ISA
