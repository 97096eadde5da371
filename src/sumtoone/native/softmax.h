// softmax, log_softmax and their backward passes, and cross entropy with its gradient, for float32.
//
// A task is `outer` x `columns` x `inner` numbers, the middle axis the one that sums to one. Four ways:
//   inner > 1              a vector holds kWidth neighbours of the inner axis: column by column
//   inner = 1, short rows  kWidth rows are transposed, so that a vector holds one column of them: no lane idles
//   inner = 1, medium rows the same, in blocks of kWidth columns
//   inner = 1, long rows   a vector holds a piece of a row
#pragma once

#include <algorithm>

#include "totals.h"

namespace SUMTOONE_ISA {

// --- what is computed, column by column: a lane is a row of its own
//
// `Columns` gives `get(k)` and `grad(k)`, the inputs, and `set(k, v)` and `again(k)`, the output and its echo.

struct Softmax {
  template <class Columns>
  static inline void columns(Columns& of, int64_t count) {
    const Vector m = maximum_over(count, [&](int64_t k) { return of.get(k); });
    const Vector total = with_exponential(m, [&](auto exponential) {
      return careful_sum_over(count, [&](int64_t k) {
        const Vector e = exponential(of.get(k));
        of.set(k, e);
        return e;
      });
    });
    const Reciprocal share(total);
    for (int64_t k = 0; k < count; ++k) of.set(k, share.of(of.again(k)));
  }

  static inline void row(const float* x, const float*, float* out, int64_t count);
};

struct LogSoftmax {
  template <class Columns>
  static inline void columns(Columns& of, int64_t count) {
    const auto get = [&](int64_t k) { return of.get(k); };
    const Vector m = maximum_over(count, get);
    const Vector log_total = total_over(count, m, get, [](int64_t, Vector) {}).logarithm();
    for (int64_t k = 0; k < count; ++k) of.set(k, (of.get(k) - m) - log_total);
  }

  static inline void row(const float* x, const float*, float* out, int64_t count);
};

// p (g - sum(p g)) for the gradient g of the probabilities p.
struct SoftmaxBackward {
  template <class Columns>
  static inline void columns(Columns& of, int64_t count) {
    const Vector dot = sum_over(count, [&](int64_t k) { return of.get(k) * of.grad(k); });
    for (int64_t k = 0; k < count; ++k) of.set(k, of.get(k) * (of.grad(k) - dot));
  }

  static inline void row(const float* x, const float* g, float* out, int64_t count);
};

// g - exp(l) sum(g) for the gradient g of the logarithms l.
struct LogSoftmaxBackward {
  template <class Columns>
  static inline void columns(Columns& of, int64_t count) {
    const Vector total = sum_over(count, [&](int64_t k) { return of.grad(k); });
    for (int64_t k = 0; k < count; ++k) of.set(k, of.grad(k) - exp_of(of.get(k)) * total);
  }

