// What a training step reads and writes, as plain values that every instruction set shares.
//
// A matrix "in panels" is cut into panels of kPanel columns (the last may be narrower); each panel lies in memory
// row by row, without gaps, so that a product walks through it in one line.
#pragma once

#include <cstdint>

namespace sumtoone {

// In the order of ACTIVATIONS in specification.py.
enum Activation { kSigmoid, kTanh, kRelu, kGelu, kLeakyRelu, kIdentity };
enum Optimizer { kSgd, kAdam, kAdamW };

// Two bfloat16, the first in the lower half: what lies beside each other along the axis that a product sums.
enum Pair : uint32_t {};

// A matrix (rows, columns) rounded to bfloat16, in pairs; zeros stand in for what an odd count lacks.
struct Rounded {
  Pair* along;   // (rows, along_stride) of neighbours in a row
  Pair* across;  // (rows / 2, across_stride) of neighbours in a column
  int64_t along_stride, across_stride;
};

// Rows of a batch over which a weight's gradient is summed in one go.
constexpr int64_t kRowsInOneGo = 256;

struct Layer {
  int64_t in, out;
  float* weights;          // (in + 1, out) in panels; the last row is the bias
  float *first, *second;   // the optimizer's moments, laid out like the weights; null where it has none
  float* backward;         // (out, in) in panels: the weights the other way round; null for the first layer
  float* gradient;         // laid out like the weights; null where a batch is summed in one go
  float* inputs;           // (batch, in_stride); column `in` holds ones, which the bias is multiplied with
  float *outputs, *deltas; // (batch, out_stride) each; what the loss grows by for each logit or hidden sum
  float* slopes;           // like the outputs: the activation's derivative, where it does not follow from its value; or null
  int64_t in_stride, out_stride;

  // Where the products take bfloat16: what they read. The batch's inputs then have no room of their own in float32
  // but for the first rows, and `backward` is null.
  Pair* rounded;           // ((in + 1) / 2, out) in panels: the weights, neighbours in a column
  Pair* rounded_backward;  // (out / 2, in) in panels; null for the first layer
  Rounded rounded_inputs, rounded_deltas;
};

struct Training {
  int layers;
  const Layer* layer;
  Activation activation;
  float dropout, smoothing;
  Optimizer optimizer;
  double momentum, decay;
  bool nesterov;
  const float *scale, *shift;  // (in,) of the first layer
  float* row_loss;             // (batch,)
  unsigned char* row_correct;  // (batch,)
};

// Consecutive steps of one epoch.
struct Chunk {
  const void* inputs;     // (N, in) uint8 or float32
  bool bytes;
  const int64_t* labels;  // (N,)
  const float* weights;   // (N,) how much each row counts; null where all count alike
  const int64_t* order;   // (rows,) the rows still to visit; a step takes the next `batch` of them
  int64_t rows, batch, steps;
  const double* rates;    // (steps,)
  uint64_t seed;          // of the epoch's dropout
  int64_t place;          // steps of the epoch before this chunk
  int64_t done;           // steps of the whole training before it
  double* losses;         // (steps,) weighted sums over the rows of a step
  double* hits;           // the weight of the rows that were classified correctly

  // Always inlined: this header is shared, and no instruction set may end up with another's code.
  [[gnu::always_inline]] int64_t rows_of(int64_t step) const { return rows - step * batch < batch ? rows - step * batch : batch; }

  // Of a row of the batch; the loss of a step is the mean over its rows so weighted.
  [[gnu::always_inline]] float weight_of(int64_t row) const { return weights ? weights[row] : 1.0f; }

  [[gnu::always_inline]] double weight_of_step(int64_t step) const {
    const int64_t count = rows_of(step);
    if (!weights) return (double)count;
    double sum = 0.0;
    for (int64_t row = 0; row < count; ++row) sum += (double)weights[order[step * batch + row]];
    return sum;
  }

  // Steps begin … end - 1 of it.
  Chunk part(int64_t begin, int64_t end) const {
    Chunk some = *this;
    some.order += begin * batch, some.rows -= begin * batch, some.steps = end - begin;
    some.rates += begin, some.losses += begin, some.place += begin, some.done += begin;
    return some;
  }
};

// Where all threads meet.
struct Meeting {
  void (*wait)(void*);
  void* place;
};

}  // namespace sumtoone
