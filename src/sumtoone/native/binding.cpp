// The door to Python. Arguments are addresses and sizes that the Python side has checked: its checks cost a
// microsecond, an array protocol five (see sumtoone/native/__init__.py).
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"
#include "pages.h"
#include "pool.h"
#include "predictor.h"
#include "tensors.h"
#include "trainer.h"

namespace nb = nanobind;

namespace {

using sumtoone::Kernels;

// Below this many numbers for each thread, waking another costs more than it brings. From here on, too, others have the
// interpreter meanwhile, and the Python side holds what the addresses point to (_SMALL in autograd.py).
constexpr int64_t kNumbersPerThread = 32 * 1024;

// Gives the interpreter away as long as it lives, where the work is long.
struct Release {
  std::optional<nb::gil_scoped_release> released;
  explicit Release(int64_t numbers) {
    if (numbers > kNumbersPerThread) released.emplace();
  }
};

std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> found;
#if defined(SUMTOONE_X86)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    found.push_back(&sumtoone::avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&sumtoone::avx2);
#endif
  found.push_back(&sumtoone::baseline);
  return found;
}

const Kernels* chosen = nullptr;

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* kernels : usable()) names.emplace_back(kernels->name);
  return names;
}

void choose(const std::string& name) {
  for (const Kernels* kernels : usable())
    if (name == kernels->name) {
      chosen = kernels;
      return;
    }
  throw std::invalid_argument("no such instruction set here: " + name);
}

// Splits `units` pieces of `numbers` numbers over threads, whole vectors of rows for each but the last.
template <class Work>
void share_out(int64_t units, int64_t numbers, int threads, const Work& work) {
  const int64_t most = std::max<int64_t>(1, units / 16);
  const int parts = (int)std::min<int64_t>({std::max(threads, 1), numbers / kNumbersPerThread + 1, most});
  if (parts == 1) return work(0, units);
  sumtoone::Pool::shared().run(parts, [&](int part) {
    const int64_t begin = units * part / parts / 16 * 16;
    work(begin, part + 1 == parts ? units : units * (part + 1) / parts / 16 * 16);
  });
}

void compute(int operation, uintptr_t x, uintptr_t g, uintptr_t out, int64_t outer, int64_t count, int64_t inner,
             int threads) {
  const int64_t numbers = outer * count * inner;
  if (numbers == 0) return;
  const Release released(numbers);
  const Kernels& kernels = *chosen;
  sumtoone::expect_writing((void*)out, (size_t)numbers * sizeof(float));
  share_out(kernels.units(outer, inner), numbers, threads, [&](int64_t begin, int64_t end) {
    kernels.compute(operation, (const float*)x, (const float*)g, (float*)out, count, inner, begin, end);
  });
}

enum Reduction { kNone, kMean, kSum };

// The loss of each row, or the mean or sum of them all; the gradient is that of what is returned. False where a target is
// not in [0, count): then neither is to be used.
bool entropy(uintptr_t x, uintptr_t target, float smoothing, int reduction, uintptr_t loss, uintptr_t gradient,
             int64_t rows, int64_t count, int threads) {
  const Release released(rows * count);
  if (gradient) sumtoone::expect_writing((void*)gradient, (size_t)(rows * count) * sizeof(float));
  const std::unique_ptr<float[]> kept(reduction == kNone ? nullptr : new float[(size_t)rows]);
  float* row_loss = kept ? kept.get() : (float*)loss;
  const float scale = reduction == kMean ? 1.0f / (float)rows : 1.0f;
  const Kernels& kernels = *chosen;
  std::atomic<bool> inside{true};
  share_out(rows, rows * count, threads, [&](int64_t begin, int64_t end) {
    if (!kernels.entropy((const float*)x, (const int64_t*)target, smoothing, scale, row_loss, (float*)gradient, count,
                         begin, end))
      inside = false;
  });
  if (reduction == kNone) return inside;
  double total = 0.0;
  for (int64_t row = 0; row < rows; ++row) total += (double)row_loss[row];
  *(float*)loss = (float)(reduction == kMean ? total / (double)rows : total);
  return inside;
}

