// Rows turned into columns, so that a vector holds one column of kWidth rows, and back.
#pragma once

#include <algorithm>
#include <utility>

#include "simd.h"

namespace SUMTOONE_ISA {

// each(0), …, each(kWidth - 1), written out: what is exchanged between registers must have their numbers as constants.
template <int... Place, class Each>
[[gnu::always_inline]] inline void each_lane(std::integer_sequence<int, Place...>, Each each) {
  (each(Place), ...);
}

template <class Each>
[[gnu::always_inline]] inline void each_lane(Each each) {
  each_lane(std::make_integer_sequence<int, kWidth>{}, each);
}

// --- kWidth x kWidth numbers in registers: log2(kWidth) rounds of exchanges at half the distance each

template <int Distance, int... Lane>
inline Vector exchange_low(Vector a, Vector b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, ((Lane & Distance) ? kWidth + Lane - Distance : Lane)...);
}

template <int Distance, int... Lane>
inline Vector exchange_high(Vector a, Vector b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, ((Lane & Distance) ? kWidth + Lane : Lane + Distance)...);
}

template <int Distance = kWidth / 2>
[[gnu::always_inline]] inline void transpose(Vector* rows) {
  if constexpr (Distance > 0) {
    constexpr std::make_integer_sequence<int, kWidth> lanes{};
    each_lane([&](int low) __attribute__((always_inline)) {
      if (low & Distance) return;
      const Vector a = rows[low], b = rows[low + Distance];
      rows[low] = exchange_low<Distance>(a, b, lanes);
      rows[low + Distance] = exchange_high<Distance>(a, b, lanes);
    });
    transpose<Distance / 2>(rows);
  }
}

// --- rows of up to kWidth numbers, their count known to the compiler

// kWidth rows of Count numbers each, turned into Count columns. What nobody asks for is not computed: the compiler drops
// the exchanges that only lead to columns behind the last.
template <int Count>
inline void turn(Vector* columns, const float* rows, int filled) {
  Vector turned[kWidth];
  // A whole vector is read where the rows behind are this task's too; what of them it holds is dropped.
  if (filled == kWidth) {
    constexpr int whole = (kWidth * Count - kWidth) / Count;  // the last row that may be read as a whole vector
    each_lane([&](int row) __attribute__((always_inline)) {
      turned[row] = row <= whole ? load(rows + row * Count) : load_part(rows + row * Count, Count, 0);
    });
  } else {
    for (int row = 0; row < kWidth; ++row)
      turned[row] = row < filled ? load_part(rows + row * Count, Count, 0) : Vector{};
  }
  transpose(turned);
  each_lane([&](int k) __attribute__((always_inline)) {
    if (k < Count) columns[k] = turned[k];
  });
}

// Writes kWidth turned rows of Count numbers each, one behind the other, and nothing outside of them.
template <int Count>
inline void put_rows(float* to, const Vector* columns, int filled) {
  Vector rows[kWidth];
  each_lane([&](int k) __attribute__((always_inline)) { rows[k] = k < Count ? columns[k] : Vector{}; });
  transpose(rows);
  if (filled == kWidth) {
    // A whole vector runs over into the next row's place, which is written after it.
    constexpr int whole = (kWidth * Count - kWidth) / Count;
    each_lane([&](int row) __attribute__((always_inline)) {
      row <= whole ? store(to + row * Count, rows[row]) : store_part(to + row * Count, rows[row], Count);
    });
  } else {
    for (int row = 0; row < filled; ++row) store_part(to + row * Count, rows[row], Count);
  }
}

// Calls `with(std::integral_constant<int, count>)` for 1 <= count <= kWidth.
template <class With, int... Counts>
inline void with_count(int64_t count, With with, std::integer_sequence<int, Counts...>) {
  ((count == Counts + 1 ? with(std::integral_constant<int, Counts + 1>{}) : void()), ...);
}

template <class With>
inline void with_count(int64_t count, With with) {
  with_count(count, with, std::make_integer_sequence<int, kWidth>{});
}

// --- rows of up to kMediumRow numbers

// Rows longer than a vector are turned block by block. The last block ends with the row and may begin in the one before:
// what both hold is read and written twice. Longer rows than these would still be turned faster in the caches, but
// lines written so far from each other come slowly from memory.
constexpr int64_t kMediumRow = 3 * kWidth - 1;

template <class Block>
inline void over_blocks(int64_t count, Block block) {
  for (int64_t column = 0; column < count; column += kWidth) block(std::min(column, count - kWidth));
}

inline void turn_medium(Vector* columns, const float* rows, int64_t count, int filled) {
  over_blocks(count, [&](int64_t column) {
    Vector turned[kWidth];
    for (int row = 0; row < kWidth; ++row) turned[row] = row < filled ? load(rows + row * count + column) : Vector{};
    transpose(turned);
    std::copy(turned, turned + kWidth, columns + column);
  });
}

inline void put_medium(float* to, const Vector* columns, int64_t count, int filled) {
  over_blocks(count, [&](int64_t column) {
    Vector rows[kWidth];
    std::copy(columns + column, columns + column + kWidth, rows);
    transpose(rows);
    for (int row = 0; row < filled; ++row) store(to + row * count + column, rows[row]);
  });
}

}  // namespace SUMTOONE_ISA
