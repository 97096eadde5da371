// Steps of mini-batch gradient descent: forward, loss, backward and update, in the caches.
//
// Two phases a step: first each thread takes some rows of the batch through all layers and back, then each takes
// some rows of every weight matrix, sums their gradient in registers and updates them in place. Every number is
// summed in one order whatever the number of threads, so the result has the same bits.
//
// An Operand is what the products take: floats, or pairs of bfloat16. Then all else stays in float32, and whatever
// writes numbers that a product will read leaves them rounded as well.
#pragma once

#include "rounding.h"
#include "rows.h"

namespace SUMTOONE_ISA {
namespace {

using sumtoone::kRowsInOneGo;
using sumtoone::Meeting;

// What the products of a layer read: rows along themselves for forward and backward, down the batch for the gradient.
template <class Operand>
struct Reads {
  const Operand *inputs, *inputs_down, *weights, *deltas, *deltas_down, *backward;
  int64_t in_stride, in_stride_down, out_stride, out_stride_down;
};

inline Reads<float> reads_of(const Layer& layer, float) {
  return {layer.inputs,    layer.inputs,    layer.weights,    layer.deltas,    layer.deltas,
          layer.backward,  layer.in_stride, layer.in_stride, layer.out_stride, layer.out_stride};
}

inline Reads<Pair> reads_of(const Layer& layer, Pair) {
  const Rounded &inputs = layer.rounded_inputs, &deltas = layer.rounded_deltas;
  return {inputs.along,           inputs.across,       layer.rounded,        deltas.along,        deltas.across,
          layer.rounded_backward, inputs.along_stride, inputs.across_stride, deltas.along_stride, deltas.across_stride};
}

// One optimizer step's numbers, as PyTorch's optimizers compute them.
struct Rule {
  bool adam, nesterov;
  Vector rate, momentum, decay, shrink, first, second, less_first, less_second, root, tiny;

  Rule(const Training& training, double lr, int64_t step) {
    constexpr double kFirst = 0.9, kSecond = 0.999;
    const auto wide = [](double value) { return splat((float)value); };
    adam = training.optimizer != sumtoone::kSgd;
    nesterov = training.nesterov;
    const bool beside = training.optimizer == sumtoone::kAdamW;
    const double count = (double)step;
    rate = wide(adam ? lr / (1.0 - __builtin_pow(kFirst, count)) : lr);
    momentum = wide(training.momentum);
    decay = wide(beside ? 0.0 : training.decay);
    shrink = wide(beside ? 1.0 - lr * training.decay : 1.0);
    first = wide(kFirst), second = wide(kSecond), less_first = wide(1.0 - kFirst), less_second = wide(1.0 - kSecond);
    root = wide(1.0 / __builtin_sqrt(1.0 - __builtin_pow(kSecond, count)));
    tiny = wide(1e-8);
  }

  void sgd(Vector gradient, float* weights, float* moments) const {
    const Vector w = load(weights);
    Vector change = gradient + decay * w;
    if (moments) {
      const Vector buffer = momentum * load(moments) + change;
      store(moments, buffer);
      change = nesterov ? change + momentum * buffer : buffer;
    }
    store(weights, w - rate * change);
  }

  void adaptive(Vector gradient, float* weights, float* means, float* squares) const {
    const Vector w = load(weights) * shrink;
    gradient += decay * w;
    const Vector mean = first * load(means) + less_first * gradient;
    const Vector square = second * load(squares) + less_second * (gradient * gradient);
    store(means, mean);
    store(squares, square);
    store(weights, w - rate * mean / (square_root(square) * root + tiny));
  }
};

template <int M, int N>
[[gnu::always_inline]] inline void update(const Layer& layer, const Rule& rule, const Vector (&sums)[M][N],
                                          int64_t place) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      const int64_t at = place + (m * N + n) * kWidth;
      if (rule.adam)
        rule.adaptive(sums[m][n], layer.weights + at, layer.first + at, layer.second + at);
      else
        rule.sgd(sums[m][n], layer.weights + at, layer.first ? layer.first + at : nullptr);
    }
}

// Copies rows of a panel of weights to the matrix that goes the other way.
inline void turn_round(const Layer& layer, int64_t row, int64_t rows, int64_t column, int64_t width) {
  rows = least(rows, layer.in - row);
  const int64_t across = row / kPanel * kPanel, span = least(kPanel, padded(layer.in) - across);
  const float* from = layer.weights + column * (layer.in + 1) + row * width;
  float* to = layer.backward + across * layer.out + column * span + (row - across);
  const int64_t columns = least(width, layer.out - column);
  if (rows == kTileRows) {
    for (int64_t j = 0; j < columns; ++j)
      for (int i = 0; i < kTileRows; ++i) to[j * span + i] = from[i * width + j];
    return;
  }
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * span + i] = from[i * width + j];
}

