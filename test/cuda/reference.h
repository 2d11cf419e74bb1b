// A convolution in float64, both directions and all gradients, tap by tap: what the products on the GPU are held to.
#pragma once
#include <math.h>
#include <vector>
#include "cuda/conv/choose.h"

namespace reference {
typedef std::vector<float> Floats;
typedef std::vector<double> Doubles;
struct Shape {
  const char* name;
  long n, h, w, c, k, kh, kw, sh = 1, sw = 1, dh = 1, dw = 1, top = 0, left = 0, bottom = 0, right = 0, groups = 1;
  long ho() const { return (h + top + bottom - dh * (kh - 1) - 1) / sh + 1; }
  long wo() const { return (w + left + right - dw * (kw - 1) - 1) / sw + 1; }
  long image() const { return n * h * w * c; }
  long map() const { return n * ho() * wo() * k; }
  long weights() const { return kh * kw * (c / groups) * k; }
};
// f(index in the image, in the weights, in the map) for every multiplication.
template <class F>
void eachTap(const Shape& s, F f) {
  const long cg = s.c / s.groups, kg = s.k / s.groups;
  for (long n = 0; n < s.n; n++)
    for (long y = 0; y < s.ho(); y++)
      for (long x = 0; x < s.wo(); x++)
        for (long i = 0; i < s.kh; i++)
          for (long j = 0; j < s.kw; j++) {
            const long iy = y * s.sh - s.top + i * s.dh, ix = x * s.sw - s.left + j * s.dw;
            if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
            for (long k = 0; k < s.k; k++)
              for (long c = 0; c < cg; c++)
                f(((n * s.h + iy) * s.w + ix) * s.c + k / kg * cg + c, ((i * s.kw + j) * cg + c) * s.k + k,
                  ((n * s.ho() + y) * s.wo() + x) * s.k + k);
          }
}
// What a product multiplies of an operand.
inline double rounded(float v, int precision) {
  using namespace bayes::cuda;
  return precision == TF32 ? Tf32::operand(v) : precision == BF16 ? Bf16::operand(v) : v;
}
inline Doubles roundedAll(const Floats& v, int precision) {
  Doubles to;
  for (float f : v) to.push_back(rounded(f, precision));
  return to;
}
inline Doubles forward(const Shape& s, const Doubles& image, const Doubles& w) {
  Doubles to(static_cast<size_t>(s.map()));
  eachTap(s, [&](long x, long t, long y) { to[y] += image[x] * w[t]; });
  return to;
}
inline Doubles backward(const Shape& s, const Doubles& map, const Doubles& w) {
  Doubles to(static_cast<size_t>(s.image()));
  eachTap(s, [&](long x, long t, long y) { to[x] += map[y] * w[t]; });
  return to;
}
inline Doubles weights(const Shape& s, const Doubles& image, const Doubles& map) {
  Doubles to(static_cast<size_t>(s.weights()));
  eachTap(s, [&](long x, long t, long y) { to[t] += image[x] * map[y]; });
  return to;
}
inline Doubles columnSums(const Doubles& v, long columns) {
  Doubles to(static_cast<size_t>(columns));
  for (size_t i = 0; i < v.size(); i++) to[i % columns] += v[i];
  return to;
}
inline void addColumns(Doubles& v, const Floats& bias) {
  for (size_t i = 0; i < v.size() && !bias.empty(); i++) v[i] += bias[i % bias.size()];
}
inline double activated(double z, int kind, double slope) {
  return kind == 2 ? fmax(z, 0) + log1p(exp(-fabs(z))) : kind == 1 && z < 0 ? slope * z : z;
}

struct Random {
  uint32_t state = 7;
  float next() { return state = state * 1664525u + 1013904223u, static_cast<float>(state >> 8) / 8388608.f - 1; }
  Floats many(long n, float scale = 1, float offset = 0) {
    Floats v(static_cast<size_t>(n));
    for (float& f : v) f = offset + scale * next();
    return v;
  }
};
// Largest |difference| in units of 1 + |expected|; infinite where something is not a number.
inline double errorOf(const float* got, const Doubles& want) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); i++) {
    const double e = fabs(got[i] - want[i]) / (1 + fabs(want[i]));
    if (!(e <= worst)) worst = e == e ? e : INFINITY;
  }
  return worst;
}

// Memory of the emulated device.
template <class T>
struct OnDevice {
  T* p;
  size_t n;
  explicit OnDevice(size_t size) : p(static_cast<T*>(emu::allocate((size + 1) * sizeof(T)))), n(size) {}
  explicit OnDevice(const std::vector<T>& v) : OnDevice(v.size()) {
    if (n) memcpy(p, v.data(), n * sizeof(T)), emu::hostWrote(p, n * sizeof(T));
  }
  ~OnDevice() { emu::release(p); }
  OnDevice(const OnDevice&) = delete;
};
}  // namespace reference
