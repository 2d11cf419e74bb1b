// One launch over many tensors: a model of many small parameters is not a launch each. A block has a chunk of one
// tensor; which one follows from the shapes alone.
#pragma once
#include "each.h"

namespace bayes {
namespace cuda {

constexpr long LIST_CHUNK = 16 * BLOCK;

// Groups of `SIZE` pointers, all of a group's tensors of one shape.
template <int SIZE>
struct List {
  static constexpr int MOST = 3600 / (16 + 8 * SIZE);  // groups of one launch: a kernel's arguments have 4 KB
  int count = 0, first = 0;                            // groups, and the number of the first among all of the step
  long chunks = 0;                                     // before this launch's
  long n[MOST];
  long before[MOST];  // chunks of the groups before it, of this launch
  void* data[MOST][SIZE];

  // The group that the block works on, and its elements [from, to).
  __device__ __forceinline__ int mine(long& from, long& to) const {
    int k = count - 1;
    while (before[k] > static_cast<long>(blockIdx.x)) k--;
    from = (static_cast<long>(blockIdx.x) - before[k]) * LIST_CHUNK;
    to = from + LIST_CHUNK < n[k] ? from + LIST_CHUNK : n[k];
    return k;
  }
};

// Inputs from `first` on come in groups of `size`; the first of a group gives the shape.
inline long listChunks(const Step& s, int first, int size) {
  long total = 0;
  for (int k = first; k < s.nin; k += size) total += ceilDiv(s.in[k].size(), LIST_CHUNK);
  return total;
}
// go(list, blocks) for as many launches as it takes; fill(group, pointers) says what a group has.
template <int SIZE, class Fill, class Go>
void eachList(const Step& s, int first, int size, Fill fill, Go go) {
  long done = 0;
  for (int group = 0, groups = (s.nin - first) / size; group < groups;) {
    List<SIZE> list;
    list.first = group, list.chunks = done;
    long blocks = 0;
    for (; group < groups && list.count < List<SIZE>::MOST; group++, list.count++) {
      list.n[list.count] = s.in[first + group * size].size(), list.before[list.count] = blocks;
      fill(group, list.data[list.count]);
      blocks += ceilDiv(list.n[list.count], LIST_CHUNK);
    }
    go(list, static_cast<unsigned>(blocks));
    done += blocks;
  }
}

__device__ __forceinline__ float* floats(void* p) { return static_cast<float*>(p); }

// f(tensors, i) for every element of every group: its `size` inputs, and behind them `outs` outputs, null where nobody
// reads one.
template <int SIZE, class F>
__global__ void __launch_bounds__(BLOCK) listKernel(List<SIZE> list, F f) {
  long from, to;
  void* const* const tensors = list.data[list.mine(from, to)];
  for (long i = from + threadIdx.x; i < to; i += BLOCK) f(tensors, i);
}
template <int SIZE, class F>
void eachOfList(const Step& s, const Launch& l, int first, int size, int outs, F f) {
  eachList<SIZE>(
      s, first, size,
      [&](int group, void** data) {
        for (int k = 0; k < size; k++) data[k] = s.in[first + group * size + k].data;
        for (int k = 0; k < outs; k++) {
          const Tensor& out = s.out[group * outs + k];
          data[size + k] = out ? out.data : nullptr;
        }
      },
      [&](const List<SIZE>& list, unsigned blocks) {
        launch(listKernel<SIZE, F>, blocks, BLOCK, 0, l.stream, list, f);
      });
}

}  // namespace cuda
}  // namespace bayes
