// KL(q || p) in nats, summed: q = N(mu, softplus(rho)^2), p Gaussian;
// ln(sp / s) + (s^2 + (mu - mp)^2) / (2 sp^2) - 1/2.
#include "../math.h"
#include "../loops/prior.h"

namespace bayes {
namespace cuda {

// The tensors of a parameter: those that are not there are null.
enum KlTensor { MU, RHO, PRIOR_MEAN, PRIOR_SIGMA, MASK, DMU_SO_FAR, DRHO_SO_FAR, DMU, DRHO };

inline int klSize(const Step& s) {
  return 2 + static_cast<int>(s.attr("meanInput") + s.attr("sigmaInput") + s.attr("masked"));
}
inline void klInputs(const Step& s, const Tensor* in, void** data) {
  data[MU] = in++->data, data[RHO] = in++->data;
  data[PRIOR_MEAN] = s.attr("meanInput") != 0 ? in++->data : nullptr;
  data[PRIOR_SIGMA] = s.attr("sigmaInput") != 0 ? in++->data : nullptr;
  data[MASK] = s.attr("masked") != 0 ? in->data : nullptr;
}
__device__ __forceinline__ GaussianPrior priorOf(GaussianPrior p, void* const* t) {
  p.mean = floats(t[PRIOR_MEAN]), p.sigma = floats(t[PRIOR_SIGMA]);
  return p;
}

struct KlGaussian {
  GaussianPrior constants;
  __device__ __forceinline__ float operator()(void* const* t, long i) const {
    const GaussianPrior p = priorOf(constants, t);
    const float r = floats(t[RHO])[i], d = p.tied ? 0.f : floats(t[MU])[i] - p.meanAt(i);
    const Sigma q = sigmaOf(r);
    const float squares = fmaf(q.sigma, q.sigma, d * d) * p.precisionAt(i);
    const float kl = ((p.logSigmaAt(i) - logf(q.body)) - (r < 0 ? r : 0.f)) + (0.5f * squares - 0.5f);
    return Mask(floats(t[MASK])).of(kl, i);
  }
};
struct KlGaussianGrad {
  const float* dkl;
  GaussianPrior constants;
  __device__ __forceinline__ static void put(void* to, const void* before, float d, long i) {
    floats(to)[i] = before ? static_cast<const float*>(before)[i] + d : d;
  }
  __device__ __forceinline__ void operator()(void* const* t, long i) const {
    const GaussianPrior p = priorOf(constants, t);
    const Mask mask(floats(t[MASK]));
    const float k = *dkl, precision = p.precisionAt(i);
    if (t[DMU])
      put(t[DMU], t[DMU_SO_FAR], mask.of(p.tied ? 0.f : k * ((floats(t[MU])[i] - p.meanAt(i)) * precision), i), i);
    if (!t[DRHO]) return;
    const Sigma q = sigmaOf(floats(t[RHO])[i]);
    put(t[DRHO], t[DRHO_SO_FAR], mask.of(k * q.ratio * fmaf(q.sigma * q.sigma, precision, -1.f), i), i);
  }
};

OP(klGaussian, PRIOR) {  // per parameter: mu, rho, [priorMean], [priorSigma], [mask]; its KL
  const int size = klSize(s);
  sumsOfList<MASK + 2>(
      s, l, 0, size,
      [&](int group, void** data) {
        klInputs(s, s.in + group * size, data);
        data[MASK + 1] = s.out[group].data;
      },
      KlGaussian{GaussianPrior(s)});
}
SCRATCH(klGaussian) { return static_cast<size_t>(listChunks(s, 0, klSize(s))) * sizeof(double); }

// (dkl, then per parameter: mu, rho, [priorMean], [priorSigma], [mask]) -> dmu, drho of each; `onto`: (..., dmu, drho
// so far), which they are added to
OP(klGaussianGrad, PRIOR " onto") {
  const bool onto = s.attr("onto") != 0;
  const int own = klSize(s), size = onto ? own + 2 : own;
  const KlGaussianGrad f{s.in[0].f32(), GaussianPrior(s)};
  eachList<DRHO + 1>(
      s, 1, size,
      [&](int group, void** data) {
        const Tensor* const in = s.in + 1 + group * size;
        klInputs(s, in, data);
        for (int k = 0; k < 2; k++) {
          data[DMU_SO_FAR + k] = onto ? in[own + k].data : nullptr;
          data[DMU + k] = outputOf(s, 2 * group + k);
        }
      },
      [&](const List<DRHO + 1>& list, unsigned blocks) {
        launch(listKernel<DRHO + 1, KlGaussianGrad>, blocks, BLOCK, 0, l.stream, list, f);
      });
}

}  // namespace cuda
}  // namespace bayes
