// Cross entropy from logits: the loss of each row and, in the same pass, its gradient for the logits.
//
// loss = (1 - s) (-log p_target) + s mean_k(-log p_k);  gradient = (p - (1 - s) onehot(target) - s / K) scale.
// The logarithms are taken as in LogSoftmax, so that a confident row keeps the digits of its small loss.
#pragma once

#include "softmax.h"

namespace SUMTOONE_ISA {

struct EntropyTask {
  const float* x;
  const int64_t* target;  // each in [0, count), as the caller has checked
  float smoothing;
  float scale;  // of the gradient
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

// The losses' parts of kWidth turned rows; their columns become (p - even) scale. Not inlined: see compute_turned.
inline __attribute__((noinline)) EntropyColumns entropy_columns(Vector* x, int64_t count, float even, float scale) {
  Vector m = x[0];
  for (int64_t k = 1; k < count; ++k) m = larger(x[k], m);
  Vector differences = {};
  if (even > 0.0f) differences = sum_over(count, [&](int64_t k) { return x[k] - m; });
  Vector tops = {}, top_one = {};
  const Vector others = with_exponential(m, [&](auto exponential) {
    top_one = exponential(m);
    return careful_sum_over(count, [&](int64_t k) {
      const Integers top = x[k] == m;
      x[k] = exponential(x[k]);
      tops += choose(top, splat(1.0f), Vector{});
      return choose(top, Vector{}, x[k]);
    });
  });
  const Vector share = splat(scale) / (others + tops * top_one), less = splat(even * scale);
  for (int64_t k = 0; k < count; ++k) x[k] = x[k] * share - less;
  return {m, log1p_of(others / top_one + (tops - splat(1.0f))), differences};
}

// kWidth rows at once, `filled` of them there: what turns them, what writes their gradient.
template <class Turn, class Put>
[[gnu::always_inline]] inline void entropy_of_turned(const EntropyTask& task, int64_t row, int filled, Vector* columns,
                                                     Turn turn_rows, Put put) {
  alignas(64) float maxima[kWidth], log_totals[kWidth], differences[kWidth];
  turn_rows(columns, task.x + row * task.count, filled);
  const EntropyColumns found = entropy_columns(columns, task.count, task.smoothing / (float)task.count, task.scale);
  store(maxima, found.m);
  store(log_totals, found.log_total);
  store(differences, found.differences);
  for (int r = 0; r < filled; ++r)
    task.loss[row + r] = row_loss(task, row + r, maxima[r], log_totals[r], differences[r]);
  if (!task.gradient) return;
  float* to = task.gradient + row * task.count;
  put(to, columns, filled);
  const float more = (1.0f - task.smoothing) * task.scale;
  for (int r = 0; r < filled; ++r) to[r * task.count + task.target[row + r]] -= more;
}

template <int Count>
inline void entropy_of_short_rows(const EntropyTask& task, int64_t begin, int64_t end) {
  Vector columns[Count];
  for (int64_t row = begin; row < end; row += kWidth)
    entropy_of_turned(task, row, (int)std::min<int64_t>(kWidth, end - row), columns, turn<Count>, put_rows<Count>);
}

inline void entropy_of_medium_rows(const EntropyTask& task, int64_t begin, int64_t end) {
  Vector columns[kMediumRow];
  const auto turn_rows = [&](Vector* to, const float* rows, int filled) { turn_medium(to, rows, task.count, filled); };
  const auto put = [&](float* to, const Vector* from, int filled) { put_medium(to, from, task.count, filled); };
  for (int64_t row = begin; row < end; row += kWidth)
    entropy_of_turned(task, row, (int)std::min<int64_t>(kWidth, end - row), columns, turn_rows, put);
}

inline void entropy_of_long_row(const EntropyTask& task, int64_t row) {
  const int64_t count = task.count;
  const float* x = task.x + row * count;
  float* out = task.gradient ? task.gradient + row * count : nullptr;
  const float maximum = row_maximum(x, count);
  const Vector m = splat(maximum);
  float differences = 0;
  if (task.smoothing > 0)
    differences = row_sum(count, [&](int64_t k, int width) { return piece(x + k, width, maximum) - m; });
  Vector tops = {}, top_one = {};
  const float others = with_exponential(m, [&](auto exponential) {
    top_one = exponential(m);
    return careful_row_sum(count, [&](int64_t k, int width) {
      const Vector some = piece(x + k, width, kNone);
      const Integers top = some == m;
      const Vector e = exponential(some);
      tops += choose(top, splat(1.0f), Vector{});
      if (out) put(out + k, e, width);
      return choose(top, Vector{}, e);
    });
  });
  const Vector reached = splat(sum_of(tops));
  alignas(64) float log_total[kWidth];
  store(log_total, log1p_of(splat(others) / top_one + (reached - splat(1.0f))));
  task.loss[row] = row_loss(task, row, maximum, log_total[0], differences);
  if (!out) return;
  const Vector share = splat(task.scale) / (splat(others) + reached * top_one);
  const Vector less = splat(task.smoothing / (float)count * task.scale);
  pieces(count, [&](int64_t k, int width) { put(out + k, piece(out + k, width, 0) * share - less, width); });
  out[task.target[row]] -= (1.0f - task.smoothing) * task.scale;
}

inline void entropy(const EntropyTask& task, int64_t begin, int64_t end) {
  if (task.count <= kWidth) {
    with_count(task.count, [&](auto known) { entropy_of_short_rows<decltype(known)::value>(task, begin, end); });
  } else if (task.count <= kMediumRow) {
    entropy_of_medium_rows(task, begin, end);
  } else {
    for (int64_t row = begin; row < end; ++row) entropy_of_long_row(task, row);
  }
}

}  // namespace SUMTOONE_ISA
