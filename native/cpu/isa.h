// Which instruction set is in use: the best the CPU has, unless BAYESCNN_SIMD=avx512bf16|avx512|avx2|base lowers it.
#pragma once
namespace bayes {
int isaLevel();         // 0 base, 1 avx2, 2 avx512, and avx512bf16: one build
const char* isaName();  // "base" (SSE2), "neon", "avx2", "avx512", "avx512bf16"
}  // namespace bayes
