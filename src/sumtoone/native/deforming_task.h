// What deforming pictures reads and writes, as plain values that every instruction set shares.
#pragma once

#include <cstdint>

namespace sumtoone {

struct Deforming {
  const void* inputs;                // (N, height * width * channels) uint8 or float32
  bool bytes;
  const float* coefficients;         // (N, 2, factors down, factors across): of the displacements along x, then y
  const float *rows, *columns;       // (height, factors down) and (factors across, width)
  int64_t height, width, channels, factors_down, factors_across;
  float* out;                        // as the inputs, float32

  // Floats that deform() needs room for, whatever the width of a vector.
  int64_t room() const {
    const int64_t wide = (width + 15) / 16 * 16;
    return (factors_across + 2 * factors_down + 2) * wide + height * width * channels;
  }
};

}  // namespace sumtoone
