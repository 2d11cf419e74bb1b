// Axes in another order: axis i of y is axis perm[i] of x.
#include "../loops/copy.h"

namespace bayes {
namespace cuda {

OP(transpose, "perm") {
  const Tensor &x = s.in[0], &y = s.out[0];
  long from[BAYES_MAX_RANK], to[BAYES_MAX_RANK];
  denseStrides(x, from), denseStrides(y, to);
  View v;
  for (int i = 0; i < y.rank; i++) v.add(y.dim(i), to[i], from[static_cast<int>(s.attr("perm", 0, i))]);
  stridedCopy(l, y.i32(), x.i32(), v);
}

}  // namespace cuda
}  // namespace bayes
