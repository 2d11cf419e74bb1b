// sigma^2 = softplus(rho)^2 of the posterior N(mu, softplus(rho)^2).
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Sigma2FromRho {
  __device__ __forceinline__ float operator()(float rho) const {
    const float sigma = softplus(rho);
    return sigma * sigma;
  }
};
struct Sigma2FromRhoGrad {  // 2 softplus(rho) sigmoid(rho)
  __device__ __forceinline__ float operator()(float dy, float rho) const {
    const Sigma g = sigmaOf(rho);
    return dy * (2.f * g.sigma * g.slope);
  }
};

OP(sigma2FromRho, "") { unary(s, l, Sigma2FromRho()); }
OP(sigma2FromRhoGrad, "") { binary(s, l, Sigma2FromRhoGrad()); }

}  // namespace cuda
}  // namespace bayes
