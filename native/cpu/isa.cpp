#include "isa.h"
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include "gaussians.h"
#include "op.h"

namespace bayes {

static const char* wish(const char* variable) {  // never null
  const char* value = getenv(variable);
  return value ? value : "";
}

static int detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  int best = avx512 ? 2 : avx2 ? 1 : 0;
  const char* most = wish("BAYESCNN_SIMD");
  if (!strcmp(most, "base")) best = 0;
  if (!strcmp(most, "avx2") && best > 1) best = 1;
  return best;
#else
  return 0;
#endif
}

int isaLevel() {
  static const int level = detect();
  return level;
}

// AVX512_BF16: the AVX-512 build uses it where there is one, for products of bfloat16 pairs alone
static bool multipliesPairs() {
#if defined(__x86_64__)
  return isaLevel() == 2 && __builtin_cpu_supports("avx512bf16") && strcmp(wish("BAYESCNN_SIMD"), "avx512");
#else
  return false;
#endif
}

const char* isaName() {
#if defined(__aarch64__)
  return "neon";
#else
  static const char* names[] = {"base", "avx2", "avx512", "avx512bf16"};
  return names[isaLevel() + multipliesPairs()];
#endif
}

Bf16Pairs bf16Pairs() {
  static const Bf16Pairs how = [] {
    const char* form = wish("BAYESCNN_BF16");
    if (!strcmp(form, "rounded")) return NO_PAIRS;
    return multipliesPairs() ? INSTRUCTION : !strcmp(form, "pairs") ? EMULATED : NO_PAIRS;
  }();
  return how;
}

const char* convWish() {
  static const std::string form = wish("BAYESCNN_CONV");
  return form.c_str();
}
const char* winogradWish() {
  static const std::string when = wish("BAYESCNN_WINOGRAD");
  return when.c_str();
}

static std::unordered_map<std::string, OpEntry*>& table(int level) {
  static std::unordered_map<std::string, OpEntry*> tables[3];
  return tables[level];
}

void registerOp(int level, OpEntry* entry) {
  table(level)[entry->name] = entry;
  if (entry->contract) registerContract(entry->name, entry->contract);
}

const OpEntry* findOp(const char* name) {
  auto& ops = table(isaLevel());
  auto it = ops.find(name);
  return it == ops.end() ? nullptr : it->second;
}

static struct {
  FillGaussians<float> f32;
  FillGaussians<double> f64;
} fills[3];

void registerGaussians(int level, FillGaussians<float> f32, FillGaussians<double> f64) { fills[level] = {f32, f64}; }
void fillGaussians(float* out, int64_t count, const GaussianFill& fill) { fills[isaLevel()].f32(out, count, fill); }
void fillGaussians(double* out, int64_t count, const GaussianFill& fill) { fills[isaLevel()].f64(out, count, fill); }

}  // namespace bayes
