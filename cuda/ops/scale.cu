// y = a x + b with constants a and b.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Scale {
  float a, b;
  __device__ __forceinline__ float operator()(float x) const { return a * x + b; }
};

OP(scale, "a b") { unary(s, l, Scale{static_cast<float>(s.attr("a", 1)), static_cast<float>(s.attr("b"))}); }

}  // namespace cuda
}  // namespace bayes
