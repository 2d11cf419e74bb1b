// A box cut out of a tensor, and a box set into zeros: each is the other's gradient.
#include "../loops/copy.h"
namespace bayes {
namespace ISA {

// the box `small` at `starts` of `large`, as a view that copies out of (or into) the large tensor
INL View box(const Step& s, const char* starts, const Tensor& small, const Tensor& large, bool out, long* offset) {
  long inner[BAYES_MAX_RANK], outer[BAYES_MAX_RANK];
  denseStrides(small.dims, small.rank, inner), denseStrides(large.dims, large.rank, outer);
  View v{};
  *offset = 0;
  for (int i = 0; i < small.rank; i++) {
    *offset += static_cast<long>(s.attr(starts, 0, i)) * outer[i];
    v.add(small.dims[i], out ? inner[i] : outer[i], out ? outer[i] : inner[i]);
  }
  return v;
}

// The contract: the box `small` lies in `large` from the attribute `start` on, and (where there is one) `end` after it.
static inline void boxInside(Contract& c, const char* start, const char* end, const Tensor& small,
                             const Tensor& large) {
  const double *before = c.wholes(start, large.rank), *after = end ? c.wholes(end, large.rank) : nullptr;
  bool fits = small.rank == large.rank;
  for (int i = 0; fits && i < large.rank; i++) {
    const double to = before[i] + static_cast<double>(small.dims[i]), size = static_cast<double>(large.dims[i]);
    fits = after ? to + after[i] == size : to <= size;
  }
  if (!fits) c.refuse("a box inside %s at %s, received %s", c.typeOf(large), start, c.typeOf(small));
}

OP(slice) {  // attrs starts
  long offset;
  const View v = box(s, "starts", s.out[0], s.in[0], true, &offset);
  stridedCopy(s.out[0].f32(), s.in[0].f32() + offset, v);
}
CONTRACT(slice) {
  const Tensor &x = c.in("x", "f32|i32[*]"), &y = c.out("y", "T[*]");
  c.shape("sizes", y), boxInside(c, "starts", nullptr, y, x);
}

OP(pad) {  // attrs before
  long offset;
  const View v = box(s, "before", s.in[0], s.out[0], false, &offset);
  fillZero(s.out[0].f32(), s.out[0].size());
  stridedCopy(s.out[0].f32() + offset, s.in[0].f32(), v);
}
CONTRACT(pad) {
  const Tensor &x = c.in("x", "f32[*]"), &y = c.out("y", "f32[*]");
  boxInside(c, "before", "after", x, y);
}

}  // namespace ISA
}  // namespace bayes
