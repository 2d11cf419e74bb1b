// One pass over many tensors: the chunks of all of them are one list of tasks, so a model of many small parameters
// keeps every core busy. The list follows from the shapes alone.
#pragma once
#include "sum.h"

namespace bayes {
namespace ISA {

constexpr long PARAM_CHUNK = 16384;

// The contract of the inputs of one parameter: (param, grad, state that is written,
// [mask]).
static inline void parameterInputs(Contract& c, bool masked, const char* state1, const char* state2) {
  c.anew();
  c.inout("param", "f32[...]"), c.in("grad", "f32[...]");
  if (state1) c.inout(state1, "f32[...]");
  if (state2) c.inout(state2, "f32[...]");
  if (masked) c.in("mask", "f32[...]");
}

// Before anything is written. Gradients are guarded by a step of their own (checkFinite), before the first update.
static inline void checkRate(const Step& s, double rate) {
  if (!(rate - rate == 0)) failStep(s, "the learning rate is not finite");
}

// Inputs from `first` on come in groups of `size`; the first of a group gives the shape.
struct Groups {
  const Step& s;
  int first, size;
  INL long count() const { return (s.nin - first) / size; }
  INL long tasks() const {
    long n = 0;
    for (int k = first; k < s.nin; k += size) n += ceilDiv(s.in[k].size(), PARAM_CHUNK);
    return n;
  }
  template <class F>
  INL void each(F f) const {  // f(group's inputs, number of the group, from, to, task)
    parallel(tasks(), [&](long task, int) {
      long t = task;
      for (int k = first; k < s.nin; k += size) {
        const long n = s.in[k].size(), chunks = ceilDiv(n, PARAM_CHUNK);
        if (t < chunks) return f(s.in + k, (k - first) / size, t * PARAM_CHUNK, minl((t + 1) * PARAM_CHUNK, n), task);
        t -= chunks;
      }
    });
  }
};

}  // namespace ISA
}  // namespace bayes
