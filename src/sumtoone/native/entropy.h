// Cross entropy from logits: the loss of each row and, in the same pass, its gradient for the logits.
//
// loss = (1 - s) (-log p_target) + s mean_k(-log p_k);  gradient = p - (1 - s) onehot(target) - s / K.
// The logarithms are taken as in LogSoftmax, so that a confident row keeps the digits of its small loss.
#pragma once

#include "softmax.h"

namespace SUMTOONE_ISA {

struct EntropyTask {
  const float* x;
  const int64_t* target;  // each in [0, count), as the caller has checked
  float smoothing;
  float* loss;
  float* gradient;  // or null where nobody asks for it
  int64_t count;
};

// The loss of one row, given its maximum, log(total) and the sum of its differences from the maximum.
inline float row_loss(const EntropyTask& task, int64_t row, float m, float log_total, float differences) {
  const float at_target = task.x[row * task.count + task.target[row]] - m;
  float loss = log_total - (1.0f - task.smoothing) * at_target;
  // Not multiplied by 0: the sum may be infinite.
  if (task.smoothing > 0) loss -= task.smoothing * (differences / (float)task.count);
  return loss;
}

struct EntropyColumns {
  Vector m, log_total, differences;
};

// The losses' parts of kWidth turned rows; their columns become p - even. Not inlined: see compute_turned.
inline __attribute__((noinline)) EntropyColumns entropy_columns(Vector* x, int64_t count, float even) {
  Vector m = x[0];
  for (int64_t k = 1; k < count; ++k) m = larger(x[k], m);
  Vector others = {}, tops = splat(-1.0f), sum = {};
  for (int64_t k = 0; k < count; ++k) {
    const Difference d = difference(x[k], m);
    const Vector e = exp_of(d.value, d.tail);
    const Integers top = d.value == Vector{};
    tops += choose(top, splat(1.0f), Vector{});
    others += choose(top, Vector{}, e);
    sum += d.value;
    x[k] = e;
  }
  const Vector share = splat(1.0f) / (others + (tops + splat(1.0f)));
  for (int64_t k = 0; k < count; ++k) x[k] = x[k] * share - splat(even);
  return {m, log1p_of(others + tops), sum};
}

template <int Count>
inline void entropy_of_short_rows(const EntropyTask& task, int64_t begin, int64_t end) {
  alignas(64) float maxima[kWidth], log_totals[kWidth], differences[kWidth];
  Vector x[kWidth];
  for (int64_t row = begin; row < end; row += kWidth) {
    const int filled = (int)std::min<int64_t>(kWidth, end - row);
    turn<Count>(x, task.x + row * Count, filled);
    const EntropyColumns found = entropy_columns(x, Count, task.smoothing / (float)Count);
    store(maxima, found.m);
    store(log_totals, found.log_total);
    store(differences, found.differences);
    for (int r = 0; r < filled; ++r) {
      task.loss[row + r] = row_loss(task, row + r, maxima[r], log_totals[r], differences[r]);
    }
    if (!task.gradient) continue;
    transpose(x);
    float* to = task.gradient + row * Count;
    put_rows<Count>(to, x, filled);
    for (int r = 0; r < filled; ++r) to[r * Count + task.target[row + r]] -= 1.0f - task.smoothing;
  }
}

inline void entropy_of_long_row(const EntropyTask& task, int64_t row) {
  const int64_t count = task.count;
  const float* x = task.x + row * count;
  float* out = task.gradient ? task.gradient + row * count : nullptr;
  const float maximum = row_maximum(x, count);
  const Vector m = splat(maximum);
  Vector tops = {};
  float sum = 0;
  if (task.smoothing > 0) {
    sum = row_sum(count, [&](int64_t k, int width) { return piece(x + k, width, maximum) - m; });
  }
  const float others = exact_row_sum(count, [&](int64_t k, int width) {
    const Difference d = difference(piece(x + k, width, kNone), m);
    const Vector e = exp_of(d.value, d.tail);
    const Integers top = d.value == Vector{};
    tops += choose(top, splat(1.0f), Vector{});
    if (out) put(out + k, e, width);
    return choose(top, Vector{}, e);
  });
  const float besides = others + (sum_of(tops) - 1.0f);
  alignas(64) float log_total[kWidth];
  store(log_total, log1p_of(splat(besides)));
  task.loss[row] = row_loss(task, row, maximum, log_total[0], sum);
  if (!out) return;
  const Vector share = splat(1.0f / (besides + 1.0f)), even = splat(task.smoothing / (float)count);
  pieces(count, [&](int64_t k, int width) { put(out + k, piece(out + k, width, 0) * share - even, width); });
  out[task.target[row]] -= 1.0f - task.smoothing;
}

inline void entropy(const EntropyTask& task, int64_t begin, int64_t end) {
  if (task.count <= kWidth) {
    with_count(task.count, [&](auto known) { entropy_of_short_rows<decltype(known)::value>(task, begin, end); });
  } else {
    for (int64_t row = begin; row < end; ++row) entropy_of_long_row(task, row);
  }
}

}  // namespace SUMTOONE_ISA
