// A Gaussian prior as klGaussian and logNormalSum see it: constants in the attributes, or one value per weight.
#pragma once
#include "groups.h"
#include "sum.h"

namespace bayes {
namespace ISA {

// The contract, mask included; "..." are the weights. perWeight: whether mean and sigma may be inputs; tie: whether the
// mean may be the posterior's.
static inline void priorInputs(Contract& c, bool perWeight, bool tie) {
  c.number("priorMean"), c.number("priorSigma", 1e-10, 1e10), c.whole("tied", 0, tie);
  if (c.whole("meanInput", 0, perWeight)) c.in("priorMean", "f32[...]");
  if (c.whole("sigmaInput", 0, perWeight)) c.in("priorSigma", "f32[...]");
  maskInput(c);
}

// How many inputs that is
INL int priorSize(const Step& s) { return (int)(s.attr("meanInput") + s.attr("sigmaInput") + s.attr("masked")); }

struct GaussianPrior {
  const float *mean = nullptr, *sigma = nullptr;  // [weights] or null
  vf mean1, sigma1, logSigma1, precision1;        // the constants otherwise
  bool tied;                                      // the prior's mean is the posterior's: no mean term

  // `next`: the first optional input
  INL GaussianPrior(const Step& s, const Tensor* next) {
    if (s.attr("meanInput")) mean = next++->f32();
    if (s.attr("sigmaInput")) sigma = next->f32();
    const double sp = s.attr("priorSigma", 1);
    mean1 = set1((float)s.attr("priorMean"));
    sigma1 = set1((float)sp), logSigma1 = set1((float)::log(sp)), precision1 = set1((float)(1 / (sp * sp)));
    tied = s.attr("tied") != 0;
  }
  INL vf meanAt(long i, long n) const { return mean ? loadn(mean + i, n) : mean1; }
  INL vf sigmaAt(long i, long n) const { return maxv(set1(1e-10f), loadn(sigma + i, n)); }
  INL vf logSigmaAt(long i, long n) const { return sigma ? logv(sigmaAt(i, n)) : logSigma1; }
  INL vf precisionAt(long i, long n) const {
    if (!sigma) return precision1;
    const vf v = sigmaAt(i, n);
    return 1.f / (v * v);
  }
};

}  // namespace ISA
}  // namespace bayes