// Brings up to date what else is kept of rows of a panel of weights: for the way back, and rounded.
template <class Operand>
inline void mirror(const Layer& layer, int64_t row, int64_t rows, int64_t column, int64_t width) {
  if constexpr (kRounds<Operand>)
    round_weights<Operand>(layer, row, rows, column, width);
  else if (layer.backward)
    turn_round(layer, row, rows, column, width);
}

template <class Operand>
void mirror_all(const Layer& layer) noexcept {
  const int64_t columns = padded(layer.out);
  for (int64_t column = 0; column < columns; column += kPanel)
    for (int64_t row = 0; row <= layer.in; row += kTileRows)
      mirror<Operand>(layer, row, least(kTileRows, layer.in + 1 - row), column, least(kPanel, columns - column));
}

// Rows of the next step on their way from memory, a few cache lines at a time while this step is computed.
struct Ahead {
  const char* inputs;
  const int64_t *labels, *order;
  int64_t length, row, end, place = 0, lines = 0;

  // For rows begin … end - 1 of the batch after `step`, in `turns` portions.
  Ahead(const Training& training, const Chunk& chunk, int64_t step, int64_t begin, int64_t end, int64_t turns)
      : inputs((const char*)chunk.inputs),
        labels(chunk.labels),
        order(chunk.order + (step + 1) * chunk.batch),
        length(training.layer[0].in * (chunk.bytes ? 1 : (int64_t)sizeof(float))),
        row(begin),
        end(end) {
    const int64_t total = (end - begin) * (length / 64 + 1);
    lines = total > 0 && turns > 0 ? total / turns + 1 : 0;
  }

  void fetch_some() {
    for (int64_t count = lines; count && row < end; --count) {
      __builtin_prefetch(inputs + order[row] * length + place, 0, 2);
      place += 64;
      if (place < length) continue;
      __builtin_prefetch(inputs + order[row] * length + length - 1, 0, 2);
      __builtin_prefetch(labels + order[row], 0, 2);
      place = 0, ++row;
    }
  }
};

// The gradient of rows begin … end - 1 of the weights, bias included, over `rows` rows of the batch, and the update.
template <class Operand>
void learn(const Layer& layer, const Rule& rule, int64_t rows, int64_t begin, int64_t end, Ahead& ahead) {
  const Reads<Operand> reads = reads_of(layer, Operand{});
  const int64_t columns = padded(layer.out);
  for (int64_t column = 0; column < columns; column += kPanel) {
    const int64_t width = least(kPanel, columns - column), panel = column * (layer.in + 1);
    for (int64_t low = 0; low < rows; low += kRowsInOneGo) {
      const int64_t high = least(low + kRowsInOneGo, rows);
      over_tiles(width / kWidth, begin, end, [&](auto m, auto n, int64_t row) {
        constexpr int M = decltype(m)::value, N = decltype(n)::value;
        const int64_t place = panel + row * (N * kWidth);
        for (int line = 0; line < M * N * kWidth; line += 16) {
          __builtin_prefetch(layer.weights + place + line + M * N * kWidth, 1);
          if (layer.first) __builtin_prefetch(layer.first + place + line + M * N * kWidth, 1);
          if (layer.second) __builtin_prefetch(layer.second + place + line + M * N * kWidth, 1);
        }
        ahead.fetch_some();
        Vector sums[M][N];
        begin_sums<M, N>(sums, low ? layer.gradient + place : nullptr, N * kWidth);
        const int64_t from = operands<Operand>(low), stride = reads.out_stride_down;
        accumulate<M, N>(operands<Operand>(high - low), reads.inputs_down + from * reads.in_stride_down + row, 1,
                         reads.in_stride_down, reads.deltas_down + from * stride + column, stride, sums);
        if (high < rows) return store_sums<M, N>(sums, layer.gradient + place, N * kWidth);
        update<M, N>(layer, rule, sums, place);
        mirror<Operand>(layer, row, M, column, N * kWidth);
      });
    }
  }
}

