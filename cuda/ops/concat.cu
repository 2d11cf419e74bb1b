// Tensors side by side along one axis: each is copied into its strip of the result.
#include "../loops/copy.h"

namespace bayes {
namespace cuda {

OP(concat, "axis") {
  const Tensor& y = s.out[0];
  const int axis = static_cast<int>(s.attr("axis"));
  long to[BAYES_MAX_RANK], from[BAYES_MAX_RANK], at = 0;
  denseStrides(y, to);
  for (int k = 0; k < s.nin; k++) {
    const Tensor& x = s.in[k];
    denseStrides(x, from);
    View v;
    for (int i = 0; i < x.rank; i++) v.add(x.dim(i), to[i], from[i]);
    stridedCopy(l, y.i32() + at * to[axis], x.i32(), v);
    at += x.dim(axis);
  }
}

}  // namespace cuda
}  // namespace bayes
