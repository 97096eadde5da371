// Pairs of bfloat16 in the lanes of a vector: a product multiplies and sums both numbers of a pair at once.
#pragma once

#include "simd.h"
#include "training_task.h"

namespace SUMTOONE_ISA {

using sumtoone::Pair;

inline void add_product(Vector& sum, Vector a, Vector b) { sum += a * b; }

// How many operands so many numbers along the summed axis make.
template <class Operand>
constexpr int64_t operands(int64_t numbers) {
  return numbers;
}
template <>
constexpr int64_t operands<Pair>(int64_t numbers) {
  return (numbers + 1) / 2;
}

// Whether numbers must be rounded to become operands.
template <class Operand>
constexpr bool kRounds = operands<Operand>(2) == 1;

#if defined(__AVX512BF16__)

struct Pairs {
  __m512i lanes;
};

inline Pairs load(const Pair* from) { return {_mm512_loadu_si512(from)}; }
inline void store(Pair* to, Pairs value) { _mm512_storeu_si512(to, value.lanes); }
inline Pairs splat(Pair value) { return {_mm512_set1_epi32((int)value)}; }

inline void add_product(Vector& sum, Pairs a, Pairs b) {
  sum = (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a.lanes, (__m512bh)b.lanes);
}

// Lane k of the one and lane k of the other, rounded to the nearest, the even one of two.
inline Pairs paired(Vector first, Vector second) {
  alignas(64) static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  return {_mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both)};
}

// Lanes 2k and 2k + 1: half as many pairs.
inline void store_neighbours(Pair* to, Vector value) {
  _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh((__m512)value));
}

#endif

}  // namespace SUMTOONE_ISA
