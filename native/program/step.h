// A step of a program as contracts and kernels see it: tensors, and attributes by name. Where a tensor's `data` is null
// its bytes are not known yet; contracts speak of shapes and places alone.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "../shared/backend.h"

#define INL inline __attribute__((always_inline))

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

struct Step {
  const char* op;
  Tensor *in, *out;
  int nin, nout, nattr;
  const Attr* attrs;
  bool commits;
  void* scratch;  // of kernels: 64-byte aligned, shared by all steps, valid while the step runs
  void* weights;  // of layers whose weights stay as they are from run to run: memory for them as the product reads them
  bool packed;    // they lie there

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

}  // namespace bayes
