// Sum over the neighbouring axes [from, to): x seen as [O, R, I] -> [O, I]. R is cut into chunks by shape alone; a
// thread adds its elements of a chunk in float32, the rest is float64 in order.
#include "../loops/sum.h"

namespace bayes {
namespace cuda {

struct SumShape {
  long o = 1, r = 1, i = 1, chunk, chunks;
  int columns, lanes;  // of a block where I > 1: neighbouring results, and threads that share one
  explicit SumShape(const Step& s) {
    const Tensor& x = s.in[0];
    const int from = static_cast<int>(s.attr("from")), to = static_cast<int>(s.attr("to"));
    for (int k = 0; k < x.rank; k++) (k < from ? o : k < to ? r : i) *= x.dim(k);
    columns = static_cast<int>(i < BLOCK ? i : BLOCK), lanes = BLOCK / columns;
    chunk = i == 1 ? SUM_CHUNK : 32L * lanes;
    while (ceilDiv(r, chunk) > 65535) chunk *= 2;
    chunks = ceilDiv(r, chunk);
  }
};

// y [O, chunks]: sums of rows of x [O, R]
template <class T>
__global__ void __launch_bounds__(BLOCK) sumRowsKernel(const float* x, T* y, long r, long chunk) {
  const long first = blockIdx.y * chunk, end = first + chunk < r ? first + chunk : r;
  float sum = 0;
  for (long k = first + threadIdx.x; k < end; k += BLOCK) sum += x[blockIdx.x * r + k];
  const double total = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (threadIdx.x == 0) y[static_cast<long>(blockIdx.x) * gridDim.y + blockIdx.y] = static_cast<T>(total);
}
// y [O]: sums of few elements each, a thread a sum
struct SumShort {
  const float* x;
  float* y;
  long r;
  __device__ __forceinline__ void operator()(long o) const {
    double sum = 0;
    for (long k = 0; k < r; k++) sum += x[o * r + k];
    y[o] = static_cast<float>(sum);
  }
};
// y [O, chunks, I] of x [O, R, I]
template <class T>
__global__ void __launch_bounds__(BLOCK)
    sumColumnsKernel(const float* x, T* y, long r, long width, long chunk, int columns, int lanes) {
  const long groups = (width + columns - 1) / columns, o = blockIdx.x / groups;
  const int column = static_cast<int>(threadIdx.x) % columns, lane = static_cast<int>(threadIdx.x) / columns;
  const long i = blockIdx.x % groups * columns + column, first = blockIdx.y * chunk;
  float* const sums = reinterpret_cast<float*>(sharedMemory());
  float sum = 0;
  if (lane < lanes && i < width)
    for (long k = first + lane; k < first + chunk && k < r; k += lanes) sum += x[(o * r + k) * width + i];
  sums[threadIdx.x] = sum;
  blockBarrier();
  if (lane > 0 || i >= width) return;
  double total = 0;
  for (int k = 0; k < lanes; k++) total += sums[k * columns + column];
  y[(o * gridDim.y + blockIdx.y) * width + i] = static_cast<T>(total);
}
// y [O, I] of partial sums [O, chunks, I], in order
struct SumChunks {
  const double* partial;
  float* y;
  long chunks, width;
  __device__ __forceinline__ void operator()(long k) const {
    double total = 0;
    for (long c = 0; c < chunks; c++) total += partial[(k / width * chunks + c) * width + k % width];
    y[k] = static_cast<float>(total);
  }
};

OP(sum, "from to keepdims") {
  const SumShape d(s);
  const float* const x = s.in[0].f32();
  float* const y = s.out[0].f32();
  double* const partial = static_cast<double*>(s.scratch);
  const unsigned chunks = static_cast<unsigned>(d.chunks);
  if (d.i == 1 && d.r <= 32) return each(d.o, l, SumShort{x, y, d.r});
  if (d.i == 1) {
    const dim3 grid(static_cast<unsigned>(d.o), chunks);
    if (chunks == 1) return launch(sumRowsKernel<float>, grid, BLOCK, ROOM, l.stream, x, y, d.r, d.chunk);
    launch(sumRowsKernel<double>, grid, BLOCK, ROOM, l.stream, x, partial, d.r, d.chunk);
  } else {
    const dim3 grid(static_cast<unsigned>(d.o * ceilDiv(d.i, d.columns)), chunks);
    const size_t room = BLOCK * sizeof(float);
    if (chunks == 1)
      return launch(sumColumnsKernel<float>, grid, BLOCK, room, l.stream, x, y, d.r, d.i, d.chunk, d.columns, d.lanes);
    launch(sumColumnsKernel<double>, grid, BLOCK, room, l.stream, x, partial, d.r, d.i, d.chunk, d.columns, d.lanes);
  }
  if (d.o * d.i == 1)
    return launch(finishKernel, 1, BLOCK, ROOM, l.stream, static_cast<const double*>(partial), d.chunks, y,
                  static_cast<const float*>(nullptr));
  each(d.o * d.i, l, SumChunks{partial, y, d.chunks, d.i});
}
SCRATCH(sum) {
  const SumShape d(s);
  return d.chunks == 1 ? 0 : static_cast<size_t>(d.o * d.chunks * d.i) * sizeof(double);
}

}  // namespace cuda
}  // namespace bayes
