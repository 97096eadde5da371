// Predictions of random networks, on every instruction set of this machine: in buffers of exactly the task's size, held
// against plain loops in double; with any number of threads, and for a row alone, the same bits.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "buffers.h"
#include "predictor.h"

namespace {

using sumtoone::Kernels;
using sumtoone::Prediction;
using sumtoone::Predictor;

struct Task {
  std::vector<int64_t> sizes;
  sumtoone::Activation activation;
  bool steps, bytes;  // bytes only with a step
  int64_t rows;
};

// Sizes around the widths of tiles and vectors, and around the blocks that inputs and weights are cut into.
Task random_task(bool large) {
  const auto width = [&](bool wide) { return wide ? 1024 * between(1, 2) + between(-18, 18) : between(1, 70); };
  std::vector<int64_t> sizes{width(large && between(0, 1))};
  for (int64_t hidden = between(0, 3); hidden > 0; --hidden) sizes.push_back(width(large && !between(0, 3)));
  sizes.push_back(large ? between(2, 1100) : between(1, 70));
  int64_t products = 0;
  for (size_t place = 0; place + 1 < sizes.size(); ++place) products += sizes[place] * sizes[place + 1];
  const bool steps = between(0, 2) > 0;
  const int64_t most = std::min<int64_t>(150, 12'000'000 / products);
  const int64_t rows = between(0, 3) ? between(0, most) : between(0, std::min<int64_t>(most, 9));
  return {sizes, (sumtoone::Activation)between(0, sumtoone::kIdentity), steps, steps && between(0, 1), rows};
}

// What a task reads, every array ending where its data end.
struct Data {
  Exact floats, scale, shift;
  std::unique_ptr<uint8_t[]> bytes;
  std::deque<Exact> parameters;
  std::vector<const float*> addresses;

