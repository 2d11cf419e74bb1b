// A box cut out of a tensor, and a box set into zeros: each is the other's gradient.
#include "../copy.h"
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

OP(slice) {  // attrs starts
  long offset;
  const View v = box(s, "starts", s.out[0], s.in[0], true, &offset);
  stridedCopy(s.out[0].f32(), s.in[0].f32() + offset, v);
}

OP(pad) {  // attrs before
  long offset;
  const View v = box(s, "before", s.in[0], s.out[0], false, &offset);
  fillZero(s.out[0].f32(), s.out[0].size());
  stridedCopy(s.out[0].f32() + offset, s.in[0].f32(), v);
}

}  // namespace ISA
}  // namespace bayes