// The batch's inputs, and the column of ones behind them.
template <class Operand>
void pack(const Training& training, const Chunk& chunk, const int64_t* order, int64_t begin, int64_t end) {
  const Layer& first = training.layer[0];
  if constexpr (kRounds<Operand>) {
    // Two rows at a time, and always in the same place, which so stays in the first cache.
    float* const rows = first.inputs + begin * first.in_stride;
    for (int64_t row = begin; row < end; row += 2) {
      const int64_t count = least(2, end - row);
      for (int64_t k = 0; k < count; ++k) pack_row(training, chunk, order[row + k], rows + k * first.in_stride);
      round_two<Operand>(rows, count == 2 ? rows + first.in_stride : nullptr, first.in + 1, first.rounded_inputs, row);
    }
  } else {
    for (int64_t row = begin; row < end; ++row)
      pack_row(training, chunk, order[row], first.inputs + row * first.in_stride);
  }
}

// Takes rows begin … end - 1 of the batch through all layers and back.
template <class Operand>
void go_through(const Training& training, const Chunk& chunk, int64_t step, int64_t begin, int64_t end) {
  const int64_t* order = chunk.order + step * chunk.batch;
  const Layer* layers = training.layer;
  const int last = training.layers - 1;
  pack<Operand>(training, chunk, order, begin, end);
  const auto round_deltas = [&]([[maybe_unused]] const Layer& layer) {
    if constexpr (kRounds<Operand>)
      round_rows<Operand>(layer.deltas, layer.out_stride, layer.out, layer.rounded_deltas, begin, end);
  };
  const auto mask = [&](int layer) { return Mask(training.dropout, chunk.seed, chunk.place + step, layer); };
  for (int place = 0; place <= last; ++place) {
    const Layer& layer = layers[place];
    const Reads<Operand> reads = reads_of(layer, Operand{});
    product(reads.inputs, reads.in_stride, reads.weights, operands<Operand>(layer.in + 1), padded(layer.out),
            layer.outputs, layer.out_stride, begin, end);
    if (place == last) break;
    activate(training, layer, mask(place), begin, end);
    if constexpr (kRounds<Operand>)
      round_rows<Operand>(layer.outputs, layer.out_stride, layer.out + 1, layers[place + 1].rounded_inputs, begin, end);
  }
  const float total = (float)chunk.weight_of_step(step), share = total > 0.0f ? 1.0f / total : 0.0f;
  for (int64_t row = begin; row < end; ++row)
    judge_row(training, layers[last], row, chunk.labels[order[row]], chunk.weight_of(order[row]), share);
  round_deltas(layers[last]);
  for (int place = last; place > 0; --place) {
    const Layer &layer = layers[place], &before = layers[place - 1];
    const Reads<Operand> reads = reads_of(layer, Operand{});
    product(reads.deltas, reads.out_stride, reads.backward, operands<Operand>(layer.out), padded(layer.in),
            before.deltas, before.out_stride, begin, end);
    through_activation(training, before, mask(place - 1), begin, end);
    round_deltas(before);
  }
}

inline int64_t share_of(int64_t count, int part, int parts) {
  return part == parts ? count : count / kTileRows * part / parts * kTileRows;
}

template <class Operand>
void train(const Training& training, const Chunk& chunk, int part, int parts, const Meeting& meeting) noexcept {
  for (int64_t step = 0; step < chunk.steps; ++step) {
    const int64_t rows = chunk.rows_of(step), next = step + 1 < chunk.steps ? chunk.rows_of(step + 1) : 0;
    go_through<Operand>(training, chunk, step, share_of(rows, part, parts), share_of(rows, part + 1, parts));
    meeting.wait(meeting.place);
    if (part == 0) {
      double loss = 0.0;
      for (int64_t row = 0; row < rows; ++row) {
        loss += (double)training.row_loss[row];
        if (training.row_correct[row]) *chunk.hits += (double)chunk.weight_of(chunk.order[step * chunk.batch + row]);
      }
      chunk.losses[step] = loss;
    }
    const Rule rule(training, chunk.rates[step], chunk.done + step + 1);
    const int64_t tiles = (training.layer[0].in / kTileRows + 1) / parts * ((training.layer[0].out - 1) / kPanel + 1);
    Ahead ahead(training, chunk, step, share_of(next, part, parts), share_of(next, part + 1, parts), tiles);
    for (int place = 0; place < training.layers; ++place) {
      const Layer& layer = training.layer[place];
      const int64_t count = layer.in + 1;
      learn<Operand>(layer, rule, rows, share_of(count, part, parts), share_of(count, part + 1, parts), ahead);
    }
    meeting.wait(meeting.place);
  }
}

}  // namespace
}  // namespace SUMTOONE_ISA
