// y = x limited to [min, max]; the gradient passes where x is inside, ends included.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Clip {
  float lo, hi;
  __device__ __forceinline__ float operator()(float x) const {
    return x < lo ? lo : x > hi ? hi : x;
  }  // a NaN stays a NaN
};
struct ClipGrad {
  float lo, hi;
  __device__ __forceinline__ float operator()(float dy, float x) const { return x >= lo && x <= hi ? dy : 0.f; }
};

OP(clip, "min max") { unary(s, l, Clip{static_cast<float>(s.attr("min")), static_cast<float>(s.attr("max"))}); }
OP(clipGrad, "min max") {
  binary(s, l, ClipGrad{static_cast<float>(s.attr("min")), static_cast<float>(s.attr("max"))});
}

}  // namespace cuda
}  // namespace bayes
