// Sums to one number that depend on shapes alone: a thread adds its elements of a chunk of SUM_CHUNK in float32, the
// threads of a block and the blocks are added in float64, in a fixed order.
#pragma once
#include "reduce.h"

namespace bayes {
namespace cuda {

constexpr long SUM_CHUNK = 32 * BLOCK;

// to[0] = scale (total of n partial sums), in one block. scale: null, or a number on the device.
__global__ void __launch_bounds__(BLOCK) finishKernel(const double* partial, long n, float* to, const float* scale) {
  double sum = 0;
  for (long i = threadIdx.x; i < n; i += BLOCK) sum += partial[i];
  sum = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (threadIdx.x == 0) to[0] = static_cast<float>(scale ? *scale * sum : sum);
}
// term(i) may write too; where it does, `partial` may be null.
template <class F>
__global__ void __launch_bounds__(BLOCK) sumKernel(long n, F term, double* partial) {
  const long first = blockIdx.x * SUM_CHUNK;
  float sum = 0;
  for (long i = first + threadIdx.x; i < n && i < first + SUM_CHUNK; i += BLOCK) sum += term(i);
  const double total = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (partial && threadIdx.x == 0) partial[blockIdx.x] = total;
}

inline size_t sumScratch(long n) { return static_cast<size_t>(ceilDiv(n, SUM_CHUNK)) * sizeof(double); }

// to[0] = scale * sum of term(i) over [0, n); to null: term is called for what it writes.
template <class F>
void sumOf(const Step& s, const Launch& l, long n, F term, float* to, const float* scale = nullptr) {
  double* const partial = to ? static_cast<double*>(s.scratch) : nullptr;
  const unsigned blocks = static_cast<unsigned>(ceilDiv(n, SUM_CHUNK));
  launch(sumKernel<F>, blocks, BLOCK, ROOM, l.stream, n, term, partial);
  if (to)
    launch(finishKernel, 1, BLOCK, ROOM, l.stream, static_cast<const double*>(partial), static_cast<long>(blocks), to,
           scale);
}

// A sum for each group of a list: partial sums of its chunks, which are added in order. term(tensors, i)
template <int SIZE, class F>
__global__ void __launch_bounds__(BLOCK) listSumKernel(List<SIZE> list, F term, double* partial) {
  long from, to;
  void* const* const tensors = list.data[list.mine(from, to)];
  float sum = 0;
  for (long i = from + threadIdx.x; i < to; i += BLOCK) sum += term(tensors, i);
  const double total = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (threadIdx.x == 0) partial[list.chunks + blockIdx.x] = total;
}
// A block has a group, whose result is its last pointer.
template <int SIZE>
__global__ void __launch_bounds__(BLOCK) listFinishKernel(List<SIZE> list, const double* partial) {
  const int group = static_cast<int>(blockIdx.x);
  const double* const mine = partial + list.chunks + list.before[group];
  double sum = 0;
  for (long i = threadIdx.x; i * LIST_CHUNK < list.n[group]; i += BLOCK) sum += mine[i];
  sum = blockSum(sum, reinterpret_cast<double*>(sharedMemory()));
  if (threadIdx.x == 0) *floats(list.data[group][SIZE - 1]) = static_cast<float>(sum);
}
// s.scratch has room for listChunks doubles; fill(group, pointers)
template <int SIZE, class Fill, class F>
void sumsOfList(const Step& s, const Launch& l, int first, int size, Fill fill, F term) {
  double* const partial = static_cast<double*>(s.scratch);
  eachList<SIZE>(s, first, size, fill, [&](const List<SIZE>& list, unsigned blocks) {
    launch(listSumKernel<SIZE, F>, blocks, BLOCK, ROOM, l.stream, list, term, partial);
    launch(listFinishKernel<SIZE>, static_cast<unsigned>(list.count), BLOCK, ROOM, l.stream, list,
           static_cast<const double*>(partial));
  });
}

// A pruning mask is the last input: what is 0 in it adds an exact 0, and has a gradient of 0.
struct Mask {
  const float* keep;  // null: all of them
  explicit Mask(const Step& s) : keep(s.attr("masked") != 0 ? s.in[s.nin - 1].f32() : nullptr) {}
  __device__ __forceinline__ explicit Mask(const float* k) : keep(k) {}
  __device__ __forceinline__ float of(float term, long i) const { return keep && keep[i] == 0 ? 0.f : term; }
};

// An output that may be absent.
inline float* outputOf(const Step& s, int i) { return i < s.nout && s.out[i] ? s.out[i].f32() : nullptr; }

}  // namespace cuda
}  // namespace bayes
