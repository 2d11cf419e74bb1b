// Axes in another order. Bound by bandwidth; see copy.h for the tiles.
#include "../loops/copy.h"
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
CONTRACT(transpose) {
  const Tensor &x = c.in("x", "f32|i32[*]"), &y = c.out("y", "T[*]");
  const double* perm = c.wholes("perm", x.rank, 0, x.rank - 1);
  bool fits = y.rank == x.rank;
  int seen = 0;
  for (int i = 0; fits && i < x.rank; i++) {
    const int axis = static_cast<int>(perm[i]);
    fits = y.dims[i] == x.dims[axis];
    c.expect(!(seen >> axis & 1), "every axis once in perm, received %d twice", axis);
    seen |= 1 << axis;
  }
  if (!fits) c.refuse("y as %s in the order of perm, received %s", c.typeOf(x), c.typeOf(y));
}

}  // namespace ISA
}  // namespace bayes
