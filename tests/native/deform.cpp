// Random deformations of random pictures, on every instruction set of this machine: in buffers of exactly the task's
// size, held against plain loops in double.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "buffers.h"

namespace {

using sumtoone::Deforming;
using sumtoone::Kernels;

// What a task reads and writes, every array ending where its data end.
struct Data {
  int64_t count, height, width, channels, down, across, size;
  bool bytes;
  Exact floats, coefficients, rows, columns, out;
  std::unique_ptr<uint8_t[]> pixels;

  Data()
      : count(between(1, 6)),
        height(between(1, 40)),
        width(between(1, 40)),
        channels(between(0, 2) ? 1 : 3),
        down(between(2, 9)),
        across(between(2, 9)),
        size(height * width * channels),
        bytes(between(0, 1)),
        floats(bytes ? 0 : count * size, 50),
        coefficients(count * 2 * down * across, between(0, 3) ? 0.3f : between(0, 1) ? 0.0f : 100.0f),
        rows(height * down, 1),
        columns(across * width, 1),
        out(count * size),
        pixels(new uint8_t[bytes ? count * size : 0]) {
    for (int64_t k = 0; bytes && k < count * size; ++k) pixels[k] = (uint8_t)between(0, 255);
  }

  Deforming task() {
    const void* inputs = bytes ? (const void*)pixels.get() : floats.data();
    return {inputs, bytes, coefficients.data(), rows.data(), columns.data(), height, width, channels, down, across,
            out.data()};
  }

  double value(int64_t picture, int64_t row, int64_t column, int64_t channel) {
    const int64_t place = picture * size + (row * width + column) * channels + channel;
    return bytes ? pixels[place] : floats[place];
  }

  double displacement(int64_t picture, int axis, int64_t row, int64_t column) {
    double sum = 0;
    for (int64_t i = 0; i < down; ++i)
      for (int64_t j = 0; j < across; ++j)
        sum += (double)rows[row * down + i] * coefficients[((picture * 2 + axis) * down + i) * across + j] *
               columns[j * width + column];
    return sum;
  }

  double wanted(int64_t picture, int64_t row, int64_t column, int64_t channel) {
    const double x = std::clamp(column + displacement(picture, 0, row, column), 0.0, (double)(width - 1));
    const double y = std::clamp(row + displacement(picture, 1, row, column), 0.0, (double)(height - 1));
    const int64_t left = (int64_t)x, top = (int64_t)y;
    const int64_t right = std::min(left + 1, width - 1), bottom = std::min(top + 1, height - 1);
    const double fx = x - (double)left, fy = y - (double)top;
    return (1 - fy) * ((1 - fx) * value(picture, top, left, channel) + fx * value(picture, top, right, channel)) +
           fy * ((1 - fx) * value(picture, bottom, left, channel) + fx * value(picture, bottom, right, channel));
  }
};

void check(const Kernels& kernels, int tasks) {
  for (int number = 0; number < tasks; ++number) {
    Data data;
    const Deforming task = data.task();
    Exact room(task.room());
    const int64_t half = data.count / 2;
    kernels.deform(task, 0, half, room.data());
    kernels.deform(task, half, data.count, room.data());
    for (int64_t k = 0; k < data.count * data.size; ++k) {
      const int64_t inside = k % data.size / data.channels;
      const double wanted = data.wanted(k / data.size, inside / data.width, inside % data.width, k % data.channels);
      // A place is known to a share of its distance, and neighbours may differ by the whole range.
      if (std::abs(data.out[k] - wanted) > 0.2) {
        std::printf("%s: %g, wanted %g\n", kernels.name, data.out[k], wanted);
        std::exit(1);
      }
    }
  }
  std::printf("%s: %d deformations\n", kernels.name, tasks);
}

}  // namespace

int main(int arguments, char** values) {
  const int tasks = arguments > 1 ? std::atoi(values[1]) : 200;
  for (const Kernels* kernels : instruction_sets()) check(*kernels, tasks);
}
