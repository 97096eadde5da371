// What float32 numbers leave behind in bfloat16 for the products to come. Defined where kRounds<Operand> can be true.
#pragma once

#include "tiles.h"
#include "training_task.h"

namespace SUMTOONE_ISA {
namespace {

using sumtoone::Layer;
using sumtoone::Rounded;

// Two rows of a matrix, the first of an even number; the second may be missing.
template <class Operand>
void round_two(const float* first, const float* second, int64_t count, const Rounded& to, int64_t row);

// Rows begin … end - 1 of a matrix.
template <class Operand>
void round_rows(const float* from, int64_t stride, int64_t count, const Rounded& to, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row += 2) {
    const float* first = from + row * stride;
    round_two<Operand>(first, row + 1 < end ? first + stride : nullptr, count, to, row);
  }
}

// Rows of a panel of weights, the first of an even number, for both ways through the layer.
template <class Operand>
void round_weights(const Layer& layer, int64_t row, int64_t rows, int64_t column, int64_t width);

#if defined(__AVX512BF16__)

template <>
inline void round_two<Pair>(const float* first, const float* second, int64_t count, const Rounded& to, int64_t row) {
  Pair* along = to.along + row * to.along_stride;
  Pair* across = to.across + row / 2 * to.across_stride;
  for (int64_t column = 0; column < count; column += kWidth) {
    const Vector one = load(first + column), other = second ? load(second + column) : Vector{};
    store_neighbours(along + column / 2, one);
    if (second) store_neighbours(along + to.along_stride + column / 2, other);
    store(across + column, paired(one, other));
  }
}

template <>
inline void round_weights<Pair>(const Layer& layer, int64_t row, int64_t rows, int64_t column, int64_t width) {
  const float* from = layer.weights + column * (layer.in + 1) + row * width;
  Pair* to = layer.rounded + column * operands<Pair>(layer.in + 1) + row / 2 * width;
  for (int64_t m = 0; m < rows; m += 2)
    for (int64_t n = 0; n < width; n += kWidth) {
      const Vector second = m + 1 < rows ? load(from + (m + 1) * width + n) : Vector{};
      store(to + m / 2 * width + n, paired(load(from + m * width + n), second));
    }
  if (!layer.rounded_backward) return;
  const int64_t across = row / kPanel * kPanel, span = least(kPanel, padded(layer.in) - across);
  Pair* back = layer.rounded_backward + across * operands<Pair>(layer.out) + column / 2 * span + (row - across);
  for (int64_t m = 0; m < least(rows, layer.in - row); ++m) {
    Pair neighbours[kPanel / 2];
    for (int64_t n = 0; n < width; n += kWidth) store_neighbours(neighbours + n / 2, load(from + m * width + n));
    const int64_t count = operands<Pair>(least(width, layer.out - column));
    for (int64_t j = 0; j < count; ++j) back[j * span + m] = neighbours[j];
  }
}

#endif

}  // namespace
}  // namespace SUMTOONE_ISA
