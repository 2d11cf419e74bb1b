// A step of a plan as kernels and contracts see it: tensors whose pointers are resolved, and attributes by name. And
// what the device offers to a kernel: the pool, and the registry of ops.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include "../shared/backend.h"

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
  // null: there is but one way. Else how the step is computed, in words that are written to `to`
  const char* (*algorithm)(const Step& s, char* to, size_t room);
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
Bf16Pairs bf16Pairs();  // how products of bfloat16 pairs run here (vector/bf16.h)

// Of the environment, empty where nothing is said (conv/choose.h)
const char* convWish();
const char* winogradWish();

void registerOp(int level, OpEntry* entry);
const OpEntry* findOp(const char* name);    // on the instruction set in use; null: no such op
ContractOf findContract(const char* name);  // of any unit; null: none

}  // namespace bayes
