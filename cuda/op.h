// What an op's file sees: a step of a plan whose tensors lie on the device, the card, and where to launch.
//
//   __global__ void scaleKernel(const float* x, float* y, long n, float by) { ... }
//   OP(scale, "by") {                  // the attributes that the kernel understands: a plan with another one is
//   refused
//     launch(scaleKernel, blocks, 256, 0, l.stream, s.in[0].f32(), s.out[0].f32(), s.out[0].size(),
//     float(s.attr("by")));
//   }
//   SCRATCH(scale) { return bytes; }   // optional: s.scratch is that memory on the device, during this step
//
// The body only enqueues: it is run once plainly and once while a graph is recorded, so it neither allocates nor waits
// nor reads anything back, and what changes from step to step (learning rate, seed) is a tensor that the kernel reads.
// Shapes, dtypes and attributes have been held to the op's contract (the contract.h of native/) before. Indices and
// labels are data: their kernels look at them, raise() and go on with something harmless. Kernels of a step that
// commits begin with `if (stopped(fault)) return;`; where they also raise, and have a barrier, one thread looks for its
// block. No float atomics, no order of sums that a schedule could change.
#pragma once
#include <stdint.h>
#include <string.h>
#include <stdexcept>
#include "native/shared/backend.h"
#include "gpu.h"

namespace bayes {
namespace cuda {

struct Tensor {
  void* data;  // on the device
  int32_t dtype, rank, space, index;
  int64_t offset;
  int64_t dims[BAYES_MAX_RANK];

  float* f32() const { return static_cast<float*>(data); }
  int32_t* i32() const { return static_cast<int32_t*>(data); }
  uint8_t* u8() const { return static_cast<uint8_t*>(data); }
  explicit operator bool() const { return space != BAYES_NONE; }  // false: an output nobody reads
  long size() const {
    long n = 1;
    for (int i = 0; i < rank; i++) n *= static_cast<long>(dims[i]);
    return n;
  }
  long dim(int i) const { return static_cast<long>(dims[i < 0 ? rank + i : i]); }
};

struct Attr {
  const char* name;
  int count;
  const double* values;
};

struct Step {
  const char* op;
  Tensor *in, *out;
  int nin, nout, nattr;
  const Attr* attrs;
  bool commits;
  void* scratch;  // 256-byte aligned, shared by all steps: nothing in it outlives the step
  int number;     // in the program: what raise() is given

  const Attr* find(const char* name) const {
    for (int i = 0; i < nattr; i++)
      if (!strcmp(attrs[i].name, name)) return attrs + i;
    return nullptr;
  }
  double attr(const char* name, double otherwise = 0, int i = 0) const {
    const Attr* a = find(name);
    return a && i < a->count ? a->values[i] : otherwise;
  }
};

// What a kernel may be written for.
struct Card {
  int sms;             // multiprocessors
  int sharedPerBlock;  // bytes of shared memory that a block may have
  int major, minor;    // compute capability
};

struct Launch {
  Stream stream;
  const Card& card;
  Fault* fault;  // on the device
};

// One op of the library. Entries are static and register themselves; `attributes` are separated by blanks.
struct Entry {
  const char *name, *attributes;
  void (*run)(const Step& s, const Launch& l);
  size_t (*scratch)(const Step& s, const Card& card);  // null: none
  Entry* next;

  Entry(const char* op, const char* known, void (*body)(const Step&, const Launch&))
      : name(op), attributes(known), run(body), scratch(nullptr), next(first()) {
    first() = this;
  }
  static Entry*& first();
  static const Entry* find(const char* name);  // null: no such op
};

inline long ceilDiv(long a, long b) { return (a + b - 1) / b; }
inline long roundUp(long a, long b) { return ceilDiv(a, b) * b; }

#define OP(NAME, ATTRIBUTES)                                \
  static void run_##NAME(const Step& s, const Launch& l);   \
  static Entry entry_##NAME(#NAME, ATTRIBUTES, run_##NAME); \
  static void run_##NAME([[maybe_unused]] const Step& s, [[maybe_unused]] const Launch& l)
#define SCRATCH(NAME)                                                                              \
  static size_t scratch_##NAME(const Step& s, const Card& card);                                   \
  [[maybe_unused]] static const bool asked_##NAME = (entry_##NAME.scratch = scratch_##NAME, true); \
  static size_t scratch_##NAME([[maybe_unused]] const Step& s, [[maybe_unused]] const Card& card)

}  // namespace cuda
}  // namespace bayes