  explicit Data(const Task& task)
      : floats(task.bytes ? 0 : task.rows * task.sizes[0], 1),
        scale(task.sizes[0], 1),
        shift(task.sizes[0], 1),
        bytes(new uint8_t[task.bytes ? task.rows * task.sizes[0] : 0]) {
    for (int64_t k = 0; task.bytes && k < task.rows * task.sizes[0]; ++k) bytes[k] = (uint8_t)between(0, 255);
    for (int64_t k = 0; task.bytes && k < task.sizes[0]; ++k) scale.data()[k] /= 128;
    for (size_t place = 0; place + 1 < task.sizes.size(); ++place) {
      parameters.emplace_back(task.sizes[place] * task.sizes[place + 1], 1.0f / std::sqrt((float)task.sizes[place]));
      parameters.emplace_back(task.sizes[place + 1], 0.3f);
    }
    for (Exact& each : parameters) addresses.push_back(each.data());
  }
};

Prediction prediction(const Task& task, Data& data, float* out, bool softmax) {
  const int64_t widest = *std::max_element(task.sizes.begin() + 1, task.sizes.end());
  return {(int)task.sizes.size() - 1, task.sizes.data(), widest, data.addresses.data(), task.activation,
          task.bytes ? (const void*)data.bytes.get() : data.floats.data(), task.bytes,
          task.steps ? data.scale.data() : nullptr, task.steps ? data.shift.data() : nullptr, out, softmax};
}

[[noreturn]] void fail(const Kernels& kernels, const Task& task, const char* what) {
  std::fprintf(stderr, "%s: %s; sizes", kernels.name, what);
  for (int64_t size : task.sizes) std::fprintf(stderr, " %lld", (long long)size);
  std::fprintf(stderr, ", %lld rows of %s%s, activation %d\n", (long long)task.rows, task.bytes ? "bytes" : "floats",
               task.steps ? " with a step" : "", task.activation);
  std::exit(1);
}

double activated(sumtoone::Activation activation, double z) {
  switch (activation) {
    case sumtoone::kSigmoid: return 1 / (1 + std::exp(-z));
    case sumtoone::kTanh: return std::tanh(z);
    case sumtoone::kRelu: return std::max(z, 0.0);
    case sumtoone::kLeakyRelu: return z < 0 ? 0.01 * z : z;
    case sumtoone::kGelu: return z * 0.5 * std::erfc(-z / std::sqrt(2.0));
    case sumtoone::kIdentity: break;
  }
  return z;
}

// The logits, as a textbook has them.
std::vector<double> logits(const Task& task, Data& data) {
  std::vector<double> found;
  for (int64_t row = 0; row < task.rows; ++row) {
    std::vector<double> x;
    for (int64_t k = 0; k < task.sizes[0]; ++k) {
      const int64_t at = row * task.sizes[0] + k;
      x.push_back(task.bytes ? (double)data.bytes[at] : (double)data.floats[at]);
      if (task.steps) x.back() = x.back() * data.scale[k] + data.shift[k];
    }
    for (size_t place = 0; place + 1 < task.sizes.size(); ++place) {
      const float *weights = data.addresses[2 * place], *biases = data.addresses[2 * place + 1];
      std::vector<double> sums(biases, biases + task.sizes[place + 1]);
      for (double& sum : sums) {
        for (double value : x) sum += value * *weights++;
        if (place + 2 < task.sizes.size()) sum = activated(task.activation, sum);
      }
      x = std::move(sums);
    }
    found.insert(found.end(), x.begin(), x.end());
  }
  return found;
}

void expect_softmax(const Kernels& kernels, const Task& task, Exact& logits, Exact& probabilities) {
  const int64_t classes = task.sizes.back();
  for (int64_t first = 0; first < task.rows * classes; first += classes) {
    const double m = *std::max_element(logits.data() + first, logits.data() + first + classes);
    double total = 0;
    for (int64_t k = first; k < first + classes; ++k) total += std::exp(logits[k] - m);
    for (int64_t k = first; k < first + classes; ++k) {
      const double wanted = std::exp(logits[k] - m) / total;
      if (!(std::fabs(probabilities[k] - wanted) <= 2e-6 * wanted + 1e-37)) fail(kernels, task, "another softmax");
    }
  }
}

// The same numbers in random portions, each with a room and results of its own.
void expect_same_in_portions(const Kernels& kernels, const Task& task, Data& data, bool softmax, Exact& wanted) {
  const int64_t classes = task.sizes.back();
  Prediction whole = prediction(task, data, nullptr, softmax);
  for (int64_t begin = 0; begin < task.rows;) {
    const int64_t end = std::min(task.rows, begin + (between(0, 1) ? 1 : between(1, 70)));
    Exact room((end - begin) * ((task.steps ? task.sizes[0] : 0) + 2 * whole.widest)), out((end - begin) * classes);
    Prediction part = whole;
    part.inputs = (const char*)whole.inputs + begin * task.sizes[0] * (task.bytes ? 1 : 4);
    part.out = out.data();
    kernels.predict(part, 0, end - begin, room.data());
    if (std::memcmp(out.data(), wanted.data() + begin * classes, 4 * (size_t)out.count()))
      fail(kernels, task, "other bits in other portions");
    begin = end;
  }
}

void check(const Kernels& kernels, const Task& task, Data& data, const std::vector<double>& wanted) {
  Exact out[2] = {Exact(task.rows * task.sizes.back()), Exact(task.rows * task.sizes.back())};
  for (bool softmax : {false, true}) {
    Exact& one = out[softmax];
    Predictor(kernels, prediction(task, data, one.data(), softmax), task.rows).run(1);
    for (int threads = 2; threads <= 3; ++threads) {
      Exact other(one.count());
      const Prediction again = prediction(task, data, other.data(), softmax);
      Predictor(kernels, again, task.rows).run(threads);
      if (std::memcmp(one.data(), other.data(), 4 * (size_t)one.count()))
        fail(kernels, task, "other bits with more threads");
    }
    expect_same_in_portions(kernels, task, data, softmax, one);
  }
  for (int64_t k = 0; k < out[0].count(); ++k)
    if (!(std::fabs(out[0][k] - wanted[(size_t)k]) <= 1e-5 * (1 + std::fabs(wanted[(size_t)k]))))
      fail(kernels, task, "other logits");
  expect_softmax(kernels, task, out[0], out[1]);
}

}  // namespace

int main(int arguments, char** values) {
  const int tasks = arguments > 1 ? std::atoi(values[1]) : 200;
  const std::vector<const Kernels*> sets = instruction_sets();
  for (int number = 0; number < tasks; ++number) {
    const Task task = random_task(number % 4 == 0);
    Data data(task);
    const std::vector<double> wanted = logits(task, data);
    for (const Kernels* kernels : sets) check(*kernels, task, data, wanted);
  }
  std::printf("predict: %d tasks on %d instruction sets\n", tasks, (int)sets.size());
}
