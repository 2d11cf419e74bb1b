#include "isa.h"
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include "../op.h"

namespace bayes {

static int detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  int best = avx512 ? 2 : avx2 ? 1 : 0;
  const char* wish = getenv("BAYESCNN_SIMD");
  if (wish && !strcmp(wish, "base")) best = 0;
  if (wish && !strcmp(wish, "avx2") && best > 1) best = 1;
  return best;
#else
  return 0;
#endif
}

int isaLevel() {
  static const int level = detect();
  return level;
}

const char* isaName() {
#if defined(__aarch64__)
  return "neon";
#else
  static const char* names[] = {"base", "avx2", "avx512"};
  return names[isaLevel()];
#endif
}

static std::unordered_map<std::string, OpEntry*>& table(int level) {
  static std::unordered_map<std::string, OpEntry*> tables[3];
  return tables[level];
}

void registerOp(int level, OpEntry* entry) { table(level)[entry->name] = entry; }

const OpEntry* findOp(const char* name) {
  auto& ops = table(isaLevel());
  auto it = ops.find(name);
  return it == ops.end() ? nullptr : it->second;
}

}  // namespace bayes
