// What a prediction reads and writes, as plain values that every instruction set shares.
#pragma once

#include "training_task.h"

namespace sumtoone {

struct Prediction {
  int layers;
  const int64_t* sizes;            // (layers + 1,) inputs, hidden layers, classes
  int64_t widest;                  // of the hidden layers and classes
  const float* const* parameters;  // of each layer its weight (out, in) and its bias (out,), as PyTorch keeps them
  Activation activation;
  const void* inputs;              // (N, in) float32; uint8 or float32 where there is a step
  bool bytes;
  const float *scale, *shift;      // (in,) the step to the network's inputs, or null
  float* out;                      // (N, classes)
  bool softmax;                    // probabilities, else logits
};

}  // namespace sumtoone
