// What every instruction set offers, as one table of functions: dispatch is a choice between tables.
#pragma once

#include <cstdint>

#include "prediction_task.h"
#include "training_task.h"

namespace sumtoone {

enum Operation { kSoftmax, kLogSoftmax, kSoftmaxBackward, kLogSoftmaxBackward };

// None of these throws: on a thread of the pool an exception would end the process.

// What training is made of.
struct Steps {
  // Part `part` of `parts` that run at the same time and wait for each other at the meeting.
  void (*train)(const Training& training, const Chunk& chunk, int part, int parts, const Meeting& meeting) noexcept;
  // Brings up to date what is kept of a layer's weights besides them.
  void (*mirror)(const Layer& layer) noexcept;
};

struct Kernels {
  const char* name;
  // Pieces that can be computed apart from each other, each of about `count` numbers a lane.
  int64_t (*units)(int64_t outer, int64_t inner) noexcept;
  void (*compute)(int operation, const float* x, const float* g, float* out, int64_t count, int64_t inner,
                  int64_t begin, int64_t end) noexcept;
  // The gradient is multiplied by `scale`; null where nobody asks for it. False where a target is not in [0, count): then
  // the results are not to be used.
  bool (*entropy)(const float* x, const int64_t* target, float smoothing, float scale, float* loss, float* gradient,
                  int64_t count, int64_t begin, int64_t end) noexcept;
  int64_t width, panel;  // floats of a vector and columns of a panel
  Steps steps;
  // The same with products of bfloat16; null where the instruction set has none. Some processors with the set's other
  // instructions lack these.
  const Steps* rounded_steps;
  // Rows begin … end - 1, with room for (end - begin) * (inputs + 2 * the widest layer) floats.
  void (*predict)(const Prediction& task, int64_t begin, int64_t end, float* room) noexcept;
};

#if defined(SUMTOONE_BFLOAT16)
extern const Steps rounded_steps;
#endif
#if defined(SUMTOONE_X86)
extern const Kernels avx512, avx2;
#endif
extern const Kernels baseline;

}  // namespace sumtoone
