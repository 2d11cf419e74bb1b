// y = ln(1 + e^x). Its gradient reads the output: the slope is 1 - e^-y.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Softplus {
  __device__ __forceinline__ float operator()(float x) const { return softplus(x); }
};
struct SoftplusGrad {
  __device__ __forceinline__ float operator()(float dy, float y) const { return dy * -expm1f(-y); }
};

OP(softplus, "") { unary(s, l, Softplus()); }
OP(softplusGrad, "") { binary(s, l, SoftplusGrad()); }

}  // namespace cuda
}  // namespace bayes
