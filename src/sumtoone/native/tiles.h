// Products of matrices, tile by tile: a tile of the result stays in registers while it is summed.
#pragma once

#include "pairs.h"
#include "simd.h"

namespace SUMTOONE_ISA {
namespace {

constexpr int kTileRows = 4;
constexpr int64_t kPanel = kTileVectors * kWidth;
// So many rows of a panel stay in the first cache while rows of the batch go past.
constexpr int64_t kDepth = 24 * 1024 / (4 * kPanel);

template <int V>
struct Count {
  static constexpr int value = V;
};

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t padded(int64_t count) { return (count + kWidth - 1) / kWidth * kWidth; }

// sums[m][n] += a[m, k] * b[k, n] over all k.
template <int M, int N, class Operand>
[[gnu::always_inline]] inline void accumulate(int64_t depth, const Operand* a, int64_t row, int64_t along,
                                              const Operand* b, int64_t width, Vector (&sums)[M][N]) {
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k, a += along, b += width) {
    decltype(load(b)) values[N];
    for (int n = 0; n < N; ++n) values[n] = load(b + n * kWidth);
    for (int m = 0; m < M; ++m) {
      const auto factor = splat(a[m * row]);
      for (int n = 0; n < N; ++n) add_product(sums[m][n], factor, values[n]);
    }
  }
}

template <int M, int N>
[[gnu::always_inline]] inline void begin_sums(Vector (&sums)[M][N], const float* from, int64_t row) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) sums[m][n] = from ? load(from + m * row + n * kWidth) : Vector{};
}

template <int M, int N>
[[gnu::always_inline]] inline void store_sums(const Vector (&sums)[M][N], float* to, int64_t row) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) store(to + m * row + n * kWidth, sums[m][n]);
}

template <int N, class Body>
inline void over_rows(int64_t begin, int64_t end, const Body& body) {
  for (; begin + kTileRows <= end; begin += kTileRows) body(Count<kTileRows>{}, Count<N>{}, begin);
  if (end - begin == 3) body(Count<3>{}, Count<N>{}, begin);
  if (end - begin == 2) body(Count<2>{}, Count<N>{}, begin);
  if (end - begin == 1) body(Count<1>{}, Count<N>{}, begin);
}

// Calls body(M, N, row) for tiles of rows, M and N known to the compiler.
template <class Body>
inline void over_tiles(int64_t vectors, int64_t begin, int64_t end, const Body& body) {
  if (vectors == 1) return over_rows<1>(begin, end, body);
  if (vectors == 2) return over_rows<2>(begin, end, body);
  if constexpr (kTileVectors >= 3)
    if (vectors == 3) return over_rows<3>(begin, end, body);
  if constexpr (kTileVectors >= 4)
    if (vectors == 4) return over_rows<4>(begin, end, body);
}

// out[row] = a[row] times a matrix (depth, columns) in panels, for rows from begin to end. An operand is a float, or a
// pair of bfloat16 along the summed axis.
template <class Operand>
void product(const Operand* a, int64_t a_stride, const Operand* panels, int64_t depth, int64_t columns, float* out,
             int64_t out_stride, int64_t begin, int64_t end) {
  const int64_t blocks = (depth + kDepth - 1) / kDepth;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t low = depth * block / blocks, high = depth * (block + 1) / blocks;
    for (int64_t column = 0; column < columns; column += kPanel) {
      const int64_t width = least(kPanel, columns - column);
      const Operand* b = panels + column * depth + low * width;
      // What is multiplied next comes near meanwhile, a part with every tile.
      const bool beside = column + kPanel < columns;
      const int64_t wide = least(kPanel, beside ? columns - column - kPanel : columns);
      const int64_t from = beside ? low : high, to = beside ? high : depth * least(block + 2, blocks) / blocks;
      const Operand* next = panels + (beside ? column + kPanel : 0) * depth + from * wide;
      const Operand* const last = next + (to - from) * wide;
      const int64_t share = (to - from) * wide * kTileRows / (end - begin + 1) + 16;
      over_tiles(width / kWidth, begin, end, [&](auto m, auto n, int64_t row) {
        constexpr int M = decltype(m)::value, N = decltype(n)::value;
        for (const Operand* stop = next + share; next < last && next < stop; next += 16) __builtin_prefetch(next, 0, 2);
        float* to = out + row * out_stride + column;
        Vector sums[M][N];
        begin_sums<M, N>(sums, block ? to : nullptr, out_stride);
        accumulate<M, N>(high - low, a + row * a_stride + low, a_stride, 1, b, N * kWidth, sums);
        store_sums<M, N>(sums, to, out_stride);
      });
    }
  }
}

}  // namespace
}  // namespace SUMTOONE_ISA
