// Correlation correlations with few multiplications. F(M, R) gives M neighbouring results of R taps by N = M + R - 1
// multiplications in place of M * R,
//     y = output ((weights w) * (input x)),
// three small matrices around a product element by element (Toom and Cook: polynomials evaluated at N - 1 points and at
// infinity; Winograd 1980; for convolutions Lavin and Gray 2016). Two-dimensional, each is applied along both axes. The
// transposes give the gradient of w. The points are the ones with the smallest errors (Barabasz et al. 2018): rounding
// errors of F(4, 3) and F(2, 5) are two to three times those of a plain sum, of F(3, 5) and F(4, 5) three to four
// times.
#pragma once
#include "../parts/operands.h"

namespace bayes {
namespace ISA {

// The matrices in double precision; rows are scaled by powers of two so that no operand grows much.
template <int M, int R>
struct ToomCook {
  static constexpr int N = M + R - 1;
  double input[N][N] = {}, weights[N][R] = {}, output[M][N] = {};
  static constexpr double point(int i) {
    constexpr double odd[] = {1, -1, 2, -2, 0.5, -0.5}, six[] = {0, 1, -1, 0.5, -2};
    return N == 6 ? six[i] : N == 7 ? odd[i] : i == 0 ? 0 : odd[i - 1];
  }
  static constexpr double scaleOf(double squares) {  // the power of two that brings a row's length near 1
    double s = 1;
    while (squares * s * s > 2) s /= 2;
    while (squares * s * s < 0.5) s *= 2;
    return s;
  }
  constexpr ToomCook() {
    for (int i = 0; i < N; i++) {
      const bool infinity = i == N - 1;
      double product[N + 1] = {1}, norm = 1;  // the product of (x - point) over the other points
      for (int j = 0, degree = 0; j < N - 1; j++) {
        if (j == i) continue;
        for (int k = ++degree; k > 0; k--) product[k] = product[k - 1] - point(j) * product[k];
        product[0] *= -point(j);
        if (!infinity) norm *= point(i) - point(j);
      }
      double in = 0, out = 0, power = 1;
      for (int k = 0; k < N; k++) in += product[k] * product[k];
      for (int k = 0; k < M; k++, power *= point(infinity ? 0 : i))
        output[k][i] = infinity ? k == M - 1 : power, out += output[k][i] * output[k][i];
      const double a = scaleOf(in), b = scaleOf(out);
      for (int k = 0; k < N; k++) input[i][k] = product[k] * a;
      for (int k = 0; k < M; k++) output[k][i] *= b;
      power = 1 / (norm * a * b);
      for (int k = 0; k < R; k++, power *= point(infinity ? 0 : i))
        weights[i][k] = infinity ? (k == R - 1) / (a * b) : power;
    }
  }
  static constexpr int ONE = N == 7 ? 0 : 1;  // the row of the point 1: a plain sum, times output[0][ONE]
};
template <int M, int R>
inline constexpr ToomCook<M, R> toomCook{};

// A matrix known when compiling. Points of opposite sign give rows (BY_ROWS) or columns that differ in the sign of
// every other element, so that half of their multiplications are shared.
template <int M, int R>
struct InputMatrix {
  static constexpr int ROWS = M + R - 1, COLUMNS = M + R - 1;
  static constexpr bool BY_ROWS = true;
  static constexpr double at(int i, int j) { return toomCook<M, R>.input[i][j]; }
};
template <int M, int R>
struct WeightsMatrix {
  static constexpr int ROWS = M + R - 1, COLUMNS = R;
  static constexpr bool BY_ROWS = true;
  static constexpr double at(int i, int j) { return toomCook<M, R>.weights[i][j]; }
};
template <int M, int R>
struct OutputMatrix {
  static constexpr int ROWS = M, COLUMNS = M + R - 1;
  static constexpr bool BY_ROWS = false;
  static constexpr double at(int i, int j) { return toomCook<M, R>.output[i][j]; }
};
template <class T>
struct Transposed {
  static constexpr int ROWS = T::COLUMNS, COLUMNS = T::ROWS;
  static constexpr bool BY_ROWS = !T::BY_ROWS;
  static constexpr double at(int i, int j) { return T::at(j, i); }
};
// Whether row (column) i and the next one are such a pair.
template <class T>
constexpr bool mirroredAt(int i) {
  if (i < 0 || i + 1 >= (T::BY_ROWS ? T::ROWS : T::COLUMNS)) return false;
  for (int j = 0; j < (T::BY_ROWS ? T::COLUMNS : T::ROWS); j++) {
    const double a = T::BY_ROWS ? T::at(i, j) : T::at(j, i), b = T::BY_ROWS ? T::at(i + 1, j) : T::at(j, i + 1);
    if (b != (j % 2 ? -a : a)) return false;
  }
  return true;
}

// f(KindOf<I>()) for I in FROM .. TO
template <int FROM, int TO, class F>
INL void unrolled(F f) {
  if constexpr (FROM < TO) {
    f(KindOf<FROM>());
    unrolled<FROM + 1, TO>(f);
  }
}
// sum of T(I, j) x[j] over j = FROM, FROM + STEP, ...; of paired columns, x has the sum and the difference.
template <class T, int I, int FROM, int STEP>
INL vf rowTimes(const vf* x) {
  vf sum{};
  bool first = true;  // known when compiling, as everything here but x
  unrolled<0, T::COLUMNS>([&](auto J) {
    constexpr int j = J.value;
    constexpr bool late = !T::BY_ROWS && mirroredAt<T>(j - 1), early = !late && !T::BY_ROWS && mirroredAt<T>(j);
    constexpr bool none = (j - FROM) % STEP != 0 || (early && I % 2) || (late && I % 2 == 0);
    constexpr float a = none ? 0 : static_cast<float>(T::at(I, late ? j - 1 : j));
    if constexpr (a != 0) {
      if (a == 1) sum = first ? x[j] : sum + x[j];
      else if (a == -1 && !first) sum = sum - x[j];
      else sum = first ? set1(a) * x[j] : fma(set1(a), x[j], sum);
      first = false;
    }
  });
  return sum;
}
// For `count` lines: to[l * toLine + i * toStep] = sum over j of T(i, j) from[l * line + j * step], vector by vector.
template <class T>
static void timesLines(const float* from, long step, long line, float* to, long toStep, long toLine, long count) {
  for (long l = 0; l < count; l++, from += line, to += toLine) {
    vf x[T::COLUMNS];
    unrolled<0, T::COLUMNS>([&](auto J) { x[J.value] = load(from + J.value * step); });
    if constexpr (!T::BY_ROWS)
      unrolled<0, T::COLUMNS - 1>([&](auto J) {
        constexpr int j = J.value;
        if constexpr (mirroredAt<T>(j)) {
          const vf a = x[j], b = x[j + 1];
          x[j] = a + b, x[j + 1] = a - b;
        }
      });
    unrolled<0, T::ROWS>([&](auto I) {
      constexpr int i = I.value;
      if constexpr (T::BY_ROWS && mirroredAt<T>(i)) {
        const vf even = rowTimes<T, i, 0, 2>(x), odd = rowTimes<T, i, 1, 2>(x);
        store(to + i * toStep, even + odd), store(to + (i + 1) * toStep, even - odd);
      } else if constexpr (!(T::BY_ROWS && mirroredAt<T>(i - 1))) store(to + i * toStep, rowTimes<T, i, 0, 1>(x));
    });
  }
}

// F(m, r), its matrices as functions. `sumScale`: what the point 1 (number `one`) has of the plain sum of results.
struct Correlation {
  typedef void Lines(const float* from, long step, long line, float* to, long toStep, long toLine, long count);
  long m, r, n, one;
  float sumScale;
  Lines *input, *weights, *output, *outputGradient, *weightsGradient;
};
template <int M, int R>
static const Correlation correlationOf = {M,
                                          R,
                                          M + R - 1,
                                          ToomCook<M, R>::ONE,
                                          static_cast<float>(toomCook<M, R>.output[0][ToomCook<M, R>::ONE]),
                                          timesLines<InputMatrix<M, R>>,
                                          timesLines<WeightsMatrix<M, R>>,
                                          timesLines<OutputMatrix<M, R>>,
                                          timesLines<Transposed<OutputMatrix<M, R>>>,
                                          timesLines<Transposed<WeightsMatrix<M, R>>>};
// The one that needs the fewest multiplications for `results` results of `taps` taps, or null.
static inline const Correlation* correlationFor(long taps, long results) {
  const Correlation* const all[] = {&correlationOf<2, 3>, &correlationOf<4, 3>, &correlationOf<2, 5>,
                                    &correlationOf<3, 5>, &correlationOf<4, 5>};
  const Correlation* best = nullptr;
  for (const Correlation* s : all)
    if (s->r == taps && (!best || ceilDiv(results, s->m) * s->n < ceilDiv(results, best->m) * best->n)) best = s;
  return best;
}

}  // namespace ISA
}  // namespace bayes
