// Trainings of random small networks, on every instruction set of this machine: in buffers of exactly the task's size,
// with any number of threads the same bits, and losses near those of the baseline.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <numeric>
#include <vector>

#include "buffers.h"
#include "trainer.h"

namespace {

using sumtoone::Kernels;
using sumtoone::Trainer;

struct Task {
  Trainer::Settings settings;
  bool bytes, weighted;
  int64_t rows, epochs;
};

Task random_task(bool large) {
  const auto width = [&] { return between(0, 3) ? between(1, 40) : between(60, large ? 700 : 140); };
  std::vector<int64_t> sizes{width()};
  for (int64_t hidden = between(0, 3); hidden > 0; --hidden) sizes.push_back(width());
  sizes.push_back(between(2, 20));
  const int64_t rows = between(1, 400);
  const int64_t batch = std::min(rows, between(0, 3) ? between(1, 70) : between(250, 400));
  const auto optimizer = (sumtoone::Optimizer)between(0, 2);
  const double momentum = between(0, 1) * 0.9;
  Trainer::Settings settings{};
  settings.sizes = sizes, settings.batch = batch;
  settings.activation = (sumtoone::Activation)between(0, 5);
  settings.dropout = between(0, 1) * 0.3f, settings.smoothing = between(0, 1) * 0.1f;
  settings.optimizer = optimizer, settings.momentum = momentum, settings.decay = between(0, 1) * 0.01;
  settings.nesterov = momentum > 0 && between(0, 1);
  return {settings, between(0, 1) == 1, between(0, 2) == 0, rows, between(1, 2)};
}

// What a task reads, every array ending where its data end.
struct Data {
  Exact floats, scale, shift, row_weights;
  std::unique_ptr<uint8_t[]> bytes;
  std::unique_ptr<int64_t[]> labels, order;
  std::deque<Exact> weights, biases;