// Whether the chosen instruction set multiplies numbers of bfloat16 on this machine.
bool rounds() {
#if defined(SUMTOONE_BFLOAT16)
  return chosen->rounded_steps && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

sumtoone::Trainer* new_trainer(const std::vector<int64_t>& sizes, int64_t batch, int activation, float dropout,
                               float smoothing, int optimizer, double momentum, double decay, bool nesterov,
                               bool rounded, uintptr_t scale, uintptr_t shift) {
  if (rounded && !rounds()) throw std::invalid_argument("no products of bfloat16 here");
  const sumtoone::Trainer::Settings settings{
      sizes, batch, (sumtoone::Activation)activation, dropout, smoothing, (sumtoone::Optimizer)optimizer,
      momentum, decay, nesterov, rounded};
  nb::gil_scoped_release released;
  return new sumtoone::Trainer(chosen, settings, (const float*)scale, (const float*)shift);
}

// Returns the weight of the rows that were classified correctly; the losses go to an array of `steps` float64.
double train(sumtoone::Trainer& trainer, uintptr_t inputs, bool bytes, uintptr_t labels, uintptr_t weights,
             uintptr_t order, int64_t rows, int64_t batch, const std::vector<double>& rates, uint64_t seed, int64_t place,
             int64_t done, uintptr_t losses, int threads) {
  double hits = 0.0;
  const sumtoone::Chunk chunk{(const void*)inputs, bytes, (const int64_t*)labels, (const float*)weights, (const int64_t*)order,
                              rows, batch, (int64_t)rates.size(), rates.data(), seed, place, done, (double*)losses, &hits};
  nb::gil_scoped_release released;
  trainer.train(chunk, threads);
  return hits;
}

// What a prediction is told besides the layers: `step` is None or a pair (scale, shift) for rows of uint8 or float32.
struct Request {
  nb::handle inputs, step, out;
  int64_t features;
  sumtoone::Activation activation;
  bool softmax;
};

// Reads where everything lies at this moment; false where something is not plain, float32 and of a fitting shape.
bool locate(const sumtoone::Tensors& tensors, const Request& request, sumtoone::Tensors::Layers& layers,
            sumtoone::Prediction& task, int64_t& count) {
  using sumtoone::Tensors;
  Tensors::View rows, results;
  if (!tensors.view(request.inputs, rows) || !tensors.view(request.out, results)) return false;
  const bool steps = !request.step.is_none(), bytes = rows.dtype == Tensors::kUint8;
  if (!(rows.dtype == Tensors::kFloat32 || (bytes && steps)) || !(results.dtype == Tensors::kFloat32)) return false;
  const int32_t last = rows.ndim - 1;
  if (last < 0 || results.ndim != rows.ndim || rows.shape[last] != request.features) return false;
  count = 1;
  for (int32_t axis = 0; axis < last; count *= rows.shape[axis++])
    if (rows.shape[axis] != results.shape[axis]) return false;

  if (!tensors.measure(request.features, layers) || results.shape[last] != layers.sizes.back()) return false;
  const float *scale = nullptr, *shift = nullptr;
  if (steps) {
    scale = tensors.floats(request.step[0], request.features), shift = tensors.floats(request.step[1], request.features);
    if (!scale || !shift) return false;
  }
  const auto& sizes = layers.sizes;
  const int64_t widest = *std::max_element(sizes.begin() + 1, sizes.end());
  task = {(int)sizes.size() - 1, sizes.data(), widest, layers.addresses.data(), request.activation,
          Tensors::address<void>(rows), bytes, scale, shift, Tensors::address<float>(results), request.softmax};
  return true;
}

// Takes rows through a network's layers and an activation between them; false, with nothing done, where the layers are
// not as they were built or the tensors not as locate() wants them.
bool predict(const sumtoone::Tensors& tensors, nb::handle inputs, nb::handle network, int64_t features, int activation,
             nb::handle step, nb::handle out, bool softmax, int threads) {
  if (activation < 0 || activation > sumtoone::kIdentity) return false;
  const Request request{inputs, step, out, features, (sumtoone::Activation)activation, softmax};
  sumtoone::Tensors::Layers layers;
  sumtoone::Prediction task;
  int64_t count;
  if (!tensors.take(network, layers) || !locate(tensors, request, layers, task, count)) return false;
  if (count == 0) return true;
  const sumtoone::Predictor predictor(*chosen, task, count);
  if (!predictor.takes_long()) return predictor.run(1), true;

  // Other threads run meanwhile, and may give these tensors other memory: what is read is held, then looked up again.
  tensors.keep_memory(layers, inputs);
  for (const auto& parameter : layers.parameters) tensors.keep_memory(layers, parameter);
  for (int place = 0; place < 2 && !step.is_none(); ++place) tensors.keep_memory(layers, step[place]);
  if (!locate(tensors, request, layers, task, count)) return false;
  const sumtoone::Predictor beside_others(*chosen, task, count);
  nb::gil_scoped_release released;
  return beside_others.run(threads), true;
}

}  // namespace

NB_MODULE(_kernels, module) {
  chosen = usable().front();
  sumtoone::Pool::shared();  // from here on a fork is noticed
  module.def("compute", &compute);
  module.def("entropy", &entropy);
  module.def("choose", &choose);
  module.def("instruction_sets", &instruction_sets);
  nb::class_<sumtoone::Trainer>(module, "Trainer")
      .def_static("create", &new_trainer, nb::rv_policy::take_ownership)
      .def("exchange",
           [](sumtoone::Trainer& trainer, int slot, int64_t place, uintptr_t weight, uintptr_t bias, bool out) {
             nb::gil_scoped_release released;
             trainer.exchange(slot, place, (float*)weight, (float*)bias, out);
           })
      .def("train", &train);
  nb::class_<sumtoone::Tensors>(module, "Tensors")
      .def(nb::init<nb::type_object, nb::type_object, nb::type_object, nb::type_object, nb::handle,
                    std::vector<std::string>>())
      .def("predict", &predict, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
           nb::arg());
  module.def("rounds", &rounds);
  module.def("chosen", [] { return std::string(chosen->name); });
}
