// One pass over many tensors. The inputs from `first` on come in groups of `size`, such as a parameter with its
// gradient and moments; the first of a group gives its size. The chunks of all of them are one list of tasks, so a
// model of many small parameters keeps every core busy. The list follows from the shapes alone.
#pragma once
#include "../cpu/op.h"

namespace bayes {
namespace ISA {

constexpr long PARAM_CHUNK = 16384;

struct Groups {
  const Step& s;
  int first, size;
  long chunk = PARAM_CHUNK;
  INL long chunks(int k) const { return ceilDiv(s.in[k].size(), chunk); }
  INL long tasks() const {
    long n = 0;
    for (int k = first; k < s.nin; k += size) n += chunks(k);
    return n;
  }
  template <class F>
  INL void each(F f) const {  // f(group's inputs, number of the group, from, to, task)
    parallel(tasks(), [&](long task, int) {
      long t = task;
      for (int k = first; k < s.nin; k += size) {
        if (t < chunks(k))
          return f(s.in + k, (k - first) / size, t * chunk, minl((t + 1) * chunk, s.in[k].size()), task);
        t -= chunks(k);
      }
    });
  }
  // out[group] = the sum of chunk(group's inputs, from, to) over its chunks in order; `partial` has a place for each
  // task
  template <class F>
  INL void sums(double* partial, F sumOf) const {
    each([=](const Tensor* in, long, long from, long to, long task) { partial[task] = sumOf(in, from, to); });
    for (int k = first; k < s.nin; k += size) {
      double total = 0;
      for (long n = chunks(k); n > 0; n--) total += *partial++;
      *s.out[(k - first) / size].f32() = (float)total;
    }
  }
};

}  // namespace ISA
}  // namespace bayes
