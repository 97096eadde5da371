// Cross entropy from logits: the loss of each row and, in the same pass, its gradient for the logits.
//
// loss = (1 - s) (-log p_target) + s mean_k(-log p_k);  gradient = (p - (1 - s) onehot(target) - s / K) scale.
// The logarithms are taken as in LogSoftmax, so that a confident row keeps the digits of its small loss.
#pragma once

#include "softmax.h"

namespace SUMTOONE_ISA {

struct EntropyTask {
  const float* x;
  const int64_t* target;
  float smoothing;
  float scale;  // of the gradient
  float* loss;
  float* gradient;  // or null where nobody asks for it
  int64_t count;

  // Read once, for another thread may write to it meanwhile; one that is not in [0, count) is told, and stands for 0.
  int64_t target_of(int64_t row, bool& inside) const {
    const uint64_t found = __atomic_load_n((const uint64_t*)target + row, __ATOMIC_RELAXED);
    if (__builtin_expect(found < (uint64_t)count, 1)) return (int64_t)found;
    inside = false;
    return 0;
  }
};

// The loss of one row, given the logit at its target, its maximum, log(total) and the sum of its differences from the
// maximum.
inline float row_loss(float at_target, float m, float log_total, float differences, int64_t count, float smoothing) {
  float loss = log_total - (1.0f - smoothing) * (at_target - m);
  // Not multiplied by 0: the sum may be infinite.
  if (smoothing > 0) loss -= smoothing * (differences / (float)count);
  return loss;
}

struct EntropyColumns {
  Vector m, log_total, differences;
};

// The losses' parts of kWidth turned rows; their columns become (p - even) scale. Not inlined: see compute_turned.
inline __attribute__((noinline)) EntropyColumns entropy_columns(Vector* x, int64_t count, float even, float scale) {
  const auto get = [&](int64_t k) { return x[k]; };
  const Vector m = maximum_over(count, get);
  Vector differences = {};
  if (even > 0.0f) differences = sum_over(count, [&](int64_t k) { return x[k] - m; });
  const Total total = total_over(count, m, get, [&](int64_t k, Vector e) { x[k] = e; });
  const Vector share = splat(scale) / total.whole(), less = splat(even * scale);
  for (int64_t k = 0; k < count; ++k) x[k] = x[k] * share - less;
  return {m, total.logarithm(), differences};
}

// kWidth rows at once, `filled` of them there: what turns them, what writes their gradient.
template <class Turn, class Put>
[[gnu::always_inline]] inline bool entropy_of_turned(const EntropyTask& task, int64_t row, int filled, Vector* columns,
                                                     Turn turn_rows, Put put) {
  alignas(64) float maxima[kWidth], log_totals[kWidth], differences[kWidth];
  turn_rows(columns, task.x + row * task.count, filled);
  const EntropyColumns found = entropy_columns(columns, task.count, task.smoothing / (float)task.count, task.scale);
  store(maxima, found.m);
  store(log_totals, found.log_total);
  store(differences, found.differences);
  int64_t targets[kWidth];
  bool inside = true;
  for (int r = 0; r < filled; ++r) targets[r] = task.target_of(row + r, inside);
  for (int r = 0; r < filled; ++r)
    task.loss[row + r] = row_loss(task.x[(row + r) * task.count + targets[r]], maxima[r], log_totals[r], differences[r],
                                  task.count, task.smoothing);
  if (!task.gradient) return inside;
  float* to = task.gradient + row * task.count;
  put(to, columns, filled);
  const float more = (1.0f - task.smoothing) * task.scale;
  for (int r = 0; r < filled; ++r) to[r * task.count + targets[r]] -= more;
  return inside;
}

template <int Count>
inline bool entropy_of_short_rows(const EntropyTask& task, int64_t begin, int64_t end) {
  Vector columns[Count];
  bool inside = true;
  for (int64_t row = begin; row < end; row += kWidth)
    inside &= entropy_of_turned(task, row, (int)std::min<int64_t>(kWidth, end - row), columns, turn<Count>, put_rows<Count>);
  return inside;
}

inline bool entropy_of_medium_rows(const EntropyTask& task, int64_t begin, int64_t end) {
  Vector columns[kMediumRow];
  const auto turn_rows = [&](Vector* to, const float* rows, int filled) { turn_medium(to, rows, task.count, filled); };
  const auto put = [&](float* to, const Vector* from, int filled) { put_medium(to, from, task.count, filled); };
  bool inside = true;
  for (int64_t row = begin; row < end; row += kWidth)
    inside &= entropy_of_turned(task, row, (int)std::min<int64_t>(kWidth, end - row), columns, turn_rows, put);
  return inside;
}

// The loss of one row along memory; its gradient, times `scale`, goes to `out`, which may be null.
inline float entropy_of_row(const float* x, int64_t count, int64_t target, float smoothing, float scale, float* out) {
  const float maximum = row_maximum(x, count);
  const Vector m = splat(maximum);
  float differences = 0;
  if (smoothing > 0)
    differences = row_sum(count, [&](int64_t k, int width) { return piece(x + k, width, maximum) - m; });
  const Total total = total_of_row(x, count, m, out);
  if (out) {
    const Vector share = splat(scale) / total.whole(), less = splat(smoothing / (float)count * scale);
    pieces(count, [&](int64_t k, int width) { put(out + k, piece(out + k, width, 0) * share - less, width); });
    out[target] -= (1.0f - smoothing) * scale;
  }
  return row_loss(x[target], maximum, total.logarithm()[0], differences, count, smoothing);
}

// False where a target is none of the classes; the results are then not to be used.
inline bool entropy(const EntropyTask& task, int64_t begin, int64_t end) {
  bool inside = true;
  if (task.count <= kWidth) {
    with_count(task.count, [&](auto known) { inside = entropy_of_short_rows<decltype(known)::value>(task, begin, end); });
  } else if (task.count <= kMediumRow) {
    inside = entropy_of_medium_rows(task, begin, end);
  } else {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t place = row * task.count;
      task.loss[row] = entropy_of_row(task.x + place, task.count, task.target_of(row, inside), task.smoothing,
                                      task.scale, task.gradient ? task.gradient + place : nullptr);
    }
  }
  return inside;
}

}  // namespace SUMTOONE_ISA
