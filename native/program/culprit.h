// Which step of a run made the first NaN or infinity. A guard before the first commit has seen one, so nothing has been
// written that stays: the run's step goes again, looking after each step of the program (noise is a function, so it
// fails alike), on whatever device.
#pragma once
#include <vector>
#include "../shared/backend.h"

namespace bayes {

class Culprit {
 public:
  explicit Culprit(const BayesProgram& program);
  // Its number, or the guard's where every value before it is finite or cannot be looked at.
  int32_t find(const BayesBackend& device, void* plan, const BayesFault& fault, const BayesFeed* feeds,
               void* const* results) const;

 private:
  std::vector<std::vector<int64_t>> bytes;  // by step and output: of floats that are kept, else 0
  bool finite(const BayesBackend& device, void* plan, int32_t step) const;
};

}  // namespace bayes
