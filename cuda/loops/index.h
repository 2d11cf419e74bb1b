// Examples that a step chooses by number: data that nobody has looked at.
#pragma once
#include "elementwise.h"

namespace bayes {
namespace cuda {

// Whether index[i], which is outside [0, n), is the first such one: of all that would raise a fault, one does.
__device__ __forceinline__ bool firstOutside(const int32_t* index, long i, long n) {
  for (long k = 0; k < i; k++)
    if (index[k] < 0 || index[k] >= n) return false;
  return true;
}

}  // namespace cuda
}  // namespace bayes
