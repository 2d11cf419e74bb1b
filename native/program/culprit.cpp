#include "culprit.h"
#include <algorithm>
#include <cmath>

namespace bayes {

Culprit::Culprit(const BayesProgram& program) {
  for (int32_t i = 0; i < program.stepCount; i++) {
    const BayesStep& s = program.steps[i];
    bytes.emplace_back();
    for (int32_t k = 0; k < s.outputCount; k++) {
      const BayesRef& r = s.outputs[k];
      int64_t n = r.dtype == BAYES_F32 && r.space != BAYES_NONE ? 4 : 0;
      for (int32_t d = 0; d < r.rank; d++) n *= r.dims[d];
      bytes.back().push_back(n);
    }
  }
}

bool Culprit::finite(const BayesBackend& device, void* plan, int32_t step) const {
  std::vector<float> some;
  const auto& sizes = bytes[static_cast<size_t>(step)];
  for (size_t k = 0; k < sizes.size(); k++)
    for (int64_t at = 0; at < sizes[k];) {
      const int64_t n = std::min(sizes[k] - at, int64_t{1} << 20);
      some.resize(static_cast<size_t>(n) / 4);
      if (device.planRead(plan, step, static_cast<int32_t>(k), at, some.data(), n)) return true;
      for (float x : some)
        if (!std::isfinite(x)) return false;
      at += n;
    }
  return true;
}

int32_t Culprit::find(const BayesBackend& device, void* plan, const BayesFault& fault, const BayesFeed* feeds,
                      void* const* results) const {
  for (int32_t i = 0; i < fault.programStep; i++) {
    if (device.planStep(plan, fault.runStep, feeds, results, i)) break;
    if (!finite(device, plan, i)) return i;
  }
  return fault.programStep;
}

}  // namespace bayes
