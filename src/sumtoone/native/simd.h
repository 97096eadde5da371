// One vector type per instruction set: this header is compiled once for each, inside its own namespace.
//
// The compiler's vector extensions do the arithmetic; intrinsics stand only where they have no word for it.
// Nothing here is aligned beyond a float: loads and stores take any address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace SUMTOONE_ISA {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
constexpr int kTileVectors = 4;  // 4 x 4 accumulators, 4 vectors of weights, 1 broadcast: 21 of 32 registers
#elif defined(__AVX2__)
constexpr int kWidth = 8;
constexpr int kTileVectors = 3;  // 4 x 3 accumulators, 3 vectors of weights, 1 broadcast: 16 of 16 registers
#else
constexpr int kWidth = 4;
constexpr int kTileVectors = 2;
#endif

typedef float Vector __attribute__((vector_size(4 * kWidth)));
typedef int32_t Integers __attribute__((vector_size(4 * kWidth)));

inline Vector splat(float value) { return value - Vector{}; }

inline Vector load(const float* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, Vector value) { std::memcpy(to, &value, sizeof value); }

// The first `count` floats, and `rest` in the lanes behind them.
inline Vector load_part(const float* from, int count, float rest) {
#if defined(__AVX512F__)
  return (Vector)_mm512_mask_loadu_ps((__m512)splat(rest), (__mmask16)((1u << count) - 1u), from);
#else
  float lanes[kWidth];
  for (int lane = 0; lane < kWidth; ++lane) lanes[lane] = lane < count ? from[lane] : rest;
  return load(lanes);
#endif
}

inline void store_part(float* to, Vector value, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1u), (__m512)value);
#else
  std::memcpy(to, &value, sizeof(float) * (size_t)count);
#endif
}

// As many bytes as a vector has lanes, as numbers.
inline Vector load_bytes(const uint8_t* from) {
#if defined(__AVX512F__)
  return (Vector)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)from)));
#elif defined(__AVX2__)
  return (Vector)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)from)));
#else
  Vector value;
  for (int lane = 0; lane < kWidth; ++lane) value[lane] = (float)from[lane];
  return value;
#endif
}

inline Vector choose(Integers where, Vector yes, Vector no) { return where ? yes : no; }

// The larger; where one is NaN, the second.
inline Vector larger(Vector a, Vector b) {
#if defined(__AVX512F__)
  return (Vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vector)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

inline Vector square_root(Vector a) {
#if defined(__AVX512F__)
  return (Vector)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
  return (Vector)_mm256_sqrt_ps((__m256)a);
#else
  for (int lane = 0; lane < kWidth; ++lane) a[lane] = __builtin_sqrtf(a[lane]);
  return a;
#endif
}

// The lanes combined two by two.
template <class Both>
inline float folded(Vector a, Both both) {
  float lanes[kWidth];
  store(lanes, a);
  for (int half = kWidth / 2; half; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] = both(lanes[lane], lanes[lane + half]);
  return lanes[0];
}

inline float sum_of(Vector a) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)a);
#else
  return folded(a, [](float one, float other) { return one + other; });
#endif
}

inline float largest_of(Vector a) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)a);
#else
  return folded(a, [](float one, float other) { return one > other ? one : other; });
#endif
}

// a * 2^n for whole n from -160 to 160, right also where the result is subnormal.
inline Vector times_power_of_two(Vector a, Vector n) {
#if defined(__AVX512F__)
  return (Vector)_mm512_scalef_ps((__m512)a, (__m512)n);
#else
  // A quarter of n at a time would do for more; two halves stay within the exponents of normal numbers.
  const Integers whole = __builtin_convertvector(n, Integers);
  const Integers half = whole >> 1;
  const Integers one = (half + 127) << 23, two = (whole - half + 127) << 23;
  return a * (Vector)one * (Vector)two;
#endif
}

// To the nearest whole number, for |a| < 2^22.
inline Vector nearest(Vector a) {
#if defined(__AVX512F__)
  return (Vector)_mm512_roundscale_ps((__m512)a, 8);
#else
  const Vector magic = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves no room for a fraction
  Vector sum = a + magic;
  asm volatile("" : "+x"(sum));  // or the compiler might cancel the two
  return sum - magic;
#endif
}

// Whether a comparison holds in every lane.
inline bool everywhere(Integers where) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)where) == 0xffff;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)where) == 0xff;
#else
  int32_t all = -1;
  for (int lane = 0; lane < kWidth; ++lane) all &= where[lane];
  return all != 0;
#endif
}

constexpr float kLog2E = 1.44269504f;

// What is left of x after n times ln(2), to a rounding of the result; 0.693359375 has ten bits.
inline Vector without_powers(Vector x, Vector n) {
  return (x - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
}

// exp(r) for |r| <= ln(2) / 2, to 3.3e-9 before rounding: 1 + r + r^2 Q(r), Q by Remez's exchange.
inline Vector exp_near_0(Vector r) {
  Vector p = splat(0x1.6a1a72p-10f);
  p = p * r + splat(0x1.123fc6p-7f);
  p = p * r + splat(0x1.555916p-5f);
  p = p * r + splat(0x1.55548ap-3f);
  p = p * r + splat(0x1.fffffcp-2f);
  p = p * r + splat(1.0f);
  return p * r + splat(1.0f);
}

// exp(d + tail) for d <= 0 and a tail far smaller than d. 2 ulp; NaN stays NaN; below -104 the result is 0.
inline Vector exp_of(Vector d, Vector tail) {
  d = larger(splat(-104.0f), d);
  const Vector n = nearest(d * splat(kLog2E));
  return times_power_of_two(exp_near_0(without_powers(d, n) + tail), n);
}

// exp(x) / 2^k for |x| < 2^15 and an exponent of the result from -155 to 2.
inline Vector exp_over_power(Vector x, Vector k) {
  const Vector n = nearest(x * splat(kLog2E));
  return times_power_of_two(exp_near_0(without_powers(x, n)), n - k);
}

inline Vector exp_of(Vector d) { return exp_of(d, Vector{}); }

// log(1 + s) for s >= 0: Cephes' logf for 1 + s, and what rounding 1 + s lost put back.
inline Vector log1p_of(Vector s) {
  const Vector one = splat(1.0f);
  const Vector u = one + s;
  const Vector lost = s - (u - one);
  Integers bits = (Integers)u;
  Integers exponent = ((bits >> 23) & 255) - 126;
  Vector m = (Vector)((bits & 0x007fffff) | 0x3f000000);  // in [0.5, 1)
  const Integers small = m < splat(0.707106781f);
  exponent = exponent + small;  // a true lane is -1
  m = choose(small, m + m, m) - one;
  const Vector z = m * m;
  Vector p = splat(7.0376836292e-2f);
  p = p * m + splat(-1.1514610310e-1f);
  p = p * m + splat(1.1676998740e-1f);
  p = p * m + splat(-1.2420140846e-1f);
  p = p * m + splat(1.4249322787e-1f);
  p = p * m + splat(-1.6668057665e-1f);
  p = p * m + splat(2.0000714765e-1f);
  p = p * m + splat(-2.4999993993e-1f);
  p = p * m + splat(3.3333331174e-1f);
  const Vector e = __builtin_convertvector(exponent, Vector);
  Vector y = p * m * z + e * splat(-2.12194440e-4f) - splat(0.5f) * z;
  y = m + y + e * splat(0.693359375f) + lost / u;
  const Vector infinity = splat(std::numeric_limits<float>::infinity());
  // NaN and infinity pass through.
  return choose(s < infinity, y, s);
}

}  // namespace SUMTOONE_ISA
