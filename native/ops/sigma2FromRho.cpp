// sigma^2 = softplus(rho)^2 of the posterior N(mu, softplus(rho)^2).
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(sigma2FromRho) {
  unary(s, [](vf rho) {
    const vf sigma = softplusv(rho);
    return sigma * sigma;
  });
}
CONTRACT(sigma2FromRho) { elementwise(c, "rho"); }

OP(sigma2FromRhoGrad) {  // (dy, rho): 2 softplus(rho) sigmoid(rho)
  binary(s, [](vf dy, vf rho) {
    const Sigma g = sigmaOf(rho);
    return dy * (2.f * g.sigma * g.slope);
  });
}
CONTRACT(sigma2FromRhoGrad) { elementwise(c, "dy", "rho"); }

}  // namespace ISA
}  // namespace bayes
