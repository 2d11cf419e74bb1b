// Scratch memory of a step.
#pragma once
#include "op.h"

namespace bayes {
namespace ISA {

// Scratch memory handed out front to back; with a null base it only counts, so one function says what an op needs and
// takes it.
struct Bump {
  char* base;
  size_t used = 0;
  INL explicit Bump(void* p) : base(static_cast<char*>(p)) {}
  INL float* floats(long n) {
    float* p = reinterpret_cast<float*>(base + used);
    used += (static_cast<size_t>(n) * 4 + 63) / 64 * 64;
    return p;
  }
};

}  // namespace ISA
}  // namespace bayes
