// A second device, for tests of the boundary: the CPU's kernels behind a table and traits of their own. They join nothing,
// align otherwise and take other launches. With -DREASON="…" there is no such device; with -DABI=n it is of another
// version, with -DNOTHING no library of a device at all.
#include "native/cpu/device.h"
#include <cstdio>

#define EXPORT extern "C" __attribute__((visibility("default")))

#ifdef NOTHING
EXPORT int nothing() { return 0; }
#elif defined(ABI)
static const BayesBackend table = {ABI};
EXPORT const BayesBackend* bayescnnBackend() { return &table; }
#elif defined(REASON)
static const BayesBackend table = {BAYES_ABI, [] { return 0; },
                                   [](int32_t, char*, int64_t) -> const char* { return REASON; }};
EXPORT const BayesBackend* bayescnnBackend() { return &table; }
#else
static BayesBackend cpu() {
  static const BayesTraits traits = {0, BAYES_FP32 | BAYES_TF32, 256, 64};
  BayesBackend table = bayes::cpuBackend();
  table.deviceCount = [] { return 2; };
  table.probe = [](int32_t device, char* name, int64_t capacity) -> const char* {
    if (device == 1) return "it is on fire";
    snprintf(name, static_cast<size_t>(capacity), "cuda:%d (second)", device);
    return nullptr;
  };
  table.traits = [](int32_t) { return &traits; };
  return table;
}
EXPORT const BayesBackend* bayescnnBackend() {
  static const BayesBackend table = cpu();
  return &table;
}
#endif
