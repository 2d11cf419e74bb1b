// Tensors side by side along one axis: each is copied into its strip of the result.
#include "../copy.h"
namespace bayes {
namespace ISA {

OP(concat) {
  const Tensor& y = s.out[0];
  const int axis = static_cast<int>(s.attr("axis"));
  long to[BAYES_MAX_RANK], from[BAYES_MAX_RANK], at = 0;
  denseStrides(y.dims, y.rank, to);
  for (int k = 0; k < s.nin; k++) {
    const Tensor& x = s.in[k];
    denseStrides(x.dims, x.rank, from);
    View v{};
    for (int i = 0; i < x.rank; i++) v.add(x.dims[i], to[i], from[i]);
    stridedCopy(y.f32() + at * to[axis], x.f32(), v);
    at += x.dims[axis];
  }
}

}  // namespace ISA
}  // namespace bayes
