// Which instruction set is in use: the best the CPU has, unless BAYESCNN_SIMD=avx512|avx2|base says otherwise.
#pragma once
namespace bayes {
int isaLevel();         // 0 base, 1 avx2, 2 avx512
const char* isaName();  // "base" (SSE2), "neon", "avx2", "avx512"
}  // namespace bayes
