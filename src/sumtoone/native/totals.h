// Sums of exponentials: how a softmax reaches its digits, in a lane for each row.
//
// exp(x - m) of a rounded x - m is wrong by up to |x - m| / 2 units in the last place. Where the maxima are moderate,
// each logit is therefore reduced on its own, and the maximum m only chooses a power of two that all are divided by; what
// remains of m cancels in the quotient. Elsewhere x - m is carried with the part that its rounding loses.
#pragma once

#include <algorithm>
#include <cmath>

#include "turn.h"

namespace SUMTOONE_ISA {

struct Difference {
  Vector value, tail;
};

// x - m = value + tail exactly (Knuth's two-sum). Where the difference is infinite the tail is no number; exp_of
// needs one, and any will do: the exponential of -inf is 0 whatever is added.
inline Difference difference(Vector x, Vector m) {
  const Vector d = x - m;
  const Vector back = d - x;
  const Vector tail = (x - (d - back)) - (m + back);
  return {d, larger(tail, splat(-1.0f))};
}

// e / total for many e: a division's cost once, its precision throughout. What 1 / total loses in rounding is kept, and
// a fused multiplication brings it back.
struct Reciprocal {
  Vector value, rest;
  explicit Reciprocal(Vector total) : value(splat(1.0f) / total), rest((splat(1.0f) - total * value) * value) {}
  Vector of(Vector e) const { return e * value + e * rest; }
};

template <class Term>
inline Vector sum_over(int64_t count, Term term) {
  Vector total = {};
  for (int64_t k = 0; k < count; ++k) total += term(k);
  return total;
}

// A sum whose rounding hardly grows with the number of terms, which must be finite: eight at a time plainly, and those
// sums with what each addition loses carried on (Kahan).
template <class Term>
[[gnu::always_inline]] inline Vector careful_sum_over(int64_t count, Term term) {
  Vector total = {}, lost = {};
  for (int64_t k = 0; k < count;) {
    Vector eight = {};
    for (const int64_t end = std::min(k + 8, count); k < end; ++k) eight += term(k);
    const Vector next = eight - lost;
    const Vector sum = total + next;
    lost = (sum - total) - next;
    total = sum;
  }
  return total;
}

// exp(x - m) up to a factor that is the same for the whole row, between 1 / sqrt(2) and sqrt(2): right for maxima up to
// kModerate, whose logits can be reduced without a rounding that matters.
#if defined(__FMA__) || defined(__aarch64__)
constexpr float kModerate = 16384.0f;
#else
constexpr float kModerate = 256.0f;  // n times a part of ln(2) is rounded before it is subtracted
#endif

struct Moderate {
  Vector power, floor;  // below the floor nothing is left
  explicit Moderate(Vector m) : power(nearest(m * splat(kLog2E))), floor(m - splat(105.0f)) {}
  Vector operator()(Vector x) const { return exp_over_power(larger(floor, x), power); }
};

// The same for rows of any size, NaN and infinities included. A lane that is moderate is computed as if all were: a row's
// result does not depend on the rows beside it.
struct Any {
  Vector m;
  Integers moderate;
  Vector operator()(Vector x) const {
    const Difference d = difference(x, m);
    return choose(moderate, Moderate(m)(x), exp_of(d.value, d.tail));
  }
};

// Calls body with the cheaper of the two that is right for these maxima.
template <class Body>
[[gnu::always_inline]] inline auto with_exponential(Vector m, Body body) {
  const Integers moderate = (m < splat(kModerate)) & (m > splat(-kModerate));
  return everywhere(moderate) ? body(Moderate(m)) : body(Any{m, moderate});
}

template <class Get>
inline Vector maximum_over(int64_t count, Get get) {
  Vector m = get(0);
  for (int64_t k = 1; k < count; ++k) m = larger(get(k), m);
  return m;
}

// The sum of a row's exponentials, in parts: those below the maximum, how many reach it, and what one of these is.
struct Total {
  Vector others, tops, top;
  Vector whole() const { return others + tops * top; }
  // Of the sum of exp(x - m). One maximum's own 1 is left to log1p: what remains is not rounded to the digits of 1.
  Vector logarithm() const { return log1p_of(others / top + (tops - splat(1.0f))); }
};

// Of what `get(k)` gives; `keep(k, e)` is told the exponentials.
template <class Get, class Keep>
[[gnu::always_inline]] inline Total total_over(int64_t count, Vector m, Get get, Keep keep) {
  Total total{};
  total.others = with_exponential(m, [&](auto exponential) {
    total.top = exponential(m);
    return careful_sum_over(count, [&](int64_t k) {
      const Vector x = get(k), e = exponential(x);
      const Integers reached = x == m;
      keep(k, e);
      total.tops += choose(reached, splat(1.0f), Vector{});
      return choose(reached, Vector{}, e);
    });
  });
  return total;
}

}  // namespace SUMTOONE_ISA
