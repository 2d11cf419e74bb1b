#pragma once
#include "../shared/backend.h"

namespace bayes {
const BayesBackend& cpuBackend();
}  // namespace bayes
