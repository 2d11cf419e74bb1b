// What optimizers have in common: the parameters of a model are groups of tensors.
#pragma once
#include "groups.h"
#include "sum.h"

namespace bayes {
namespace ISA {

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

}  // namespace ISA
}  // namespace bayes
