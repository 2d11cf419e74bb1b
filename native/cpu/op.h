// What an op's file sees. Every file under native/ops is compiled once per instruction set, in a namespace of that name
// (ISA is avx512, avx2 or base), so it must not instantiate std:: templates: a weak symbol compiled with AVX-512 could
// be the copy that the linker keeps for an old CPU. Helpers live in the ISA namespace or are forced inline.
//
//   OP(relu) {                                  // runs once per step: pointers are resolved, shapes are s.in[i].dims
//     const float* x = s.in[0].f32();           // [any]
//     float* y = s.out[0].f32();
//     parallelRange(s.in[0].size(), 16384, [=](long from, long to) { ... });
//   }
//   CONTRACT(relu) { elementwise(c, {"x"}); }  // what the op takes (program/contract.h): no op is without one
//   SCRATCH(relu) { return bytes; }  // optional, asked when the plan is built and when the thread count has changed:
//                                    // s.scratch is that memory
//   WEIGHTS(relu, 1) { return bytes; }  // optional: input 1 is packed, and may be kept so in s.weights (cpu/step.h)
//   ALGORITHM_OF(relu) { … }         // optional: how the step is computed, for the plan's report
#pragma once
#include "../program/contract.h"
#include "step.h"

namespace bayes {
namespace ISA {
template <class F>
INL void parallel(long tasks, F f) {  // f(task, thread)
  parallelTasks(
      tasks, [](void* c, long task, int thread) { (*static_cast<F*>(c))(task, thread); }, &f);
}
template <class F>
INL void parallelRange(long n, long grain, F f) {  // f(from, to), chunks of `grain` elements (a fixed partition)
  parallel((n + grain - 1) / grain, [&](long t, int) {
    long from = t * grain, to = from + grain;
    f(from, to < n ? to : n);
  });
}
INL long minl(long a, long b) { return a < b ? a : b; }
INL long maxl(long a, long b) { return a > b ? a : b; }
INL long ceilDiv(long a, long b) { return (a + b - 1) / b; }
INL long roundUp(long a, long b) { return ceilDiv(a, b) * b; }
INL long leastCommon(long a, long b) {
  long n = a;
  while (n % b) n += a;
  return n;
}
struct Registrar {
  INL explicit Registrar(OpEntry* e) { registerOp(ISA_LEVEL, e); }
};
}  // namespace ISA

#if CONTRACTS
#define CONTRACT_OF(NAME) contract_##NAME
#else
#define CONTRACT_OF(NAME) nullptr
#endif
#define OP(NAME)                                                                 \
  static void run_##NAME(Step& s);                                               \
  [[maybe_unused]] static void contract_##NAME(Contract& c);                     \
  static OpEntry entry_##NAME = {#NAME, run_##NAME, nullptr, CONTRACT_OF(NAME)}; \
  static const Registrar registrar_##NAME(&entry_##NAME);                        \
  static void run_##NAME([[maybe_unused]] Step& s)
#define SCRATCH(NAME)                                                             \
  static size_t scratch_##NAME(const Step& s);                                    \
  static const bool asked_##NAME = (entry_##NAME.scratch = scratch_##NAME, true); \
  static size_t scratch_##NAME([[maybe_unused]] const Step& s)
#define WEIGHTS(NAME, INPUTS)                                                                                         \
  static size_t weights_##NAME(const Step& s);                                                                        \
  static const bool keeps_##NAME = (entry_##NAME.weights = weights_##NAME, entry_##NAME.weightInputs = INPUTS, true); \
  static size_t weights_##NAME([[maybe_unused]] const Step& s)
#define ALGORITHM_OF(NAME)                                                           \
  static const char* algorithm_##NAME(const Step& s, char* to, size_t room);         \
  static const bool says_##NAME = (entry_##NAME.algorithm = algorithm_##NAME, true); \
  static const char* algorithm_##NAME(const Step& s, char* to, size_t room)

}  // namespace bayes
