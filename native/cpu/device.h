#pragma once
#include <stdexcept>
#include "../shared/backend.h"

namespace bayes {
const BayesBackend& cpuBackend();

// thrown by the guard op before the first commit of a step: some value is NaN or infinite
struct NonFinite : std::runtime_error {
  NonFinite() : std::runtime_error("a value that is not finite (NaN or infinity)") {}
};
}  // namespace bayes