  static inline void row(const float* x, const float* g, float* out, int64_t count);
};

// --- long rows: a vector is a piece of one row

template <class Each>
inline void pieces(int64_t count, Each each) {
  int64_t k = 0;
  for (; k + kWidth <= count; k += kWidth) each(k, kWidth);
  if (k < count) each(k, (int)(count - k));
}

// The sum over a row of what `term` gives for each of its pieces.
template <class Term>
inline float row_sum(int64_t count, Term term) {
  Vector total = {};
  pieces(count, [&](int64_t k, int width) { total += term(k, width); });
  return sum_of(total);
}

inline Vector piece(const float* from, int width, float rest) {
  return width == kWidth ? load(from) : load_part(from, width, rest);
}

inline void put(float* to, Vector value, int width) {
  width == kWidth ? store(to, value) : store_part(to, value, width);
}

constexpr float kNone = -std::numeric_limits<float>::infinity();

inline float row_maximum(const float* x, int64_t count) {
  // Seeded with the first number, not with -inf: a NaN there must not be lost where it decides nothing else.
  Vector one = splat(x[0]), two = one;
  int64_t k = 0;
  for (; k + 2 * kWidth <= count; k += 2 * kWidth) {
    one = larger(load(x + k), one);
    two = larger(load(x + k + kWidth), two);
  }
  for (; k < count; k += kWidth) one = larger(piece(x + k, (int)std::min<int64_t>(kWidth, count - k), kNone), one);
  return largest_of(larger(one, two));
}

inline int64_t pieces_of(int64_t count) { return (count + kWidth - 1) / kWidth; }
inline int width_of(int64_t piece_number, int64_t count) {
  return (int)std::min<int64_t>(kWidth, count - piece_number * kWidth);
}

// Each lane of the result is the row's total; the exponentials go to `keep`, which may be null.
inline Total total_of_row(const float* x, int64_t count, Vector m, float* keep) {
  const auto get = [&](int64_t n) { return piece(x + n * kWidth, width_of(n, count), kNone); };
  Total total = total_over(pieces_of(count), m, get, [&](int64_t n, Vector e) {
    if (keep) put(keep + n * kWidth, e, width_of(n, count));
  });
  total.others = splat(sum_of(total.others)), total.tops = splat(sum_of(total.tops));
  return total;
}

void Softmax::row(const float* x, const float*, float* out, int64_t count) {
  const Vector total = with_exponential(splat(row_maximum(x, count)), [&](auto exponential) {
    return careful_sum_over(pieces_of(count), [&](int64_t n) {
      const int width = width_of(n, count);
      const Vector e = exponential(piece(x + n * kWidth, width, kNone));
      put(out + n * kWidth, e, width);
      return e;
    });
  });
  const Reciprocal share(splat(sum_of(total)));
  pieces(count, [&](int64_t k, int width) { put(out + k, share.of(piece(out + k, width, 0)), width); });
}

void LogSoftmax::row(const float* x, const float*, float* out, int64_t count) {
  const Vector m = splat(row_maximum(x, count)), log_total = total_of_row(x, count, m, nullptr).logarithm();
  pieces(count, [&](int64_t k, int width) { put(out + k, (piece(x + k, width, 0) - m) - log_total, width); });
}

void SoftmaxBackward::row(const float* p, const float* g, float* out, int64_t count) {
  const Vector all =
      splat(row_sum(count, [&](int64_t k, int width) { return piece(p + k, width, 0) * piece(g + k, width, 0); }));
  pieces(count, [&](int64_t k, int width) {
    put(out + k, piece(p + k, width, 0) * (piece(g + k, width, 0) - all), width);
  });
}

void LogSoftmaxBackward::row(const float* l, const float* g, float* out, int64_t count) {
  const Vector all = splat(row_sum(count, [&](int64_t k, int width) { return piece(g + k, width, 0); }));
  pieces(count, [&](int64_t k, int width) {
    put(out + k, piece(g + k, width, 0) - exp_of(piece(l + k, width, 0)) * all, width);
  });
}

// --- the ways through memory

struct TurnedColumns {
  Vector* x;
  const Vector* g;
  Vector get(int64_t k) const { return x[k]; }
  Vector grad(int64_t k) const { return g[k]; }
  void set(int64_t k, Vector v) { x[k] = v; }
  Vector again(int64_t k) const { return x[k]; }
};

// Not inlined: where the count is known, the compiler unrolls the loops over the columns and runs out of registers for
// the constants of exp, which costs half the speed.
template <class What>
__attribute__((noinline)) void compute_turned(Vector* x, const Vector* g, int64_t count) {
  TurnedColumns turned{x, g};
  What::columns(turned, count);
}

struct StridedColumns {
  const float *x, *g;
  float* out;
  int64_t stride;
  int width;
  Vector get(int64_t k) const { return piece(x + k * stride, width, 0); }
  Vector grad(int64_t k) const { return piece(g + k * stride, width, 0); }
  void set(int64_t k, Vector v) { put(out + k * stride, v, width); }
  Vector again(int64_t k) const { return piece(out + k * stride, width, 0); }
};

template <class What, bool HasGrad, int Count>
inline void short_rows(const float* x, const float* g, float* out, int64_t begin, int64_t end) {
  Vector columns[Count], gradients[HasGrad ? Count : 1];
  for (int64_t row = begin; row < end; row += kWidth) {
    const int filled = (int)std::min<int64_t>(kWidth, end - row);
    turn<Count>(columns, x + row * Count, filled);
    if constexpr (HasGrad) turn<Count>(gradients, g + row * Count, filled);
    compute_turned<What>(columns, gradients, Count);
    put_rows<Count>(out + row * Count, columns, filled);
  }
}

template <class What, bool HasGrad>
inline void medium_rows(const float* x, const float* g, float* out, int64_t count, int64_t begin, int64_t end) {
  Vector columns[kMediumRow], gradients[HasGrad ? kMediumRow : 1];
  for (int64_t row = begin; row < end; row += kWidth) {
    const int filled = (int)std::min<int64_t>(kWidth, end - row);
    turn_medium(columns, x + row * count, count, filled);
    if constexpr (HasGrad) turn_medium(gradients, g + row * count, count, filled);
    compute_turned<What>(columns, gradients, count);
    put_medium(out + row * count, columns, count, filled);
  }
}

template <class What, bool HasGrad>
inline void long_rows(const float* x, const float* g, float* out, int64_t count, int64_t begin, int64_t end) {
  for (int64_t place = begin * count; place < end * count; place += count)
    What::row(x + place, HasGrad ? g + place : nullptr, out + place, count);
}

template <class What, bool HasGrad>
inline void strided(const float* x, const float* g, float* out, int64_t count, int64_t inner, int64_t begin,
                    int64_t end) {
  const int64_t groups = (inner + kWidth - 1) / kWidth;
  for (int64_t piece_number = begin; piece_number < end; ++piece_number) {
    const int64_t lane = piece_number % groups * kWidth;
    const int64_t place = piece_number / groups * count * inner + lane;
    const int width = (int)std::min<int64_t>(kWidth, inner - lane);
    StridedColumns columns{x + place, HasGrad ? g + place : nullptr, out + place, inner, width};
    What::columns(columns, count);
  }
}

// How many pieces a task has that can be computed apart from each other.
inline int64_t units(int64_t outer, int64_t inner) noexcept {
  return inner == 1 ? outer : outer * ((inner + kWidth - 1) / kWidth);
}

template <class What, bool HasGrad>
inline void compute(const float* x, const float* g, float* out, int64_t count, int64_t inner, int64_t begin,
                    int64_t end) {
  if (inner > 1) {
    strided<What, HasGrad>(x, g, out, count, inner, begin, end);
  } else if (count <= kWidth) {
    with_count(count, [&](auto known) {
      short_rows<What, HasGrad, decltype(known)::value>(x, g, out, begin, end);
    });
  } else if (count <= kMediumRow) {
    medium_rows<What, HasGrad>(x, g, out, count, begin, end);
  } else {
    long_rows<What, HasGrad>(x, g, out, count, begin, end);
  }
}

}  // namespace SUMTOONE_ISA
