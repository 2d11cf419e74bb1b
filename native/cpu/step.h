// What the device offers to a kernel: the steps that it runs, whose pointers are resolved, the pool, and the registry
// of ops.
#pragma once
#include <math.h>
#include "../program/step.h"

#ifndef ISA  // files outside native/ops see the plain types only
#define ISA base
#define ISA_LEVEL 0
#endif
#ifndef CONTRACTS  // contracts know no instruction set: one unit has them, the others drop them as unused
#define CONTRACTS (ISA_LEVEL == 0)
#endif

namespace bayes {

class Contract;
struct OpEntry {
  const char* name;
  void (*run)(Step& s);
  size_t (*scratch)(const Step& s);  // null: none
  void (*contract)(Contract& c);     // null: another unit has it
  // null: there is but one way. Else how the step is computed, in words that are written to `to`
  const char* (*algorithm)(const Step& s, char* to, size_t room);
  // Of an op that packs its inputs 1 .. weightInputs: bytes of them packed, where they stay from run to run; 0: they
  // need not. (In this order: two neighbouring pointers would be written as a vector when the addon is loaded.)
  int weightInputs;
  size_t (*weights)(const Step& s);
};

// Both end the step with a fault, before anything is committed. Never from inside a task: a thread of the pool has
// nobody to catch it.
[[noreturn]] void failStep(const Step& s, const char* why);  // names the op; for what TypeScript cannot know
[[noreturn]] void failNonFinite();

// The pool. Tasks are numbered by shapes alone and each owns its outputs, so the thread count never shows in a result.
void parallelTasks(long tasks, void (*fn)(void* context, long task, int thread), void* context);
int poolThreads();  // how many may call fn at once: thread is in [0, poolThreads()). Sizes scratch memory, nothing else

enum Bf16Pairs { NO_PAIRS, EMULATED, INSTRUCTION };
Bf16Pairs bf16Pairs();  // how products of bfloat16 pairs run here (vector/bf16.h)

// Of the environment, empty where nothing is said (conv/choose.h)
const char* convWish();
const char* winogradWish();

void registerOp(int level, OpEntry* entry);
const OpEntry* findOp(const char* name);  // on the instruction set in use; null: no such op

}  // namespace bayes
