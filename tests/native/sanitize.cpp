// The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, on every instruction set of this machine:
// thousands of random tasks in heap buffers of exactly the task's size, held against plain loops in double.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

#include "buffers.h"

namespace {

using sumtoone::Kernels;

struct Task {
  int64_t outer, count, inner;
  int64_t place(int64_t o, int64_t k, int64_t i) const { return (o * count + k) * inner + i; }
  int64_t numbers() const { return outer * count * inner; }
};

[[noreturn]] void fail(const Kernels& kernels, const char* what, const Task& task, double wanted, double found) {
  std::fprintf(stderr, "%s %s outer=%lld count=%lld inner=%lld: %.9g, not %.9g\n", kernels.name, what,
               (long long)task.outer, (long long)task.count, (long long)task.inner, found, wanted);
  std::exit(1);
}

void expect(const Kernels& kernels, const char* what, const Task& task, double wanted, double found, double scale) {
  if (!(std::fabs(wanted - found) <= 2e-6 * (std::fabs(wanted) + scale) + 1e-37)) fail(kernels, what, task, wanted, found);
}

// log(sum(exp(x))) of one row.
double log_sum(Exact& x, const Task& task, int64_t o, int64_t i) {
  double m = -std::numeric_limits<double>::infinity(), total = 0;
  for (int64_t k = 0; k < task.count; ++k) m = std::max<double>(m, x[task.place(o, k, i)]);
  for (int64_t k = 0; k < task.count; ++k) total += std::exp(x[task.place(o, k, i)] - m);
  return m + std::log(total);
}

// All units of a task, in random portions whose borders are multiples of 16 as the binding's are.
template <class Work>
void in_portions(int64_t units, Work work) {
  for (int64_t begin = 0; begin < units;) {
    const int64_t end = between(0, 1) ? units : std::min(units, begin + 16 * between(1, 3));
    work(begin, end);
    begin = end;
  }
}

// The inputs' own memory may be the output's.
void expect_same_in_place(const Kernels& kernels, int operation, const Task& task, Exact& x, Exact& wanted) {
  Exact both(task.numbers());
  std::copy(x.data(), x.data() + x.count(), both.data());
  in_portions(kernels.units(task.outer, task.inner), [&](int64_t begin, int64_t end) {
    kernels.compute(operation, both.data(), nullptr, both.data(), task.count, task.inner, begin, end);
  });
  for (int64_t k = 0; k < both.count(); ++k)
    if (std::memcmp(both.data() + k, wanted.data() + k, 4)) fail(kernels, "in place", task, wanted[k], both[k]);
}

void check_rows(const Kernels& kernels, const Task& task, float scale) {
  Exact x(task.numbers(), scale), g(task.numbers(), 1);
  const int64_t units = kernels.units(task.outer, task.inner);
  Exact out[4] = {Exact(task.numbers()), Exact(task.numbers()), Exact(task.numbers()), Exact(task.numbers())};
  for (int operation = 0; operation < 4; ++operation) {
    const bool backward = operation >= sumtoone::kSoftmaxBackward;
    float* first = backward ? out[operation - 2].data() : x.data();
    in_portions(units, [&](int64_t begin, int64_t end) {
      kernels.compute(operation, first, backward ? g.data() : nullptr, out[operation].data(), task.count, task.inner,
                      begin, end);
    });
    if (!backward) expect_same_in_place(kernels, operation, task, x, out[operation]);
  }
  for (int64_t o = 0; o < task.outer; ++o)
    for (int64_t i = 0; i < task.inner; ++i) {
      const double l = log_sum(x, task, o, i);
      double dot = 0, sum = 0, size = 0;
      for (int64_t k = 0; k < task.count; ++k) {
        const int64_t at = task.place(o, k, i);
        dot += (double)out[0][at] * g[at];
        sum += g[at];
        size += std::fabs(g[at]);
      }
      for (int64_t k = 0; k < task.count; ++k) {
        const int64_t at = task.place(o, k, i);
        const double logarithm = x[at] - l, p = std::exp(logarithm);
        expect(kernels, "softmax", task, p, out[0][at], 0);
        expect(kernels, "log_softmax", task, logarithm, out[1][at], scale);
        expect(kernels, "softmax_backward", task, p * (g[at] - dot), out[2][at], p * size);
        expect(kernels, "log_softmax_backward", task, g[at] - p * sum, out[3][at], size * (1 + scale));
      }
    }
}

void check_entropy(const Kernels& kernels, Task task, float scale) {
  task.inner = 1;
  const float smoothing = between(0, 2) * 0.5f;
  Exact x(task.numbers(), scale), loss(task.outer), gradient(task.numbers()), loss_alone(task.outer);
  std::unique_ptr<int64_t[]> target(new int64_t[task.outer]);
  const auto compute = [&] {
    bool inside = true;
    in_portions(task.outer, [&](int64_t begin, int64_t end) {
      inside &= kernels.entropy(x.data(), target.get(), smoothing, 0.5f, loss.data(), gradient.data(), task.count, begin, end);
      inside &= kernels.entropy(x.data(), target.get(), smoothing, 1.0f, loss_alone.data(), nullptr, task.count, begin, end);
    });
    return inside;
  };
  for (int64_t row = 0; row < task.outer; ++row) target[row] = between(0, task.count - 1);
  const int64_t strange = between(0, task.outer - 1), usual = target[strange];
  const int64_t outside[] = {-1, task.count, 1'000'000'000, std::numeric_limits<int64_t>::min()};
  target[strange] = outside[between(0, 3)];
  if (compute()) fail(kernels, "a target outside", task, 0, 1);
  target[strange] = usual;
  if (!compute()) fail(kernels, "targets inside", task, 1, 0);
  for (int64_t row = 0; row < task.outer; ++row) {
    const double l = log_sum(x, task, row, 0);
    double mean = 0;
    for (int64_t k = 0; k < task.count; ++k) {
      const double p = std::exp(x[task.place(row, k, 0)] - l);
      mean += (l - x[task.place(row, k, 0)]) / task.count;
      const double wanted = 0.5 * (p - smoothing / task.count - (k == target[row] ? 1 - smoothing : 0));
      expect(kernels, "gradient", task, wanted, gradient[task.place(row, k, 0)], 1);
    }
    const double at_target = l - x[task.place(row, target[row], 0)];
    expect(kernels, "loss", task, (1 - smoothing) * at_target + smoothing * mean, loss[row], scale);
    expect(kernels, "loss alone", task, loss[row], loss_alone[row], 0);
  }
}

// Rows of every kind: shorter than a vector, of a few vectors, on both sides of the longest that are turned, longer.
Task random_task(const Kernels& kernels) {
  const int64_t few = between(0, 7) ? between(17, 140) : 3 * kernels.width - between(0, 1);
  const int64_t lengths[] = {between(1, 20), few, between(240, 270), between(1000, 1100), 8191, 8192, 8193};
  const int64_t count = lengths[between(0, 9) > 3 ? between(0, 1) : between(0, 6)];
  const int64_t inner = between(0, 2) ? 1 : between(2, 40), most = between(0, 4) ? 70 : 700;
  return {between(1, std::max<int64_t>(1, std::min(most, 20000 / (count * inner)))), count, inner};
}

void check(const Kernels& kernels, int tasks) {
  const float scales[] = {0, 1, 10, 50, 1000};
  for (int number = 0; number < tasks; ++number) {
    const Task task = random_task(kernels);
    const float scale = scales[between(0, 4)];
    check_rows(kernels, task, scale);
    check_entropy(kernels, task, scale);
  }
  std::printf("%s: %d tasks\n", kernels.name, tasks);
}

}  // namespace

int main(int arguments, char** values) {
  const int tasks = arguments > 1 ? std::atoi(values[1]) : 600;
  for (const Kernels* kernels : instruction_sets()) check(*kernels, tasks);
}
