// Scales all gradients by min(1, maxNorm / (norm + 1e-6)), norm = that of all of them together, as PyTorch does.
#include "../math.h"
#include "../loops/lists.h"
#include "../loops/reduce.h"

namespace bayes {
namespace cuda {

__global__ void __launch_bounds__(BLOCK) squaresKernel(List<1> list, double* partial) {
  long from, to;
  const float* const x = static_cast<const float*>(list.data[list.mine(from, to)][0]);
  float sum = 0;
  for (long i = from + threadIdx.x; i < to; i += BLOCK) sum += x[i] * x[i];
  const double total = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (threadIdx.x == 0) partial[list.chunks + blockIdx.x] = total;
}
__global__ void __launch_bounds__(BLOCK) rootKernel(const double* partial, long n, float* norm) {
  double sum = 0;
  for (long i = threadIdx.x; i < n; i += BLOCK) sum += partial[i];
  sum = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (threadIdx.x == 0) *norm = static_cast<float>(sqrt(sum));
}
__global__ void __launch_bounds__(BLOCK) scaleListKernel(List<2> list, const float* norm, const float* most) {
  long from, to;
  const int k = list.mine(from, to);
  const double ratio = *most / (static_cast<double>(*norm) + 1e-6);
  const float by = ratio < 1 ? static_cast<float>(ratio) : 1.f, *x = static_cast<const float*>(list.data[k][0]);
  float* const y = static_cast<float*>(list.data[k][1]);
  if (!y) return;
  for (long i = from + threadIdx.x; i < to; i += BLOCK) y[i] = by * x[i];
}

OP(globalNorm, "") {  // (tensors...) -> f32[]
  double* const partial = static_cast<double*>(s.scratch);
  eachList<1>(
      s, 0, 1, [&](int group, void** data) { data[0] = s.in[group].data; },
      [&](const List<1>& list, unsigned blocks) {
        launch(squaresKernel, blocks, BLOCK, ROOM, l.stream, list, partial);
      });
  launch(rootKernel, 1, BLOCK, ROOM, l.stream, static_cast<const double*>(partial), listChunks(s, 0, 1),
         s.out[0].f32());
}
SCRATCH(globalNorm) { return static_cast<size_t>(listChunks(s, 0, 1)) * sizeof(double); }

OP(clipByGlobalNorm, "") {  // (norm f32[], maxNorm f32[], tensors...) -> tensors...
  eachList<2>(
      s, 2, 1,
      [&](int group, void** data) {
        data[0] = s.in[2 + group].data, data[1] = s.out[group] ? s.out[group].data : nullptr;
      },
      [&](const List<2>& list, unsigned blocks) {
        launch(scaleListKernel, blocks, BLOCK, 0, l.stream, list, static_cast<const float*>(s.in[0].f32()),
               static_cast<const float*>(s.in[1].f32()));
      });
}

}  // namespace cuda
}  // namespace bayes
