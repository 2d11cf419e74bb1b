// The targets of one step, chosen by index.
#include "../loops/index.h"

namespace bayes {
namespace cuda {

struct GatherRows {
  const int32_t *data, *index;
  int32_t* out;
  long examples, width;
  Fault* fault;
  int step;
  __device__ __forceinline__ void operator()(long i) const {
    const long row = i / width, k = i % width;
    const int32_t at = index[row];
    if (at >= 0 && at < examples) {
      out[i] = data[at * width + k];
      return;
    }
    out[i] = 0;
    if (k == 0 && firstOutside(index, row, examples))
      raise(fault, INDEX_OUTSIDE, step, at, static_cast<int32_t>(examples));
  }
};

OP(gatherRows, "") {  // data i32 | f32 [N,...], index i32[B] -> [B,...]
  const long n = s.in[0].dim(0), width = s.in[0].size() / n;
  each(s.out[0].size(), l, GatherRows{s.in[0].i32(), s.in[1].i32(), s.out[0].i32(), n, width, l.fault, s.number});
}

}  // namespace cuda
}  // namespace bayes
