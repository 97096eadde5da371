// Pictures deformed: displacement fields as two small products, then one bilinear look-up.
#pragma once

#include "deforming_task.h"
#include "simd.h"

namespace SUMTOONE_ISA {
namespace {

using sumtoone::Deforming;

inline Vector within(Vector a, float last) { return -larger(-larger(a, Vector{}), splat(-last)); }

inline Integers at_most(Integers a, int32_t most) {
  const Integers limit = most - Integers{};
  return a > limit ? limit : a;
}

// What lies between the four pixels around (x, y), for as many places as a vector has lanes.
struct Between {
  Integers first, right, below;  // the place of the pixel up left, and how far the others are from it
  Vector x, y;

  Between(const Deforming& task, Vector column, Vector row) {
    const int32_t width = (int32_t)task.width, channels = (int32_t)task.channels;
    column = within(column, (float)(task.width - 1)), row = within(row, (float)(task.height - 1));
    const Integers left = __builtin_convertvector(column, Integers), top = __builtin_convertvector(row, Integers);
    x = column - __builtin_convertvector(left, Vector), y = row - __builtin_convertvector(top, Vector);
    first = (top * width + left) * channels;
    right = (at_most(left + 1, width - 1) - left) * channels;
    below = (at_most(top + 1, (int32_t)task.height - 1) - top) * width * channels;
  }

  Vector of(const float* picture) const {
    const Vector left = splat(1.0f) - x, up = splat(1.0f) - y;
    const Vector above = left * gather(picture, first) + x * gather(picture, first + right);
    const Vector under = left * gather(picture, first + below) + x * gather(picture, first + below + right);
    return up * above + y * under;
  }
};

// to (rows, padded) = from (rows, inner) @ factors (inner, padded), where `padded` is a multiple of the vector's width.
inline void small_product(const float* from, int64_t rows, int64_t inner, const float* factors, int64_t padded,
                          float* to) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < padded; column += kWidth) {
      Vector sum{};
      for (int64_t k = 0; k < inner; ++k) sum += splat(from[row * inner + k]) * load(factors + k * padded + column);
      store(to + row * padded + column, sum);
    }
}

void deform(const Deforming& task, int64_t begin, int64_t end, float* room) noexcept {
  const int64_t size = task.height * task.width * task.channels, wide = (task.width + kWidth - 1) / kWidth * kWidth;
  const int64_t along = task.factors_down, across = task.factors_across;
  float *columns = room, *across_x = columns + across * wide, *across_y = across_x + along * wide;
  float *down_x = across_y + along * wide, *down_y = down_x + wide, *picture = down_y + wide;
  for (int64_t k = 0; k < across; ++k)
    for (int64_t column = 0; column < wide; ++column)
      columns[k * wide + column] = column < task.width ? task.columns[k * task.width + column] : 0.0f;
  Vector lanes;
  for (int lane = 0; lane < kWidth; ++lane) lanes[lane] = (float)lane;
  for (int64_t place = begin; place < end; ++place) {
    for (int64_t k = 0; k < size; ++k)
      picture[k] = task.bytes ? (float)((const uint8_t*)task.inputs)[place * size + k]
                              : ((const float*)task.inputs)[place * size + k];
    const float* coefficients = task.coefficients + place * 2 * along * across;
    small_product(coefficients, along, across, columns, wide, across_x);
    small_product(coefficients + along * across, along, across, columns, wide, across_y);
    for (int64_t row = 0; row < task.height; ++row) {
      small_product(task.rows + row * along, 1, along, across_x, wide, down_x);
      small_product(task.rows + row * along, 1, along, across_y, wide, down_y);
      float* out = task.out + place * size + row * task.width * task.channels;
      for (int64_t column = 0; column < task.width; column += kWidth) {
        const int count = (int)(task.width - column < kWidth ? task.width - column : kWidth);
        const Between between(task, splat((float)column) + lanes + load(down_x + column),
                              splat((float)row) + load(down_y + column));
        for (int64_t channel = 0; channel < task.channels; ++channel) {
          const Vector values = between.of(picture + channel);
          if (task.channels == 1) {
            store_part(out + column, values, count);
            continue;
          }
          for (int lane = 0; lane < count; ++lane) out[(column + lane) * task.channels + channel] = values[lane];
        }
      }
    }
  }
}

}  // namespace
}  // namespace SUMTOONE_ISA
