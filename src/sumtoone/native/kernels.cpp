// Compiled once for each instruction set, SUMTOONE_ISA being its name, and SUMTOONE_BFLOAT16 defined for the one to
// which rounded.cpp adds products of bfloat16.
#include "kernels.h"

#include "entropy.h"
#include "predict_rows.h"
#include "softmax.h"
#include "train_steps.h"

#define SUMTOONE_TEXT_OF(name) #name
#define SUMTOONE_TEXT(name) SUMTOONE_TEXT_OF(name)

namespace SUMTOONE_ISA {
namespace {

void compute_any(int operation, const float* x, const float* g, float* out, int64_t count, int64_t inner,
                 int64_t begin, int64_t end) noexcept {
  switch (operation) {
    case sumtoone::kSoftmax:
      return compute<Softmax, false>(x, g, out, count, inner, begin, end);
    case sumtoone::kLogSoftmax:
      return compute<LogSoftmax, false>(x, g, out, count, inner, begin, end);
    case sumtoone::kSoftmaxBackward:
      return compute<SoftmaxBackward, true>(x, g, out, count, inner, begin, end);
    case sumtoone::kLogSoftmaxBackward:
      return compute<LogSoftmaxBackward, true>(x, g, out, count, inner, begin, end);
  }
}

bool entropy_any(const float* x, const int64_t* target, float smoothing, float scale, float* loss, float* gradient,
                 int64_t count, int64_t begin, int64_t end) noexcept {
  return entropy(EntropyTask{x, target, smoothing, scale, loss, gradient, count}, begin, end);
}

}  // namespace
}  // namespace SUMTOONE_ISA

namespace sumtoone {
#if defined(SUMTOONE_BFLOAT16)
constexpr const Steps* kRoundedSteps = &rounded_steps;
#else
constexpr const Steps* kRoundedSteps = nullptr;
#endif
extern const Kernels SUMTOONE_ISA;
const Kernels SUMTOONE_ISA = {SUMTOONE_TEXT(SUMTOONE_ISA),
                              ::SUMTOONE_ISA::units,
                              ::SUMTOONE_ISA::compute_any,
                              ::SUMTOONE_ISA::entropy_any,
                              ::SUMTOONE_ISA::kWidth,
                              ::SUMTOONE_ISA::kPanel,
                              {::SUMTOONE_ISA::train<float>, ::SUMTOONE_ISA::mirror_all<float>},
                              kRoundedSteps,
                              ::SUMTOONE_ISA::predict};
}  // namespace sumtoone
