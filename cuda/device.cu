// The CUDA device behind the C table (native/shared/backend.h): the only thing that the library exports.
#include <stdio.h>
#include "plan.h"

namespace bayes {
namespace cuda {
namespace {

thread_local std::string lastError;

const char* say(std::string why) {
  lastError = std::move(why);
  return lastError.c_str();
}
// Null, or the sentence of what f throws: that the card has stopped, if it has.
template <class F>
const char* guarded(Store* store, F f) {
  try {
    f();
    return nullptr;
  } catch (const std::exception& e) {
    const std::string why = e.what(), gone = store->lost();
    return say(gone.empty() ? why : gone);
  }
}
Store* storeOf(void* p) { return static_cast<Store*>(p); }
Plan* planOf(void* p) { return static_cast<Plan*>(p); }

const char* probe(int32_t device, char* name, int64_t capacity) {
  std::string text;
  std::string why = whyNot(device, text);
  if (!why.empty()) return say(std::move(why));
  snprintf(name, static_cast<size_t>(capacity), "%s", text.c_str());
  return nullptr;
}

const BayesTraits* traits(int32_t) {
  static const BayesTraits all = {BAYES_JOINS_ACTIVATION, BAYES_FP32 | BAYES_TF32 | BAYES_BF16, 256, 4096};
  return &all;
}

const BayesBackend table = {
    BAYES_ABI,
    [] { return static_cast<int32_t>(deviceCount()); },
    probe,
    traits,
    [](int32_t device, void** store) -> const char* {
      std::string name, why = whyNot(device, name);
      if (!why.empty()) return say("no CUDA device: " + why);
      try {
        *store = new Store(device);
        return nullptr;
      } catch (const std::exception& e) {
        cudaGetLastError();  // no error of the next call
        return say("no CUDA device: " + std::string(e.what()));
      }
    },
    [](void* store) { delete storeOf(store); },
    [](void* store, int64_t bytes, int32_t* index) {
      return guarded(storeOf(store), [&] { *index = storeOf(store)->alloc(bytes); });
    },
    [](void* store, int32_t index) { return guarded(storeOf(store), [&] { storeOf(store)->free(index); }); },
    [](void* store, int32_t index, int64_t offset, void* data, int64_t bytes) {
      return guarded(storeOf(store), [&] { storeOf(store)->read(index, offset, data, bytes); });
    },
    [](void* store, int32_t index, int64_t offset, const void* data, int64_t bytes) {
      return guarded(storeOf(store), [&] { storeOf(store)->write(index, offset, data, bytes); });
    },
    [](void* store, const BayesProgram* program, void** plan, int64_t* workspace) {
      return guarded(storeOf(store), [&] {
        Plan* const made = new Plan(storeOf(store), *program);
        *plan = made, *workspace = made->workspaceBytes();
      });
    },
    [](void* plan, int32_t steps, const BayesFeed* feeds, void* const* results, BayesFault* fault) {
      fault->runStep = fault->programStep = -1, fault->nonFinite = 0;
      const char* error = guarded(planOf(plan)->store, [&] { planOf(plan)->run(steps, feeds, results, *fault); });
      if (error) snprintf(fault->message, sizeof fault->message, "%s", error);
      return error;
    },
    [](void* plan, int32_t runStep, const BayesFeed* feeds, void* const*, int32_t step) {
      return guarded(planOf(plan)->store, [&] { planOf(plan)->runStep(runStep, feeds, step); });
    },
    [](void* plan, int32_t step, int32_t output, int64_t offset, void* data, int64_t bytes) {
      return guarded(planOf(plan)->store, [&] { planOf(plan)->read(step, output, offset, data, bytes); });
    },
    [](void* plan, int32_t step, char* text, int64_t capacity) -> const char* {
      if (step < 0 || step >= planOf(plan)->stepCount() || capacity < 1) return "plan: no such step";
      *text = 0;
      return nullptr;
    },
    [](void* plan) { planOf(plan)->stop(); },
    [](void* plan) { delete planOf(plan); },
};

}  // namespace
}  // namespace cuda
}  // namespace bayes

extern "C" __attribute__((visibility("default"))) const BayesBackend* bayescnnBackend() { return &bayes::cuda::table; }
