// Stops the run, before anything is committed, when any element of any input is NaN or infinite.
#include "../loops/lists.h"

namespace bayes {
namespace cuda {

__global__ void __launch_bounds__(BLOCK) checkFiniteKernel(List<1> list, Fault* fault, int step) {
  long from, to;
  const float* const x = static_cast<const float*>(list.data[list.mine(from, to)][0]);
  bool bad = false;
  for (long i = from + threadIdx.x; i < to; i += BLOCK) bad |= (bitsOf(x[i]) & 0x7f800000) == 0x7f800000;
  if (bad) raise(fault, NOT_FINITE, step);
}

OP(checkFinite, "") {
  eachList<1>(
      s, 0, 1, [&](int group, void** data) { data[0] = s.in[group].data; },
      [&](const List<1>& list, unsigned blocks) {
        launch(checkFiniteKernel, blocks, BLOCK, 0, l.stream, list, l.fault, s.number);
      });
}

}  // namespace cuda
}  // namespace bayes
