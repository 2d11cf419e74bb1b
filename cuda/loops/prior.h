// A Gaussian prior as klGaussian and logNormalSum see it: constants in the attributes, or one value per weight.
#pragma once
#include <math.h>
#include "sum.h"

namespace bayes {
namespace cuda {

#define PRIOR "priorMean priorSigma tied meanInput sigmaInput masked"

struct GaussianPrior {
  const float *mean, *sigma;                   // [weights] or null
  float mean1, sigma1, logSigma1, precision1;  // the constants otherwise
  bool tied;                                   // the prior's mean is the posterior's: no mean term

  // The constants alone: of a list, each group has its inputs
  explicit GaussianPrior(const Step& s) : mean(nullptr), sigma(nullptr) {
    const double sp = s.attr("priorSigma", 1);
    mean1 = static_cast<float>(s.attr("priorMean")), sigma1 = static_cast<float>(sp);
    logSigma1 = static_cast<float>(::log(sp)), precision1 = static_cast<float>(1 / (sp * sp));
    tied = s.attr("tied") != 0;
  }
  // `next`: index of the first optional input
  GaussianPrior(const Step& s, int next) : GaussianPrior(s) {
    if (s.attr("meanInput") != 0) mean = s.in[next++].f32();
    if (s.attr("sigmaInput") != 0) sigma = s.in[next].f32();
  }
  __device__ __forceinline__ float meanAt(long i) const { return mean ? mean[i] : mean1; }
  __device__ __forceinline__ float sigmaAt(long i) const { return sigma[i] < 1e-10f ? 1e-10f : sigma[i]; }
  __device__ __forceinline__ float logSigmaAt(long i) const { return sigma ? logf(sigmaAt(i)) : logSigma1; }
  __device__ __forceinline__ float precisionAt(long i) const {
    if (!sigma) return precision1;
    const float v = sigmaAt(i);
    return 1.f / (v * v);
  }
};

}  // namespace cuda
}  // namespace bayes
