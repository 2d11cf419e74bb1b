// Any tensor into another place: a result that is a parameter, a constant, a view or wanted twice.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct CopyBytes {
  uint8_t* to;
  const uint8_t* from;
  __device__ __forceinline__ void operator()(long i) const { to[i] = from[i]; }
};
struct CopyWords {
  int32_t* to;
  const int32_t* from;
  __device__ __forceinline__ void operator()(long i) const { to[i] = from[i]; }
};

OP(copy, "") {
  const long n = s.in[0].size();
  const bool bytes = s.in[0].dtype == BAYES_U8;
  if (bytes && s.commits) eachCommitted(n, l, CopyBytes{s.out[0].u8(), s.in[0].u8()});
  else if (bytes) each(n, l, CopyBytes{s.out[0].u8(), s.in[0].u8()});
  else if (s.commits) eachCommitted(n, l, CopyWords{s.out[0].i32(), s.in[0].i32()});
  else each(n, l, CopyWords{s.out[0].i32(), s.in[0].i32()});
}

}  // namespace cuda
}  // namespace bayes
