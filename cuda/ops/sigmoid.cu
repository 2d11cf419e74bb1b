// y = 1 / (1 + e^-x), with e^-|x| so that neither tail overflows.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Sigmoid {
  __device__ __forceinline__ float operator()(float x) const { return sigmoid(x); }
};
struct SigmoidGrad {
  __device__ __forceinline__ float operator()(float dy, float y) const { return dy * y * (1.f - y); }
};

OP(sigmoid, "") { unary(s, l, Sigmoid()); }
OP(sigmoidGrad, "") { binary(s, l, SigmoidGrad()); }

}  // namespace cuda
}  // namespace bayes
