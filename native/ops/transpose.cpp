// Axes in another order. Bound by bandwidth; see copy.h for the tiles.
#include "../copy.h"
namespace bayes {
namespace ISA {

OP(transpose) {  // attrs perm: axis i of y is axis perm[i] of x
  const Tensor &x = s.in[0], &y = s.out[0];
  long from[BAYES_MAX_RANK], to[BAYES_MAX_RANK];
  denseStrides(x.dims, x.rank, from), denseStrides(y.dims, y.rank, to);
  View v{};
  for (int i = 0; i < y.rank; i++) v.add(y.dims[i], to[i], from[static_cast<int>(s.attr("perm", 0, i))]);
  stridedCopy(y.f32(), x.f32(), v);
}

}  // namespace ISA
}  // namespace bayes
