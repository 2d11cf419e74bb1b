// Normals of initial parameters: Box-Muller in double, the same bits on every machine.
#pragma once
#include <stdint.h>

namespace bayes {
// out[4b..4b+3] = mean + scale z of the block at {b, row, step, stream} (lib/util/philox.ts has the words), on the
// pool's threads.
struct GaussianFill {
  double mean, scale;
  uint32_t row, step, stream, key[2];
};
void fillGaussians(float* out, int64_t count, const GaussianFill& fill);
void fillGaussians(double* out, int64_t count, const GaussianFill& fill);

// What an instruction set has for it, said when the addon is loaded.
template <class T>
using FillGaussians = void (*)(T* out, int64_t count, const GaussianFill& fill);
void registerGaussians(int level, FillGaussians<float> f32, FillGaussians<double> f64);
}  // namespace bayes
