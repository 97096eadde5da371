// Rows times weights as PyTorch keeps them, (out, in): every number is the dot product of two rows in memory.
//
// A tile of 4 rows and 4 outputs reads 8 vectors for 16 products of vectors, so it is the arithmetic that limits it,
// and nothing has to be packed or kept. A sum has one order, whatever tile it is computed in: one vector along the
// inputs, block by block, then across its lanes.
#pragma once

#include <algorithm>
#include <utility>

#include "simd.h"

namespace SUMTOONE_ISA {
namespace {

constexpr int kOutputs = 4;
#if defined(__AVX512F__)
constexpr int kRows = 4;  // 16 sums, 4 vectors of weights, 1 of inputs: 21 of 32 registers
#elif defined(__AVX2__)
constexpr int kRows = 3;  // 12 sums: 16 registers are not enough for more
#else
constexpr int kRows = 2;
#endif
// Inputs of one block: 4 rows of them and 4 of weights stay in the first cache.
constexpr int64_t kBlock = 1024;
// Weights that stay in the second cache while many rows go past.
constexpr int64_t kWeightsNear = 128 * 1024;

typedef float Four __attribute__((vector_size(16)));

// In groups of four lanes: the first two (Half = 0) or the last two of a and b, turn by turn.
template <int Half, int... Lane>
inline Vector alternate(Vector a, Vector b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, ((Lane & ~3) + 2 * Half + (Lane & 3) / 2 + (Lane & 1) * kWidth)...);
}

// In groups of four lanes: the first two (Half = 0) or the last two of a, then those of b.
template <int Half, int... Lane>
inline Vector side_by_side(Vector a, Vector b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, ((Lane & ~3) + 2 * Half + (Lane & 1) + (Lane & 2) / 2 * kWidth)...);
}

// The sums over the lanes of four vectors.
[[gnu::always_inline]] inline Four sums_of(Vector a, Vector b, Vector c, Vector d) {
  constexpr std::make_integer_sequence<int, kWidth> lanes{};
  const Vector ab = alternate<0>(a, b, lanes) + alternate<1>(a, b, lanes);
  const Vector cd = alternate<0>(c, d, lanes) + alternate<1>(c, d, lanes);
  const Vector all = side_by_side<0>(ab, cd, lanes) + side_by_side<1>(ab, cd, lanes);
  Four parts[kWidth / 4];
  std::memcpy(parts, &all, sizeof all);
  for (int count = kWidth / 8; count; count /= 2)
    for (int part = 0; part < count; ++part) parts[part] += parts[part + count];
  return parts[0];
}

// sums[m][n] += x[m, k] * w[n, k] for the lanes that `read` reads.
template <int M, int N, class Read>
[[gnu::always_inline]] inline void multiply(const float* x, int64_t x_stride, const float* w, int64_t w_stride,
                                            Vector (&sums)[M][N], Read read) {
  Vector values[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) values[n] = read(w + n * w_stride);
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
    const Vector value = read(x + m * x_stride);
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sums[m][n] += value * values[n];
  }
}

// M rows and N outputs of `out`: what is there already, or the bias where this is the first block, and the products.
template <int M, int N>
[[gnu::noinline]] void dot_tile(const float* x, int64_t x_stride, const float* w, int64_t w_stride, int64_t depth,
                                const float* bias, float* out, int64_t out_stride) {
  Vector sums[M][N];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sums[m][n] = Vector{};
  int64_t k = 0;
#pragma GCC unroll 2
  for (; k + kWidth <= depth; k += kWidth)
    multiply<M, N>(x + k, x_stride, w + k, w_stride, sums, [](const float* from) { return load(from); });
  if (const int rest = (int)(depth - k))
    multiply<M, N>(x + k, x_stride, w + k, w_stride, sums,
                   [rest](const float* from) { return load_part(from, rest, 0.0f); });
  const auto sum = [&](int m, int n) { return n < N ? sums[m][n < N ? n : 0] : Vector{}; };
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m, out += out_stride) {
    Four values{};
    std::memcpy(&values, bias ? bias : out, N * sizeof(float));
    values += sums_of(sum(m, 0), sum(m, 1), sum(m, 2), sum(m, 3));
    std::memcpy(out, &values, N * sizeof(float));
  }
}

template <int M>
void dot_rows(const float* x, int64_t x_stride, const float* w, int64_t w_stride, int64_t depth, const float* bias,
              float* out, int64_t out_stride, int64_t outputs) {
  int64_t n = 0;
  for (; n + kOutputs <= outputs; n += kOutputs)
    dot_tile<M, kOutputs>(x, x_stride, w + n * w_stride, w_stride, depth, bias ? bias + n : nullptr, out + n,
                          out_stride);
  for (; n < outputs; ++n)
    dot_tile<M, 1>(x, x_stride, w + n * w_stride, w_stride, depth, bias ? bias + n : nullptr, out + n, out_stride);
}

// out (rows, out_size) = x (rows, in_size) times w (out_size, in_size), plus the bias.
void dots(const float* x, int64_t rows, const float* w, const float* bias, int64_t in_size, int64_t out_size,
          float* out) {
  const int64_t blocks = (in_size + kBlock - 1) / kBlock;
  const int64_t depth = ((in_size + blocks - 1) / blocks + 15) / 16 * 16;  // the same for every instruction set
  const int64_t at_once = std::max<int64_t>(kOutputs, kWeightsNear / in_size / kOutputs * kOutputs);
  for (int64_t first = 0; first < out_size; first += at_once) {
    const int64_t outputs = std::min(at_once, out_size - first);
    for (int64_t low = 0; low < in_size; low += depth) {
      const int64_t here = std::min(depth, in_size - low);
      const auto some = [&](auto rows_of_tile, int64_t row) {
        dot_rows<decltype(rows_of_tile)::value>(x + row * in_size + low, in_size, w + first * in_size + low, in_size,
                                                here, low ? nullptr : bias + first, out + row * out_size + first,
                                                out_size, outputs);
      };
      int64_t row = 0;
      for (; row + kRows <= rows; row += kRows) some(std::integral_constant<int, kRows>{}, row);
      if (kRows > 3 && rows - row == 3) some(std::integral_constant<int, 3>{}, row);
      if (kRows > 2 && rows - row == 2) some(std::integral_constant<int, 2>{}, row);
      if (rows - row == 1) some(std::integral_constant<int, 1>{}, row);
    }
  }
}

}  // namespace
}  // namespace SUMTOONE_ISA
