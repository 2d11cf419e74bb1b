// What an op's file sees. Every file under native/ops is compiled once per instruction set, in a namespace of that name
// (ISA is avx512, avx2 or base), so it must not instantiate std:: templates: a weak symbol compiled with AVX-512 could
// be the copy that the linker keeps for an old CPU. Helpers live in the ISA namespace or are forced inline.
//
//   OP(relu) {                                  // runs once per step: pointers are resolved, shapes are s.in[i].dims
//     const float* x = s.in[0].f32();           // [any]
//     float* y = s.out[0].f32();
//     parallelRange(s.in[0].size(), 16384, [=](long from, long to) { ... });
//   }
//   CONTRACT(relu) { elementwise(c, {"x"}); }  // what the kernel takes (contract.h): no op is without one
//   SCRATCH(relu) { return bytes; }  // optional, asked when the plan is built and when the thread count has changed:
//                                    // s.scratch is that memory
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include "backend.h"

#define INL inline __attribute__((always_inline))

#ifndef ISA  // files outside native/ops see the plain types only
#define ISA base
#define ISA_LEVEL 0
#endif
#ifndef CONTRACTS  // contracts know no instruction set: one unit has them, the others drop them as unused
#define CONTRACTS (ISA_LEVEL == 0)
#endif

namespace bayes {

struct Tensor {
  void* data;
  int32_t dtype, rank, space, index;
  int64_t offset;
  int64_t dims[BAYES_MAX_RANK];

  INL float* f32() const { return static_cast<float*>(data); }
  INL int32_t* i32() const { return static_cast<int32_t*>(data); }
  INL uint8_t* u8() const { return static_cast<uint8_t*>(data); }
  INL explicit operator bool() const { return space != BAYES_NONE; }  // false: an output nobody reads
  INL long size() const {
    long n = 1;
    for (int i = 0; i < rank; i++) n *= dims[i];
    return n;
  }
  INL long dim(int i) const { return dims[i < 0 ? rank + i : i]; }
};

struct Attr {
  const char* name;
  int count;
  const double* values;
};

struct Step;
class Contract;
typedef void (*ContractOf)(Contract& c);
struct OpEntry {
  const char* name;
  void (*run)(Step& s);
  size_t (*scratch)(const Step& s);  // null: none
  ContractOf contract;               // null: another unit has it
};

// Both end the step with a fault, before anything is committed. Never from inside a task: a thread of the pool has
// nobody to catch it.
[[noreturn]] void failStep(const Step& s, const char* why);  // names the op; for what TypeScript cannot know
[[noreturn]] void failNonFinite();

struct Step {
  const char* op;
  Tensor *in, *out;
  int nin, nout, nattr;
  const Attr* attrs;
  bool commits;
  void* scratch;  // 64-byte aligned, shared by all steps: valid during run only
  const OpEntry* entry;

  INL const Attr* find(const char* name) const {
    for (int i = 0; i < nattr; i++)
      if (!strcmp(attrs[i].name, name)) return attrs + i;
    return nullptr;
  }
  INL double attr(const char* name, double otherwise = 0, int i = 0) const {
    const Attr* a = find(name);
    return a && i < a->count ? a->values[i] : otherwise;
  }
};

// The pool. Tasks are numbered by shapes alone and each owns its outputs, so the thread count never shows in a result.
void parallelTasks(long tasks, void (*fn)(void* context, long task, int thread), void* context);
int poolThreads();  // how many may call fn at once: thread is in [0, poolThreads()). Sizes scratch memory, nothing else

enum Bf16Pairs { NO_PAIRS, EMULATED, INSTRUCTION };
Bf16Pairs bf16Pairs();  // how products of bfloat16 pairs run here (native/bf16.h)

void registerOp(int level, OpEntry* entry);
const OpEntry* findOp(const char* name);    // on the instruction set in use; null: no such op
ContractOf findContract(const char* name);  // of any unit; null: none

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

}  // namespace bayes

#include "contract.h"  // needs Step and Tensor