  explicit Data(const Task& task)
      : floats(task.bytes ? 0 : task.rows * task.settings.sizes[0], 1),
        scale(task.settings.sizes[0]),
        shift(task.settings.sizes[0]),
        row_weights(task.weighted ? task.rows : 0),
        bytes(new uint8_t[task.bytes ? task.rows * task.settings.sizes[0] : 0]),
        labels(new int64_t[task.rows]),
        order(new int64_t[task.rows]) {
    const auto& sizes = task.settings.sizes;
    for (int64_t k = 0; k < sizes[0]; ++k) scale.data()[k] = task.bytes ? 1.0f / 255 : 1.0f, shift.data()[k] = -0.1f;
    for (int64_t k = 0; task.bytes && k < task.rows * sizes[0]; ++k) bytes[k] = (uint8_t)between(0, 255);
    for (int64_t row = 0; row < task.rows; ++row) labels[row] = between(0, sizes.back() - 1);
    for (int64_t row = 0; task.weighted && row < task.rows; ++row) row_weights.data()[row] = (float)between(0, 2);
    std::iota(order.get(), order.get() + task.rows, 0);
    std::shuffle(order.get(), order.get() + task.rows, randomness);
    for (size_t place = 0; place + 1 < sizes.size(); ++place) {
      weights.emplace_back(sizes[place] * sizes[place + 1], 1.0f / std::sqrt((float)sizes[place]));
      biases.emplace_back(sizes[place + 1], 0.1f);
    }
  }
};

[[noreturn]] void fail(const Kernels& kernels, const Task& task, const char* what) {
  std::fprintf(stderr, "%s%s: %s; sizes", kernels.name, task.settings.rounded ? " in bfloat16" : "", what);
  for (int64_t size : task.settings.sizes) std::fprintf(stderr, " %lld", (long long)size);
  std::fprintf(stderr, ", batch %lld of %lld, activation %d, optimizer %d\n", (long long)task.settings.batch,
               (long long)task.rows, task.settings.activation, task.settings.optimizer);
  std::exit(1);
}

// The losses of all steps, then all weights, biases and moments.
std::vector<double> trained(const Kernels& kernels, const Task& task, Data& data, int threads) {
  const auto& sizes = task.settings.sizes;
  Trainer trainer(&kernels, task.settings, data.scale.data(), data.shift.data());
  const int layers = (int)sizes.size() - 1;
  for (int place = 0; place < layers; ++place)
    trainer.exchange(Trainer::kWeights, place, data.weights[(size_t)place].data(), data.biases[(size_t)place].data(),
                     false);
  const int64_t steps = (task.rows + task.settings.batch - 1) / task.settings.batch;
  std::vector<double> found;
  for (int64_t epoch = 0; epoch < task.epochs; ++epoch) {
    std::unique_ptr<double[]> rates(new double[steps]), losses(new double[steps]);
    std::fill(rates.get(), rates.get() + steps, 0.001);
    double hits = 0.0;
    trainer.train({task.bytes ? (const void*)data.bytes.get() : data.floats.data(), task.bytes, data.labels.get(),
                   task.weighted ? data.row_weights.data() : nullptr, data.order.get(), task.rows, task.settings.batch, steps, rates.get(), 7, 0, epoch * steps,
                   losses.get(), &hits},
                  threads);
    if (hits < 0 || hits > (double)((task.weighted ? 2 : 1) * task.rows))
      fail(kernels, task, "more rows right than there are");
    found.insert(found.end(), losses.get(), losses.get() + steps);
  }
  const int slots = task.settings.optimizer != sumtoone::kSgd ? 3 : task.settings.momentum != 0 ? 2 : 1;
  for (int slot = 0; slot < slots; ++slot)
    for (int place = 0; place < layers; ++place) {
      Exact weight(sizes[(size_t)place] * sizes[(size_t)place + 1]), bias(sizes[(size_t)place + 1]);
      trainer.exchange(slot, place, weight.data(), bias.data(), true);
      found.insert(found.end(), weight.data(), weight.data() + weight.count());
      found.insert(found.end(), bias.data(), bias.data() + bias.count());
    }
  return found;
}

void check(const Kernels& kernels, Task task, Data& data) {
  const int64_t steps = (task.rows + task.settings.batch - 1) / task.settings.batch * task.epochs;
  const std::vector<double> found = trained(kernels, task, data, 1);
  for (int threads = 2; threads <= 3; ++threads)
    if (trained(kernels, task, data, threads) != found) fail(kernels, task, "other bits with more threads");
  for (double number : found)
    if (!std::isfinite(number)) fail(kernels, task, "a number that is none");
  const double near = task.settings.rounded ? 0.2 : 1e-3;
  task.settings.rounded = false;
  const std::vector<double> wanted = trained(sumtoone::baseline, task, data, 1);
  for (int64_t step = 0; step < steps; ++step)
    if (std::fabs(found[(size_t)step] - wanted[(size_t)step]) > near * wanted[(size_t)step] + 1e-4)
      fail(kernels, task, "another loss than the baseline's");
}

}  // namespace

int main(int arguments, char** values) {
  const int tasks = arguments > 1 ? std::atoi(values[1]) : 60;
  const std::vector<const Kernels*> sets = instruction_sets();
  bool rounds = false;
#if defined(SUMTOONE_BFLOAT16)
  rounds = sets.back()->rounded_steps && __builtin_cpu_supports("avx512bf16");
#endif
  for (int number = 0; number < tasks; ++number) {
    Task task = random_task(number % 4 == 0);
    Data data(task);
    for (const Kernels* kernels : sets) check(*kernels, task, data);
    task.settings.rounded = rounds;
    if (rounds) check(*sets.back(), task, data);
  }
  std::printf("trainer: %d tasks on %d instruction sets%s\n", tasks, (int)sets.size(), rounds ? " and bfloat16" : "");
}
