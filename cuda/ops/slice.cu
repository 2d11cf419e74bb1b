// A box cut out of a tensor, and a box set into zeros: each is the other's gradient.
#include "../loops/copy.h"

namespace bayes {
namespace cuda {

struct FillZero {
  float* to;
  __device__ __forceinline__ void operator()(long i) const { to[i] = 0; }
};

// The box `small` at `starts` of `large`, as a view that copies out of (or into) the large tensor.
View box(const Step& s, const char* starts, const Tensor& small, const Tensor& large, bool out, long* offset) {
  long inner[BAYES_MAX_RANK], outer[BAYES_MAX_RANK];
  denseStrides(small, inner), denseStrides(large, outer);
  View v;
  *offset = 0;
  for (int i = 0; i < small.rank; i++) {
    *offset += static_cast<long>(s.attr(starts, 0, i)) * outer[i];
    v.add(small.dim(i), out ? inner[i] : outer[i], out ? outer[i] : inner[i]);
  }
  return v;
}

OP(slice, "starts sizes") {
  long offset;
  const View v = box(s, "starts", s.out[0], s.in[0], true, &offset);
  stridedCopy(l, s.out[0].i32(), s.in[0].i32() + offset, v);
}
OP(pad, "before after") {
  long offset;
  const View v = box(s, "before", s.in[0], s.out[0], false, &offset);
  each(s.out[0].size(), l, FillZero{s.out[0].f32()});
  stridedCopy(l, s.out[0].i32() + offset, s.in[0].i32(), v);
}

}  // namespace cuda
}  // namespace bayes
