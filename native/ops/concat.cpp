// Tensors side by side along one axis: each is copied into its strip of the result.
#include "../loops/copy.h"
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
CONTRACT(concat) {
  const Tensor& y = c.out("y", "f32|i32[*]");
  const long axis = c.whole("axis", 0, y.rank - 1);
  long total = 0;
  do {
    const Tensor& x = c.in("x", "T[*]");
    bool fits = x.rank == y.rank;
    for (int i = 0; fits && i < y.rank; i++) fits = i == axis || x.dims[i] == y.dims[i];
    if (!fits) c.refuse("x as %s but for axis %ld, received %s", c.typeOf(y), axis, c.typeOf(x));
    total += x.dims[axis];
    c.expect(total <= y.dims[axis], "%ld values along axis %ld, received more", (long)y.dims[axis], axis);
  } while (c.inputsLeft());
  c.expect(total == y.dims[axis], "%ld values along axis %ld, received %ld", (long)y.dims[axis], axis, total);
}

}  // namespace ISA
}  // namespace bayes
