// What a kernel may use, compiled by nvcc for the GPU and by g++ for the emulator (-x c++ -DEMULATED). Nothing else has
// PTX or <<<>>>: each instruction has one wrapper here and one twin in test/emulator/emu.h. Shared memory is the
// dynamic one of sharedMemory(): the emulator knows no __shared__ variables.
#pragma once
#include <stdint.h>
#include <string.h>
#include "fault.h"

#if defined(EMULATED)
#include "test/emulator/emu.h"
#else
#include <cuda_runtime.h>
#include <stdexcept>
#include <string>
typedef cudaStream_t Stream;

// ---- Memory

// The block's dynamic shared memory.
__device__ __forceinline__ unsigned char* sharedMemory() {
  extern __shared__ __align__(128) unsigned char sharedBytes[];
  return sharedBytes;
}
__device__ __forceinline__ uint32_t sharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// 16 or 4 bytes from global to shared memory; zeros where !valid (src is then not read).
__device__ __forceinline__ void copyAsync16(void* dst, const void* src, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(dst)), "l"(src), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void copyAsync4(void* dst, const void* src, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(sharedAddress(dst)), "l"(src), "r"(valid ? 4 : 0)
               : "memory");
}
__device__ __forceinline__ void copyCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
__device__ __forceinline__ void copyWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// 16 bytes at once; p is a multiple of 16.
__device__ __forceinline__ void load4(float (&v)[4], const float* p) {
  const float4 f = *reinterpret_cast<const float4*>(p);
  v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
}
__device__ __forceinline__ void store4(float* p, const float (&v)[4]) {
  *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
}

// ---- Arithmetic

__device__ __forceinline__ int32_t bitsOf(float f) { return __float_as_int(f); }
__device__ __forceinline__ float floatOf(int32_t i) { return __int_as_float(i); }

// To the nearest tf32, ties away from zero, as bits of a float.
__device__ __forceinline__ uint32_t tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}
// d += a b, 16x8 by 8x8, in tf32: lane 4g + t holds a (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4); b (t, g),
// (t + 4, g); d (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The bfloat16s nearest to two numbers, ties to even, the first in the lower half.
__device__ __forceinline__ uint32_t pairBf16(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
// d += a b, 16x8 by 16x8, in bf16: a word of a or b has depths 2t and 2t + 1 (+ 8 in the second half of the words)
// where that of tf32 has t (+ 4).
__device__ __forceinline__ void mmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ---- Threads

// The value of the lane whose number differs by the bits of mask; all lanes of the warp take part. Orders no memory.
__device__ __forceinline__ float exchange(float v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
__device__ __forceinline__ int32_t exchange(int32_t v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
__device__ __forceinline__ double exchange(double v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
__device__ __forceinline__ void blockBarrier() { __syncthreads(); }
__device__ __forceinline__ void warpBarrier() { __syncwarp(); }

// ---- Faults

__device__ __forceinline__ bool stopped(const bayes::cuda::Fault* fault) {
  return *static_cast<const volatile int32_t*>(&fault->code) != bayes::cuda::NO_FAULT;
}
// Of all that raise a fault in a run, the first is kept. Where several threads of a launch might, they agree on one.
__device__ __forceinline__ void raise(bayes::cuda::Fault* fault, int32_t code, int32_t step, int32_t v0 = 0,
                                      int32_t v1 = 0) {
  if (atomicCAS(&fault->code, bayes::cuda::NO_FAULT, code) != bayes::cuda::NO_FAULT) return;
  fault->runStep = fault->now, fault->programStep = step, fault->value[0] = v0, fault->value[1] = v1;
}

// ---- Host

// Throws what the runtime says.
inline void succeed(cudaError_t e, const char* what) {
  if (e != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(e));
}
// Lets a kernel have all the shared memory that a block of the current card may have. Never less: the limit is the
// kernel's own, for all threads, and another launch of it may want more than this one.
template <class... P>
void allowSharedMemory(void (*kernel)(P...)) {
  int device = 0, most = 0;
  succeed(cudaGetDevice(&device), "shared memory of a kernel");
  succeed(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "shared memory of a kernel");
  succeed(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most), "shared memory of a kernel");
}
// kernel(args...) on the stream.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, Stream stream, A... args) {
  if (shared > 48 * 1024) allowSharedMemory(kernel);
  // clang-format off
  kernel<<<grid, block, shared, stream>>>(args...);
  // clang-format on
  succeed(cudaGetLastError(), "launch of a kernel");
}
// Whether a range of device memory holds nothing yet: only the emulator asks.
inline void forget(Stream, void*, size_t) {}
#endif
