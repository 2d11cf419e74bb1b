// What cuda/gpu.h offers, on the host: every thread of a GPU is a fiber. Only declarations and what has to be a
// template: kernels are compiled with -fsanitize=thread, emu.cpp is not. That option makes g++ call a function before
// every load and store, and emu.cpp has those functions (no libtsan): bounds, races, words that nothing has written.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>
#include "cuda/fault.h"

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

namespace emu {
typedef std::function<const char*()> Job;  // null, or what went wrong
struct Stream {
  std::vector<Job>* capture = nullptr;  // of a graph that is being recorded
};
struct Counters {  // of the process
  int64_t launches, synchronisations, graphLaunches, allocations;
};
extern Counters counters;

dim3 thread();
dim3 block();
dim3 blockSize();
dim3 gridSize();
unsigned char* sharedMemory();
void barrier();
void warpBarrier();
void copyAsync(void* dst, const void* src, int bytes, bool valid);
void copyCommit();
void copyWait(int pending);
uint32_t exchange(uint32_t v, int mask);
const char* run(dim3 grid, dim3 block, size_t shared, void (*body)(void*), void* closure);
const char* enqueue(Stream* stream, Job job);  // runs or records it

void* allocate(size_t bytes);  // device memory, poisoned; null where there is none left
bool release(void* p);
bool owns(const void* p, size_t bytes);
void hostWrote(void* p, size_t bytes);
void forget(void* p, size_t bytes);  // what it holds is nothing, from here on
}  // namespace emu

typedef emu::Stream* Stream;
#define threadIdx (emu::thread())
#define blockIdx (emu::block())
#define blockDim (emu::blockSize())
#define gridDim (emu::gridSize())

static inline unsigned char* sharedMemory() { return emu::sharedMemory(); }
static inline void copyAsync16(void* dst, const void* src, bool valid) { emu::copyAsync(dst, src, 16, valid); }
static inline void copyAsync4(void* dst, const void* src, bool valid) { emu::copyAsync(dst, src, 4, valid); }
static inline void copyCommit() { emu::copyCommit(); }
template <int PENDING>
static inline void copyWait() {
  emu::copyWait(PENDING);
}
void load4(float (&v)[4], const float* p);
void store4(float* p, const float (&v)[4]);

static inline int32_t bitsOf(float f) {
  int32_t i;
  __builtin_memcpy(&i, &f, 4);
  return i;
}
static inline float floatOf(int32_t i) {
  float f;
  __builtin_memcpy(&f, &i, 4);
  return f;
}
static inline uint32_t tf32(float x) {
  const uint32_t u = static_cast<uint32_t>(bitsOf(x));
  return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
static inline uint32_t bf16(float x) {
  const uint32_t u = static_cast<uint32_t>(bitsOf(x));
  return (x == x ? u + 0x7fffu + (u >> 16 & 1u) : u | 0x400000u) >> 16;
}
static inline uint32_t pairBf16(float low, float high) { return bf16(high) << 16 | bf16(low); }
void mmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

static inline float exchange(float v, int mask) {
  return floatOf(static_cast<int32_t>(emu::exchange(static_cast<uint32_t>(bitsOf(v)), mask)));
}
static inline int32_t exchange(int32_t v, int mask) {
  return static_cast<int32_t>(emu::exchange(static_cast<uint32_t>(v), mask));
}
static inline double exchange(double v, int mask) {
  uint32_t u[2];
  __builtin_memcpy(u, &v, 8);
  u[0] = emu::exchange(u[0], mask), u[1] = emu::exchange(u[1], mask);
  __builtin_memcpy(&v, u, 8);
  return v;
}
static inline void blockBarrier() { emu::barrier(); }
static inline void warpBarrier() { emu::warpBarrier(); }

// Of the word that all blocks may look at and write: not looked at by the checker.
bool stopped(const bayes::cuda::Fault* fault);
void raise(bayes::cuda::Fault* fault, int32_t code, int32_t step, int32_t v0 = 0, int32_t v1 = 0);

#define UNWATCHED __attribute__((no_sanitize("thread")))  // the arguments' copy lies in the host's memory
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, Stream stream, A... args) {
  const char* why = emu::enqueue(stream, [=]() -> const char* {
    auto body = [=]() UNWATCHED { kernel(args...); };
    return emu::run(
        grid, block, shared, [](void* b) UNWATCHED { (*static_cast<decltype(body)*>(b))(); }, &body);
  });
  if (why) throw std::runtime_error(std::string("launch of a kernel: ") + why);
}
inline void forget(Stream stream, void* p, size_t bytes) {
  emu::enqueue(stream, [=]() -> const char* { return emu::forget(p, bytes), nullptr; });
}
#include "runtime.h"
